"""What this room does by itself: archives that nobody fetched go."""

from __future__ import annotations

from ..domain import JobCtx
from ..jobs.declare import job
from ..offload import in_thread
from ..transfers import DAY_SECONDS, Transfers


@job("data.tidy", setting="data_tidy", timeout=600)
async def tidy(ctx: JobCtx) -> str:
    """Remove exports that nobody fetched, and imports that nobody finished, within a day."""
    removed = await in_thread(lambda _: Transfers(ctx.store.path.parent).tidy(DAY_SECONDS), ctx.progress)
    return f"{removed} archives removed" if removed else "nothing was left over"
