"""Handlers of maintenance.*."""

from __future__ import annotations

import msgspec

from kept.wire.errors import InvalidParams
from kept.wire.maintenance import (
    CheckDatabase,
    Checkup,
    DatabaseStats,
    Finding,
    Optimized,
    OptimizeDatabase,
    Size,
    Stats,
)

from ..home import size_of
from ..offload import in_thread
from ..rpc.control import ControlCtx, Daemon
from ..rpc.methods import serves
from ..store.background import read
from . import rules, store
from .check import Checker
from .optimize import optimize

SLOWEST = 20
"""Methods shown: those that took the longest in all."""

_encode = msgspec.json.Encoder().encode
_decode_sizes = msgspec.json.Decoder(tuple[store.Pages, tuple[Size, ...]]).decode


@serves
async def check_database(ctx: ControlCtx, call: CheckDatabase) -> Checkup:
    """On a thread and a snapshot of its own; nothing waits for it."""
    checker = Checker(ctx.store, ctx.rooms, ctx.self_reports(), ctx.config, ctx.clock, (_of_settings(ctx.daemon),))
    return await in_thread(lambda tell: checker.run(tell, quick=call.quick), ctx.progress)


def _of_settings(daemon: Daemon) -> Finding:
    try:
        return rules.settings(None, daemon.unapplied())
    except InvalidParams as wrong:
        return rules.settings(wrong.message, ())


@serves
async def optimize_database(ctx: ControlCtx, _call: OptimizeDatabase) -> Optimized:
    """In small writes."""
    return await optimize(ctx.store, ctx.clock, ctx.rooms, ctx.progress)


@serves
async def database_stats(ctx: ControlCtx, _call: DatabaseStats) -> Stats:
    """The sizes come from a reader thread, the rest is at hand."""
    measured = await read(ctx.store, ctx.clock, lambda db: _encode((store.pages(db), store.sizes(db))))
    pages, sizes = _decode_sizes(measured)
    writer = ctx.store.writer.stats
    return Stats(
        database_bytes=pages.bytes,
        wal_bytes=size_of(f"{ctx.store.path}-wal"),
        free_pages=pages.free,
        page_bytes=pages.page_bytes,
        tables=sizes,
        slowest=ctx.timings()[:SLOWEST],
        commits=writer.commits,
        writes=writer.writes,
        mean_batch=round(writer.writes / writer.commits, 2) if writer.commits else 0.0,
        largest_batch=writer.largest_batch,
    )
