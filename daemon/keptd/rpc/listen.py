"""The listening socket: bound for the owner alone, in place of a stale one, never of a live one; or taken from the
service manager, which made it, and keeps it."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from stat import S_IMODE, S_ISSOCK

from kept.paths import SOCKET_PATH_BYTES

BACKLOG = 512


class UnusableSocket(Exception):
    """The daemon can't listen there. The text says why, and what to do."""


def listen(path: Path) -> socket.socket:
    """A non-blocking listener at `path`, with mode 0600. The caller holds the home's lock.

    Raises `UnusableSocket` for a path that is too long, that is something else than a socket, or where somebody
    listens.
    """
    size = len(os.fsencode(path))
    if size > SOCKET_PATH_BYTES:
        raise UnusableSocket(
            f"the socket's path has {size} bytes, and a Unix socket's can have {SOCKET_PATH_BYTES} at most: {path}. "
            "Set KEPT_SOCKET to a shorter path in a folder of your own."
        )
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(BACKLOG)
    return listener


def adopt(passed: Sequence[tuple[int, str]], path: Path) -> socket.socket | None:
    """The listener that the service manager passed, non-blocking; None where it passed none.

    `passed` has each descriptor with its name. Raises `UnusableSocket` for more than one, and for what is not a Unix
    stream socket that listens at `path` and is the owner's alone.
    """
    if not passed:
        return None
    if len(passed) > 1:
        names = ", ".join(name for _, name in passed)
        raise UnusableSocket(f"{len(passed)} sockets were passed ({names}), and one is served: list one ListenStream=.")
    [(descriptor, name)] = passed
    try:
        listener = socket.socket(fileno=descriptor)
    except OSError:
        raise UnusableSocket(f"what was passed as {name} (descriptor {descriptor}) is no socket.") from None
    if obstacle := _obstacle(listener, path):
        listener.close()
        raise UnusableSocket(f"the socket that was passed as {name} can't be used: {obstacle}")
    listener.setblocking(False)
    listener.set_inheritable(False)
    return listener


def _obstacle(listener: socket.socket, path: Path) -> str:
    """Why a socket is not the one that belongs at `path`, or nothing."""
    if listener.family != socket.AF_UNIX or listener.type != socket.SOCK_STREAM:
        return "it is no Unix stream socket. Give its path in ListenStream=."
    if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return "it doesn't listen. Set Accept=no."
    where = listener.getsockname()
    elsewhere = f"it is not at {path}. Set ListenStream= to that path, or KEPT_SOCKET to the socket's."
    try:
        # A path can be written in more than one way, as where a folder is a link.
        found, bound = path.lstat(), os.lstat(where if isinstance(where, str) else "")
    except (OSError, ValueError):
        return elsewhere
    if not os.path.samestat(found, bound):
        return elsewhere
    if found.st_uid != os.geteuid():
        return f"it belongs to uid {found.st_uid}. Set ListenStream= to a path of your own."
    if S_IMODE(found.st_mode) & 0o077:
        return "others may connect to it. Set SocketMode=0600."
    return ""


def _remove_stale(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not S_ISSOCK(found.st_mode):
        raise UnusableSocket(f"{path} is there, and is no socket. Move it away, or set KEPT_SOCKET to another path.")
    if found.st_uid != os.geteuid():
        raise UnusableSocket(f"{path} belongs to uid {found.st_uid}. Set KEPT_SOCKET to a path of your own.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        outcome = probe.connect_ex(str(path))
    # A full backlog (EAGAIN) is a live listener too.
    if outcome != errno.ECONNREFUSED:
        raise UnusableSocket(f"another daemon listens on {path}. Use it, or set KEPT_SOCKET to another path.")
    path.unlink()
