"""What memory does from time to time: move expired entries into the history, or out where the disk is full."""

from __future__ import annotations

from ..domain import JobCtx, WriteCtx
from ..jobs.declare import job
from ..store.background import sweep
from . import store


@job("memory.expire", setting="memory_expire", timeout=600)
async def expire(ctx: JobCtx) -> str:
    """Move expired memories into the history."""
    return f"{await sweep(ctx, 'memory.expire', move_expired)} expired"


def move_expired(ctx: WriteCtx, limit: int) -> int:
    """One step of the sweep; each entry is a change."""
    rows = store.sweep(ctx.db, ctx.clock.now(), limit, keep=not ctx.full)
    for row in rows:
        ctx.changes.add("memory", row.id, row.label)
    return len(rows)
