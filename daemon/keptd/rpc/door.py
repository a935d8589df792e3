"""Where the daemon is found: its listening socket, whether that is still in its place, and another where it is gone.

On WSL2 the runtime folder can vanish while the daemon runs, with the socket in it (microsoft/WSL#13562), and any
clean-up of temporary files can remove a socket. The daemon and its connections live on; who comes new has to find it.
Refuses to take the place of something else that lies there: a service manager's socket, or another daemon's.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

from ..home import identity, is_at, make_private
from .listen import listen


class Door:
    """A listener, and the path at which it is bound."""

    def __init__(self, path: str, passed: socket.socket | None) -> None:
        """`passed` is the service manager's listener at `path`, which stays there; without one, it is bound here.

        Raises `UnusableSocket`.
        """
        self.listener = passed or listen(Path(path))
        self.path = path
        self.is_passed = passed is not None
        """Whether it is the service manager's."""
        self._identity = identity(Path(path))

    def in_place(self) -> bool:
        """Whether whoever connects to the path comes to this listener."""
        return is_at(Path(self.path), self._identity)

    def is_lost(self) -> bool:
        """Whether nothing is left at the path, so that the daemon can be found by nobody."""
        return not os.path.lexists(self.path)

    def moved(self, path: str) -> Door:
        """Another at `path`, whose folder is made where it is missing; this one is as it was.

        Raises `UnusableHome`, `UnusableSocket` and `OSError`.
        """
        make_private(Path(path).parent)
        return Door(path, None)

    def close(self) -> None:
        """Listen no more, and remove the socket where it is one's own; once is enough."""
        if self.listener.fileno() < 0:
            return
        # Compared while it is open, since then no other file can have its inode.
        if not self.is_passed and self.in_place():
            with suppress(FileNotFoundError):
                os.unlink(self.path)
        self.listener.close()
