"""What the journal does by itself: old actions move to monthly archives."""

from __future__ import annotations

import apsw

from ..clock import DAY
from ..domain import JobCtx, Tell
from ..jobs.declare import job
from ..offload import in_thread
from ..store import ages
from ..store.background import write
from ..store.changes import ChangeLog
from ..store.writer import Written
from . import store

ROWS = 200
"""Actions removed from the table in one write: nobody else should wait for long."""


@job("journal.archive", setting="journal_archive", timeout=3600)
async def archive_actions(ctx: JobCtx) -> str:
    """Move old actions to monthly archives, where action.list goes on to find them."""

    def move_out(tell: Tell) -> list[store.Moved]:
        with ctx.store.snapshot() as db:
            before = ages.before(db, ctx.clock, ctx.config.journal.archive_after_days * DAY)
            return store.move_out(db, before, lambda count: tell(count, 0, "archiving actions"))

    async with ctx.store.upkeep.hold():
        moved = await in_thread(move_out, ctx.progress)
        for month in moved:
            await _forget(ctx, month)
    if not moved:
        return "no action is old enough"
    return f"{sum(month.actions for month in moved)} actions archived ({', '.join(month.month for month in moved)})"


async def _forget(ctx: JobCtx, month: store.Moved) -> None:
    """Remove from the table what is in the archive, in small steps; the last of them is a change in the log."""
    removed = ROWS
    while removed == ROWS:

        def run(db: apsw.Connection) -> Written:
            nonlocal removed
            changes = ChangeLog(db, ctx.clock.now(), ctx.actor, "journal.archive")
            removed = store.forget_actions(db, month.last, ROWS)
            if removed < ROWS:
                changes.add("archive", month.month, f"{month.actions} actions")
            return Written(b"", changes.last_seq)

        await write(ctx.store, ctx.clock, run)
