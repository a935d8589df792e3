"""Handlers of job.*."""

from __future__ import annotations

from kept.wire import Page
from kept.wire.job import Job, JobHistory, ListJobs, PauseJob, ResumeJob, Run, RunJob

from ..rpc.control import ControlCtx
from ..rpc.methods import serves


@serves
def list_jobs(ctx: ControlCtx, _call: ListJobs) -> Page[Job]:
    return Page(items=ctx.daemon.jobs.listed())


@serves
async def run_job(ctx: ControlCtx, call: RunJob) -> Run:
    return await ctx.daemon.jobs.run_now(call.name, ctx.peer.actor, ctx.progress)


@serves
async def job_history(ctx: ControlCtx, call: JobHistory) -> Page[Run]:
    return await ctx.daemon.jobs.history(call)


@serves
async def pause_job(ctx: ControlCtx, call: PauseJob) -> Job:
    return await ctx.daemon.jobs.pause(call.name, ctx.peer.actor)


@serves
async def resume_job(ctx: ControlCtx, call: ResumeJob) -> Job:
    return await ctx.daemon.jobs.resume(call.name, ctx.peer.actor)
