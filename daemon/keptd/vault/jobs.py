"""What the vault does from time to time: see that it is locked, and forget what its audit list need not tell any more.

It is locked in time whether the job runs or is paused: `background` waits for that moment.
"""

from __future__ import annotations

from ..clock import DAY, SECOND
from ..domain import JobCtx, WriteCtx
from ..jobs.declare import job
from ..store.background import sweep
from . import audit, store
from .visit import Visit

_HOUR = 3600 * SECOND


@job("vault.auto_lock", setting="vault_auto_lock", timeout=60)
async def auto_lock(ctx: JobCtx) -> str:
    """See that the vault is locked where its time is over. It locks itself in time without this job as well."""
    return "locked" if Visit.of_job(ctx, "vault.auto_lock").lock_if_due() else "nothing to lock"


@job("vault.tidy", setting="vault_tidy", timeout=600)
async def tidy(ctx: JobCtx) -> str:
    """Forget old entries of the audit list, and the idempotency keys of former changes."""
    forgotten = await sweep(ctx, "vault.tidy", trim)
    await sweep(ctx, "vault.tidy", sweep_receipts)
    return f"{forgotten} forgotten"


def trim(ctx: WriteCtx, limit: int) -> int:
    """One step of the audit list's."""
    settings = ctx.config.vault
    return audit.trim(ctx.db, ctx.clock.now() - settings.audit_days * DAY, settings.audit_rows, limit)


def sweep_receipts(ctx: WriteCtx, limit: int) -> int:
    """One step of the receipts'."""
    return store.sweep_receipts(ctx.db, ctx.clock.now() - ctx.config.storage.receipt_hours * _HOUR, limit)
