"""Whether what listens on a socket is the caller's own daemon: checked before anything private is sent.

Owns the rules, for every client. Imports nothing that a bare interpreter has not loaded, because the thin script uses
it on every command.
"""

from __future__ import annotations

import os
import sys
from stat import S_ISDIR, S_ISLNK, S_ISSOCK, S_ISVTX

from kept.paths import SOCKET_PATH_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket

_WRITABLE_BY_OTHERS = 0o022
_OF_THE_SYSTEM = frozenset({"/run", "/var/run"})


class Untrusted(Exception):
    """Somebody else could have put the socket there. The text says what is wrong and what to do."""


def check_folder(folder: str) -> None:
    """Refuse a folder of a socket that is a symlink, belongs to another user, or lets others write.

    Raises `Untrusted`, and FileNotFoundError where there is none.
    """
    found = os.lstat(folder)
    if S_ISLNK(found.st_mode) or not S_ISDIR(found.st_mode):
        raise Untrusted(
            f"{folder} is a {'symbolic link' if S_ISLNK(found.st_mode) else 'file'}, not a folder: not used.{_ADVICE}"
        )
    if found.st_uid != os.geteuid():
        raise Untrusted(
            f"{folder} belongs to another user (uid {found.st_uid}): what listens there is not trusted.{_ADVICE}"
        )
    if found.st_mode & _WRITABLE_BY_OTHERS:
        raise Untrusted(
            f"other users can write to {folder}: what listens there is not trusted."
            + (f"\nRun: chmod 700 {folder}" if _is_for_kept(folder, found.st_mode) else _ADVICE)
        )


def _is_for_kept(folder: str, mode: int) -> bool:
    """Whether a folder is of kept's own making, so that closing it to others harms nobody: `kept`, or `run` below a
    home, and never one that is meant for all (sticky)."""
    return not mode & S_ISVTX and os.path.basename(folder) in {"kept", "run"} and folder not in _OF_THE_SYSTEM


def check_socket(path: str) -> None:
    """Refuse a path that is too long, in a folder that `check_folder` refuses, or that is no socket of the caller's.

    Raises `Untrusted`, and FileNotFoundError where there is no socket or no folder.
    """
    size = len(os.fsencode(path))
    if size > SOCKET_PATH_BYTES:
        raise Untrusted(
            f"the socket's path has {size} bytes, and a Unix socket's can have {SOCKET_PATH_BYTES}:\n{path}{_ADVICE}"
        )
    check_folder(os.path.dirname(path) or ".")
    found = os.lstat(path)
    if not S_ISSOCK(found.st_mode):
        kind = "a symbolic link" if S_ISLNK(found.st_mode) else "no socket"
        raise Untrusted(f"{path} is {kind}: not used.\nMove it away, or set KEPT_SOCKET to another path.")
    if found.st_uid != os.geteuid():
        raise Untrusted(f"{path} belongs to another user (uid {found.st_uid}): not used.{_ADVICE}")


def check_peer(connection: socket) -> None:
    """Refuse a connected socket whose other end another user opened. Raises `Untrusted`.

    A kernel without `SO_PEERCRED` is taken at the folder's word.
    """
    try:
        from _socket import SO_PEERCRED, SOL_SOCKET  # noqa: PLC0415 - not on every system
    except ImportError:
        return
    # struct ucred { pid_t pid; uid_t uid; gid_t gid; }, each of 32 bits (unix(7)).
    uid = int.from_bytes(connection.getsockopt(SOL_SOCKET, SO_PEERCRED, 12)[4:8], sys.byteorder)
    if uid != os.geteuid():
        raise Untrusted(f"the daemon that answers runs as another user (uid {uid}): not trusted.{_ADVICE}")


_ADVICE = "\nSet KEPT_SOCKET to a socket in a folder of your own."
