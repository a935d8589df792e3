"""Reads and writes of the daemon's own, which await their outcome instead of answering a peer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar, cast

import anyio
import apsw

from kept.wire.errors import KeptError

from ..clock import Clock
from . import Store
from .readers import ReadJob
from .writer import WriteJob, Written

T = TypeVar("T")

PATIENCE_SECONDS = 60.0
"""How long such work may wait and run: longer than a client's, since nobody sits in front of it."""


class Answer(Generic[T]):
    """The one outcome of a job."""

    def __init__(self) -> None:
        self._given = anyio.Event()
        self._outcome: T | KeptError | None = None

    def give(self, outcome: T | KeptError) -> None:
        """Take the outcome; on the loop."""
        self._outcome = outcome
        self._given.set()

    async def wait(self) -> T:
        """The result. Raises the `KeptError` that came instead."""
        await self._given.wait()
        outcome, self._outcome = self._outcome, None
        try:
            if isinstance(outcome, KeptError):
                raise outcome
            return cast("T", outcome)
        finally:
            # With it, the exception and this frame would be in a cycle.
            del outcome


async def read(store: Store, clock: Clock, run: Callable[[apsw.Connection], bytes]) -> bytes:
    """Run a read on a reader thread, in one snapshot. Raises `KeptError`."""
    answer: Answer[bytes] = Answer()
    store.readers.submit(ReadJob(run, answer.give, lambda _seconds: None, clock.monotonic() + PATIENCE_SECONDS))
    return await answer.wait()


async def write(store: Store, clock: Clock, run: Callable[[apsw.Connection], Written]) -> Written:
    """Have the writer run something, on a full disk as well, and wait for the commit. Raises `KeptError`."""
    answer: Answer[Written] = Answer()
    store.writer.submit(WriteJob(run, answer.give, clock.monotonic() + PATIENCE_SECONDS, size=0, frees_space=True))
    return await answer.wait()
