"""Looks that are not in the audit list yet: handed to the writer, many in one write.

A look after a quiet moment is handed over at once. Those that come within `PACE_SECONDS` of it wait for the end of that
time and go together, since a commit for each would take the interpreter from who reads on: it made a busy reader's look
eleven times as long as a read of memory, and this makes it three. So a killed daemon leaves out what came within its
last twentieth of a second, and what its writer had not come to, as during a restore. Whatever changes the vault, or
asks for the audit list, hands over what waits before it, so that the list is whole and in the order of what happened.
Where everything is deleted, so is what waits.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import apsw
import structlog

from kept.wire import Actor
from kept.wire.errors import KeptError

from ..clock import Clock
from ..store import Store
from ..store.background import PATIENCE_SECONDS
from ..store.writer import Outcome, WriteJob, Written
from . import audit, store
from .audit import Note

log = structlog.get_logger(__name__)


PACE_SECONDS = 0.05
"""Between two writes of a busy reader's looks."""

MOST = 1000
"""Looks that wait at most: a write of that many takes the writer some milliseconds."""


class AuditQueue:
    """What one daemon still has to write down. Lives on the loop."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, Actor, Note]] = []
        self._writing = 0
        self._handed: float | None = None
        """When, on the monotonic clock, something was last handed over."""
        self._place: tuple[Store, Clock] | None = None
        self._begun = anyio.Event()
        """Something waits."""
        self._settled = anyio.Event()
        """Nothing is being written."""

    def add(self, kept: Store, clock: Clock, caller: Actor, note: Note) -> None:
        """Write it down soon."""
        self._place = kept, clock
        self._waiting.append((clock.now(), caller, note))
        is_quiet = self._handed is None or clock.monotonic() - self._handed >= PACE_SECONDS
        if is_quiet or len(self._waiting) >= MOST:
            self.hand_over()
        else:
            self._begun.set()

    async def pace(self, clock: Clock) -> None:
        """Hand over what waits, from time to time, without end."""
        while True:
            await self._begun.wait()
            await clock.wait(PACE_SECONDS)
            self._begun = anyio.Event()
            self.hand_over()

    async def settled(self) -> None:
        """Return when everything that was added is written down, or can't be."""
        self.hand_over()
        if self._writing:
            await self._settled.wait()

    def hand_over(self) -> None:
        """Give the writer all that waits."""
        if not self._waiting or self._place is None:
            return
        kept, clock = self._place
        notes, self._waiting = self._waiting, []
        self._handed = clock.monotonic()
        if not self._writing:
            self._settled = anyio.Event()
        self._writing += 1

        def run(db: apsw.Connection) -> Written:
            # Where everything was deleted meanwhile, nothing tells of it.
            for at, caller, note in notes if store.head(db) is not None else ():
                audit.add(db, at, caller, note)
            return Written(b"", 0)

        def done(outcome: Outcome) -> None:
            _warn(outcome, notes)
            self._writing -= 1
            if not self._writing:
                self._settled.set()

        deadline = clock.monotonic() + PATIENCE_SECONDS
        kept.writer.submit(WriteJob(run, done, deadline, size=0, name="vault.audit"))


def _warn(outcome: Outcome, notes: Sequence[object]) -> None:
    if isinstance(outcome, KeptError):
        log.warning("the vault's audit list misses something", looks=len(notes), reason=outcome.type)
