"""Housekeeping: runs the rooms' sweeps from time to time, in small writes that go the way of any other write."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import anyio
import apsw
import structlog

from kept.wire import Actor
from kept.wire.errors import KeptError

from .clock import Clock
from .config import Config
from .domain import Sweep, WriteCtx
from .store import Store, receipts
from .store.background import write
from .store.changes import ChangeLog
from .store.writer import Written

log = structlog.get_logger(__name__)

ROWS = 500
"""Rows removed in one write: few enough not to hold up anybody else's."""

_HOUR = 3_600_000_000


async def keep_house(
    store: Store, clock: Clock, config: Callable[[], Config], sweeps: Iterable[Sweep], actor: Actor
) -> None:
    """Sweep at the configured interval, until cancelled."""
    while True:
        for sweep in sweeps:
            while await _sweep(store, clock, config(), sweep, actor) == ROWS:
                pass
        await anyio.sleep(config().expiry.sweep_seconds)


async def _sweep(store: Store, clock: Clock, config: Config, sweep: Sweep, actor: Actor) -> int:
    """One write of a sweep: how many rows it removed; 0 where it was refused, as on a failing disk."""
    removed = 0

    def run(db: apsw.Connection) -> Written:
        nonlocal removed
        changes = ChangeLog(db, clock.now(), actor, sweep.name)
        full = store.writer.stats.state == "full"
        removed = sweep.run(WriteCtx(db, clock, actor, config, changes, full), ROWS)
        return Written(b"", changes.last_seq)

    try:
        await write(store, clock, run)
    except KeptError as refusal:
        log.warning("sweep refused", sweep=sweep.name, reason=refusal.type)
        return 0
    return removed


def forget_receipts(ctx: WriteCtx, limit: int) -> int:
    """The store's own sweep: receipts that nobody may rely on any more."""
    return receipts.sweep(ctx.db, ctx.clock.now() - ctx.config.storage.receipt_hours * _HOUR, limit)


RECEIPTS = Sweep("receipt.expire", forget_receipts)
