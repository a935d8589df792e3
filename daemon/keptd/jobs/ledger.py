"""The ledger: what the runner writes down of runs, and reads again at the next start.

It goes through the writer like all else, with a look at the clocks for the count of time (`store.ages`). What a full
or failing disk refuses is kept in memory and written with the next run; the jobs run all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import apsw
import msgspec
import structlog

from kept.wire import Page
from kept.wire.errors import KeptError, NotFound
from kept.wire.job import JobHistory, JobName, Run, RunId

from ..clock import SECOND, Clock, to_micros
from ..store import Store, ages
from ..store.background import read, write
from ..store.database import FAULTS
from ..store.writer import Written
from . import store as runs
from .schedule import Past

log = structlog.get_logger(__name__)

UNSAVED = 200
"""Runs that wait in memory for room on the disk; the oldest are dropped."""

_encode = msgspec.json.Encoder().encode
_decode_page = msgspec.json.Decoder(Page[Run]).decode


class Before(NamedTuple):
    """What is known of a job from before this start."""

    paused: bool = False
    last: Run | None = None
    failures: int = 0

    @property
    def past(self) -> Past | None:
        """The same as its timer wants it."""
        if self.last is None:
            return None
        started = to_micros(self.last.started_at)
        return Past(started, started + round(self.last.seconds * SECOND), self.failures)


class Ledger:
    """The history of all jobs. Lives on the loop's thread."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._unsaved: dict[RunId, Run] = {}
        self._refused = False

    def before(self, name: str) -> Before:
        """What is known of a job."""
        db = self._store.inline
        try:
            return Before(runs.paused(db, name), runs.last(db, name), runs.failures(db, name))
        except FAULTS as fault:
            self._store.damage.heed(fault)
            # A damaged history must not keep the daemon, which may have to mend it, from its start.
            log.warning("the history of a job can't be read", job=name, fault=type(fault).__name__)
            return Before()

    def forget(self) -> None:
        """Let go of the runs that wait to be written."""
        self._unsaved.clear()

    async def settle(self) -> None:
        """At the start: mark what the last end of the daemon cut off."""
        await self._try_to_write(runs.settle)

    async def begin(self, run: RunId, job: JobName, started_at: int, asked_by: str | None) -> None:
        """A run has begun, at `started_at` in microseconds: so that it is known if it never ends."""
        await self._try_to_write(lambda db: runs.begin(db, run, job, started_at, asked_by))

    async def end(self, run: Run) -> None:
        """A run has ended."""
        self._unsaved[run.id] = run
        while len(self._unsaved) > UNSAVED:
            del self._unsaved[next(iter(self._unsaved))]
        await self._try_to_write(lambda _db: None)

    async def page(self, call: JobHistory, *, known: bool) -> Page[Run]:
        """Runs, newest first. Raises `NotFound` for a job that is not `known` and has never run, `InvalidParams` naming
        `cursor`, and `StorageFailed`."""

        def run(db: apsw.Connection) -> bytes:
            if not known and call.name is not None and not runs.has_run(db, call.name):
                raise unknown()
            return _encode(runs.history(db, call))

        return _decode_page(await read(self._store, self._clock, run))

    async def _try_to_write(self, change: Callable[[apsw.Connection], None]) -> None:
        """Write what could not be written before, in its order, and then this: the jobs can do without."""
        waiting = list(self._unsaved.values())

        def run(db: apsw.Connection) -> Written:
            for one in waiting:
                runs.end(db, one)
            change(db)
            ages.look(db, self._clock)
            return Written(b"", 0)

        try:
            await write(self._store, self._clock, run, frees_space=False)
        except KeptError as refusal:
            if not self._refused:
                log.warning("the history of the jobs waits for the disk", reason=refusal.type)
            self._refused = True
            return
        self._refused = False
        for one in waiting:
            self._unsaved.pop(one.id, None)


def unknown() -> NotFound:
    """There is no job of the name that was asked for."""
    return NotFound("there is no such job", hint="job.list shows the jobs.")
