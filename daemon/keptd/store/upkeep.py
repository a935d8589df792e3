"""The lock of work on the whole of what is kept, so that an export never runs into a deletion.

What its holder asks for in tasks that it starts is within it: an import holds it, and asks for a backup meanwhile.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar

import anyio

from kept.wire.errors import Conflict

_held: ContextVar[Upkeep | None] = ContextVar("upkeep", default=None)


class Upkeep:
    """One store's. Lives on the loop's thread."""

    def __init__(self) -> None:
        self._lock = anyio.Lock()

    def locked(self) -> bool:
        """Whether somebody holds it."""
        return self._lock.locked()

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Wait for it, and hold it."""
        if _held.get() is self:
            yield
            return
        async with self._lock:
            with self._marked():
                yield

    @asynccontextmanager
    async def hold_now(self) -> AsyncIterator[None]:
        """Hold it. Raises `Conflict` where somebody else does."""
        if self.locked() and _held.get() is not self:
            raise Conflict(
                "another backup or restore, or other work on all that is kept, goes on",
                hint="Wait for it to end, and repeat.",
            )
        async with self.hold():
            yield

    @contextmanager
    def _marked(self) -> Iterator[None]:
        token = _held.set(self)
        try:
            yield
        finally:
            _held.reset(token)
