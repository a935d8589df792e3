"""What the trash does by itself: it removes for good what nobody restored in time."""

from __future__ import annotations

import apsw

from ..domain import JobCtx
from ..jobs.declare import job
from ..store.background import write
from ..store.changes import ChangeLog
from ..store.writer import Written
from . import store

ROWS = 100
"""Removed in one write: a snapshot may take a megabyte, and nobody else should wait for long."""


@job("trash.empty", setting="trash_empty", timeout=600)
async def empty_trash(ctx: JobCtx) -> str:
    """Remove for good what was deleted longer ago than trash.keep_days."""
    total = 0
    while removed := await _step(ctx):
        total += removed
        ctx.progress(total, 0, "removing for good")
    return f"{total} removed for good" if total else "nothing was due"


async def _step(ctx: JobCtx) -> int:
    removed = 0

    def run(db: apsw.Connection) -> Written:
        nonlocal removed
        changes = ChangeLog(db, ctx.clock.now(), ctx.actor, "trash.empty")
        removed = store.purge(db, ctx.clock.now(), ROWS)
        if removed:
            changes.add("trash", "", f"{removed} removed")
        return Written(b"", changes.last_seq)

    await write(ctx.store, ctx.clock, run)
    return removed
