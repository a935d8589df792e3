"""The listening socket: bound for the owner alone, in place of a stale one, never of a live one."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from stat import S_ISSOCK

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
