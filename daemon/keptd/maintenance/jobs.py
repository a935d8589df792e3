"""What maintenance does by itself: it optimizes, and it checks."""

from __future__ import annotations

import structlog

from kept.wire.errors import StorageFailed

from ..domain import JobCtx
from ..jobs.declare import job
from ..offload import in_thread
from .check import Checker
from .optimize import optimize

log = structlog.get_logger(__name__)


@job("maintenance.optimize", setting="maintenance_optimize", timeout=3600)
async def optimize_database(ctx: JobCtx) -> str:
    """Bring statistics up to date, merge text indexes, and give free pages back to the disk."""
    done = await optimize(ctx.store, ctx.clock, ctx.rooms, ctx.progress)
    return f"{', '.join(done.did)}; {done.freed_bytes} bytes freed"


@job("maintenance.check", setting="maintenance_check", timeout=3600)
async def check_database(ctx: JobCtx) -> str:
    """Read the whole database and check it. A problem makes the job fail, so that it shows in the status."""
    checker = Checker(ctx.store, ctx.rooms, ctx.self_reports(), ctx.config, ctx.clock)
    found = await in_thread(lambda tell: checker.run(tell, quick=False), ctx.progress)
    problems = [finding for finding in found.findings if finding.verdict == "problem"]
    if problems:
        log.warning("check found problems", what=[finding.what for finding in problems])
        first = problems[0]
        raise StorageFailed(f"{first.what}: {first.detail}", hint=first.next_step or "kept doctor says more.")
    warnings = sum(finding.verdict == "warning" for finding in found.findings)
    return f"all is well; {warnings} warnings" if warnings else "all is well"
