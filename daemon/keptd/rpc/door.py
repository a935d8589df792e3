"""Where the daemon is found: its listening socket, whether that is still in its place, and another where it is gone.

On WSL2 the runtime folder can vanish while the daemon runs, with the socket in it (microsoft/WSL#13562), and any
clean-up of temporary files can remove a socket. The daemon and its connections live on; who comes new has to find it.
Refuses to take the place of something else that lies there: a service manager's socket, or another daemon's.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

from kept.paths import BadPlace, Paths

from ..home import UnusableHome, identity, is_at, make_private
from .listen import UnusableSocket, listen

log = structlog.get_logger(__name__)


class Door:
    """A listener, and the path at which it is bound."""

    def __init__(self, path: str, passed: socket.socket | None, *, inherited: bool = False) -> None:
        """`passed` is the service manager's listener at `path`, which stays there, unless it is `inherited` from the
        daemon before; without one, it is bound here.

        Raises `UnusableSocket`.
        """
        self.listener = passed or listen(Path(path))
        self.path = path
        self.is_passed = passed is not None and not inherited
        """Whether it is the service manager's."""
        self._identity = identity(Path(path))

    def in_place(self) -> bool:
        """Whether whoever connects to the path comes to this listener."""
        return is_at(Path(self.path), self._identity)

    def moved(self, places: Callable[[], Paths]) -> Door | None:
        """Another where `places` says that the socket is now, whose folder is made where it is missing; None where
        something lies at the path, or there is no other place. This one is as it was."""
        if os.path.lexists(self.path):
            return None
        try:
            path = places().socket
            make_private(Path(path).parent)
            door = Door(path, None)
        except (BadPlace, UnusableHome, UnusableSocket, OSError) as refusal:
            log.warning("the socket is gone, and there is no other place for it", reason=str(refusal))
            return None
        log.warning("the socket was removed, so there is a new one", former=self.path, socket=path)
        return door

    def close(self) -> None:
        """Listen no more, and remove the socket where it is one's own; once is enough."""
        if self.listener.fileno() < 0:
            return
        # Compared while it is open, since then no other file can have its inode.
        if not self.is_passed and self.in_place():
            with suppress(FileNotFoundError):
                os.unlink(self.path)
        self.listener.close()
