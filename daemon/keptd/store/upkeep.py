"""The lock of work on the whole of what is kept, so that an export never runs into a deletion.

What its holder asks for in tasks that it starts is within it: an import holds it, and asks for a backup meanwhile.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import anyio

from kept.wire.errors import Conflict


@dataclass(slots=True)
class _Hold:
    """One time that it is held. A task that was started within may go on after its end."""

    of: Upkeep
    lasts: bool = True


_held: ContextVar[_Hold | None] = ContextVar("upkeep", default=None)


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
        if self._is_within():
            yield
            return
        async with self._lock:
            with self._marked():
                yield

    @asynccontextmanager
    async def hold_now(self) -> AsyncIterator[None]:
        """Hold it. Raises `Conflict` where somebody else does."""
        if self.locked() and not self._is_within():
            raise Conflict(
                "another backup or restore, or other work on all that is kept, goes on",
                hint="Wait for it to end, and repeat.",
            )
        async with self.hold():
            yield

    def _is_within(self) -> bool:
        hold = _held.get()
        return hold is not None and hold.of is self and hold.lasts

    @contextmanager
    def _marked(self) -> Iterator[None]:
        hold = _Hold(self)
        token = _held.set(hold)
        try:
            yield
        finally:
            hold.lasts = False
            _held.reset(token)
