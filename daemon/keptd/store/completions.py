"""Completions: how a result gets from a worker thread to the event loop, on any loop.

An eventfd wakes the loop once for all that has gathered; neither side waits for the other, so that the writer can
sync the next batch while the loop sends the replies of the last.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable

import anyio

from .unforeseen import unforeseen


class Completions:
    """Callbacks that threads post and the loop runs, in the order posted."""

    def __init__(self) -> None:
        self._callbacks: deque[Callable[[], None]] = deque()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def post(self, callback: Callable[[], None]) -> None:
        """Have the loop run `callback`. From any thread."""
        self._callbacks.append(callback)
        os.eventfd_write(self._wake, 1)

    async def deliver(self) -> None:
        """Run what is posted, until cancelled."""
        while True:
            await anyio.wait_readable(self._wake)
            os.eventfd_read(self._wake)
            self.drain()

    def drain(self) -> None:
        """Run what has been posted by now. One that fails is logged, and the others run."""
        while self._callbacks:
            callback = self._callbacks.popleft()
            try:
                callback()
            except Exception as mistake:  # noqa: BLE001 - an outcome that can't be delivered must not hold up the others.
                unforeseen("completion", mistake)

    def close(self) -> None:
        """Release the descriptor; nothing may be posted afterwards."""
        os.close(self._wake)
