"""What memory does from time to time: move expired entries into the history, or out where the disk is full."""

from __future__ import annotations

from ..domain import Sweep, WriteCtx
from . import store


def expire(ctx: WriteCtx, limit: int) -> int:
    """Sweep up to `limit` expired entries; each is a change."""
    rows = store.sweep(ctx.db, ctx.clock.now(), limit, keep=not ctx.full)
    for row in rows:
        ctx.changes.add("memory", row.id, row.label)
    return len(rows)


SWEEP = Sweep("memory.expire", expire)
