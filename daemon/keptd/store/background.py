"""Reads and writes of the daemon's own, which await their outcome instead of answering a peer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar, cast

import anyio
import apsw

from kept.wire.errors import KeptError

from ..clock import Clock
from ..domain import JobCtx, WriteCtx
from . import Store
from .changes import ChangeLog
from .database import BUSY_MS
from .readers import ReadJob
from .writer import WriteJob, Written

T = TypeVar("T")

ROWS = 500
"""Rows removed in one write: few enough not to hold up anybody else's."""

PATIENCE_SECONDS = 60.0
"""How long such work may wait and run: longer than a client's, since nobody sits in front of it."""


CUT_MS = 100
"""How long the log may wait to be cut off until nothing reads it."""


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
        await self.given()
        return self.outcome()

    async def given(self) -> None:
        """Return when there is an outcome."""
        await self._given.wait()

    def outcome(self) -> T:
        """The result that was given. Raises the `KeptError` that came instead."""
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


async def write(
    store: Store, clock: Clock, run: Callable[[apsw.Connection], Written], *, frees_space: bool = True
) -> Written:
    """Have the writer run something, and wait for the commit. Raises `KeptError`.

    `frees_space` says that it makes room, so that it runs on a full disk as well.
    """
    answer: Answer[Written] = Answer()
    store.writer.submit(
        WriteJob(run, answer.give, clock.monotonic() + PATIENCE_SECONDS, size=0, frees_space=frees_space)
    )
    return await answer.wait()


async def sweep(ctx: JobCtx, method: str, step: Callable[[WriteCtx, int], int], limit: int = ROWS) -> int:
    """Remove or change what has run out, in small writes; returns how many rows. Raises `KeptError`.

    `step(ctx, limit)` deals with up to `limit` rows and tells how many; it runs again until it finds none, so that it
    may take fewer where they are large. `method` stands in the change log.
    """
    total = 0
    while done := await _step(ctx, method, step, limit):
        total += done
        ctx.progress(total, 0, "rows dealt with")
    return total


async def _step(ctx: JobCtx, method: str, step: Callable[[WriteCtx, int], int], limit: int) -> int:
    done = 0
    purgers = {entity: how for room in ctx.rooms for entity, how in room.purgers.items()}

    def run(db: apsw.Connection) -> Written:
        nonlocal done
        changes = ChangeLog(db, ctx.clock.now(), ctx.actor, method)
        full = ctx.store.writer.stats.state == "full"
        done = step(WriteCtx(db, ctx.clock, ctx.actor, ctx.config, changes, full, purgers=purgers), limit)
        return Written(b"", changes.last_seq)

    await write(ctx.store, ctx.clock, run)
    return done


async def write_alone(store: Store, clock: Clock, run: Callable[[apsw.Connection], Written]) -> Written:
    """Have the writer run something that needs its connection to itself, outside any transaction, as a batch of its
    own.

    Can't be cancelled: what comes of it is what comes of it. Raises `KeptError`.
    """
    answer: Answer[Written] = Answer()
    deadline = clock.monotonic() + PATIENCE_SECONDS
    store.writer.submit(WriteJob(run, answer.give, deadline, size=0, frees_space=True, alone=True))
    with anyio.CancelScope(shield=True):
        await answer.given()
    return answer.outcome()


async def cut_log(store: Store, clock: Clock) -> bool:
    """Have all of SQLite's log in the database, and nothing in the log: it keeps what was overwritten until it is
    written anew. Whether that could be done: not while something reads. Raises `KeptError`."""
    await store.checkpoint()
    is_cut = False

    def cut(db: apsw.Connection) -> Written:
        nonlocal is_cut
        # Everybody else's writes wait meanwhile.
        db.set_busy_timeout(CUT_MS)
        try:
            busy, _, _ = next(db.execute("PRAGMA wal_checkpoint(TRUNCATE)"))
        finally:
            db.set_busy_timeout(BUSY_MS)
        is_cut = not busy
        return Written(b"", 0)

    await write_alone(store, clock, cut)
    return is_cut
