"""A line in the change log for files that were put together again, as a recovery of the database makes one itself."""

from __future__ import annotations

import apsw
import structlog

from kept.wire import Actor
from kept.wire.errors import KeptError
from kept.wire.event import DATABASE

from ..clock import Clock
from ..store import Store, changes
from ..store.background import write
from ..store.writer import Written
from .report import Report

log = structlog.get_logger(__name__)


async def tell(found: Report | None, store: Store, clock: Clock, actor: Actor) -> None:
    """Write it; a store that refuses leaves it to the log."""
    if found is None:
        return

    def run(db: apsw.Connection) -> Written:
        log_of_changes = changes.ChangeLog(db, clock.now(), actor, changes.RECOVERY)
        log_of_changes.add(DATABASE, found.stamp, found.lost)
        return Written(b"", log_of_changes.last_seq)

    try:
        await write(store, clock, run)
    except KeptError as refusal:
        log.warning("the recovery of files is not in the change log", reason=refusal.type)
