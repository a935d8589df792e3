"""Looks that are not in the audit list yet: handed to the writer, many in one write.

The first is handed over at once; those that come while it is being written go together with the next write. So a busy
reader costs few commits, and a killed daemon leaves out what came within its last one. Whatever changes the vault hands
over what waits before it, so that the list is in the order of what happened.
"""

from __future__ import annotations

from collections.abc import Sequence

import apsw
import structlog

from kept.wire import Actor
from kept.wire.errors import KeptError

from ..clock import Clock
from ..store import Store
from ..store.background import PATIENCE_SECONDS
from ..store.writer import Outcome, WriteJob, Written
from . import audit
from .audit import Note

log = structlog.get_logger(__name__)


class Diary:
    """What one daemon still has to write down. Lives on the loop."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, Actor, Note]] = []
        self._is_writing = False
        self._place: tuple[Store, Clock] | None = None

    def add(self, store: Store, clock: Clock, caller: Actor, note: Note) -> None:
        """Write it down soon."""
        self._place = store, clock
        self._waiting.append((clock.now(), caller, note))
        if not self._is_writing:
            self.hand_over()

    def hand_over(self) -> None:
        """Give the writer all that waits."""
        if not self._waiting or self._place is None:
            return
        store, clock = self._place
        notes, self._waiting = self._waiting, []
        self._is_writing = True

        def run(db: apsw.Connection) -> Written:
            for at, caller, note in notes:
                audit.add(db, at, caller, note)
            return Written(b"", 0)

        def done(outcome: Outcome) -> None:
            self._is_writing = False
            _warn(outcome, notes)
            self.hand_over()

        deadline = clock.monotonic() + PATIENCE_SECONDS
        store.writer.submit(WriteJob(run, done, deadline, size=0, name="vault.audit"))


def _warn(outcome: Outcome, notes: Sequence[object]) -> None:
    if isinstance(outcome, KeptError):
        log.warning("the vault's audit list misses something", looks=len(notes), reason=outcome.type)
