"""The store's own upkeep that is due from time to time: idempotency keys are forgotten."""

from __future__ import annotations

from ..domain import JobCtx, WriteCtx
from ..store import ages, receipts
from ..store.background import sweep
from .declare import job

_HOUR = 3_600_000_000


@job("receipt.expire", setting="receipt_expire", timeout=600)
async def expire_receipts(ctx: JobCtx) -> str:
    """Forget the idempotency keys that nobody may rely on any more."""
    return f"{await sweep(ctx, 'receipt.expire', forget_receipts)} forgotten"


def forget_receipts(ctx: WriteCtx, limit: int) -> int:
    """One step of the sweep."""
    return receipts.sweep(ctx.db, ages.before(ctx.db, ctx.clock, ctx.config.storage.receipt_hours * _HOUR), limit)
