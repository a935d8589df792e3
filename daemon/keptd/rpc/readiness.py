"""Waiting until a socket can be read, at the least cost that the running loop allows.

`anyio.wait_readable` registers the descriptor for every wait and takes it out afterwards, which is half the time of
a small request. On asyncio one registration lasts as long as the connection; elsewhere anyio's is used.
`tests/bench/readiness.py` measures both.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Protocol

import anyio


class Readiness(Protocol):
    """Waits for one socket."""

    async def wait(self) -> None:
        """Return when the socket can be read, or has ended. Now and then also without reason."""
        ...

    def close(self) -> None:
        """Stop watching; before the socket is closed."""
        ...


def watch(connection: socket.socket) -> Readiness:
    """The cheapest for the loop that runs."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return _Portable(connection)
    return _Registered(loop, connection)


class _Portable:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    async def wait(self) -> None:
        await anyio.wait_readable(self._connection)

    def close(self) -> None:
        """Nothing is held between two waits."""


class _Registered:
    """Stays registered while somebody waits or comes back soon; bytes that nobody waits for end the registration, so
    that the loop does not spin on a connection that is held back."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
        self._loop = loop
        self._connection = connection
        self._waiter: asyncio.Future[None] | None = None
        self._registered = False

    async def wait(self) -> None:
        if not self._registered:
            self._loop.add_reader(self._connection, self._ready)
            self._registered = True
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _ready(self) -> None:
        if self._waiter is None:
            self.close()
        elif not self._waiter.done():
            self._waiter.set_result(None)

    def close(self) -> None:
        if self._registered:
            self._loop.remove_reader(self._connection)
            self._registered = False
