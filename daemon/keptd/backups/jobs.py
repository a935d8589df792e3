"""The backup that is made by itself, and what is thinned out after it."""

from __future__ import annotations

from functools import partial

from ..domain import JobCtx
from ..jobs.declare import job
from .beside import Original
from .create import SHARE, Wanted, make_and_verify, thin_out
from .place import Place
from .work import Work, on_thread


@job("backup.create", setting="backup_create", timeout=4 * 3600)
async def create(ctx: JobCtx) -> str:
    """Back the database up, check the backup, and thin out older ones."""
    place, store = Place.of(ctx.store), ctx.store

    def tell(done: int, total: int, text: str) -> None:
        store.completions.post(partial(ctx.progress, done, total, text))

    work = Work(ctx.clock, tell, SHARE)

    def run() -> str:
        made = make_and_verify(
            place, Wanted(Original.of(store, ctx.rooms), "automatic"), store.migrations, ctx.clock, work
        )
        thinned = thin_out(place, ctx.clock)
        return f"{made.id}: {made.bytes:,} bytes, verified; {len(thinned)} older backups thinned out"

    async with store.upkeep.hold():
        return await on_thread(store.completions, work, run)
