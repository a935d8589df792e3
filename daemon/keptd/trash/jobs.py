"""What the trash does by itself: it removes for good what nobody restored in time."""

from __future__ import annotations

from ..domain import JobCtx, WriteCtx
from ..jobs.declare import job
from ..store import ages
from ..store.background import sweep
from . import store
from .purge import let_go

ROWS = 100
"""Removed in one write: a snapshot may take a megabyte, and nobody else should wait for long."""


@job("trash.empty", setting="trash_empty", timeout=600)
async def empty_trash(ctx: JobCtx) -> str:
    """Remove for good what was deleted longer ago than trash.keep_days."""
    total = await sweep(ctx, "trash.empty", remove_due, ROWS)
    return f"{total} removed for good" if total else "nothing was due"


def remove_due(ctx: WriteCtx, limit: int) -> int:
    """One step of the sweep, by counted time; one change of the trash in the log."""
    gone = store.purge(ctx.db, ages.now(ctx.db, ctx.clock), limit)
    let_go(ctx, gone)
    if gone:
        ctx.changes.add("trash", "", f"{len(gone)} removed")
    return len(gone)
