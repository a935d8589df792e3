"""Jobs and their runs as people read them: what each does now, when it is due, how it went, and the next step."""

from __future__ import annotations

from ..wire import Page
from ..wire.job import Job, JobHistory, ListJobs, PauseJob, ResumeJob, Run
from .prose import paragraph
from .surface import Surface
from .table import Row, show_rows, table
from .text import clean, one_line, took
from .views import Views, views


class _JobRow(Row, frozen=True, kw_only=True):
    last_columns = ("took",)
    right_columns = ("took",)

    name: str
    state: str
    last_run: str
    took: str
    result: str
    next_due: str


def show_jobs(page: Page[Job], surface: Surface) -> None:
    """A table, and below it what fails."""
    if not page.items:
        surface.note("no jobs")
        return
    surface.out(table([_job_row(job, surface) for job in page.items], surface))
    for job in page.items:
        if job.last_error is not None:
            again = f" ({job.failures} times in a row)" if job.failures > 1 else ""
            said = f"{clean(job.name)} {outcome(job.last_result)}{again}: {one_line(job.last_error)}"
            paragraph(said, surface, "", f"to try it again: kept job run {clean(job.name)}")


def _job_row(job: Job, surface: Surface) -> _JobRow:
    return _JobRow(
        name=clean(job.name),
        state=state(job),
        last_run="never" if job.last_at is None else surface.when(job.last_at),
        took="" if job.last_seconds is None else took(job.last_seconds),
        result=outcome(job.last_result),
        next_due="" if job.next_at is None else _due(job, surface),
    )


def _due(job: Job, surface: Surface) -> str:
    assert job.next_at is not None
    return "now" if surface.terminal and job.next_at <= surface.now else surface.when(job.next_at)


class _RunRow(Row, frozen=True, kw_only=True):
    last_columns = ("took", "asked_by")
    right_columns = ("took",)

    job: str
    started: str
    took: str
    result: str
    summary: str
    asked_by: str


def show_runs(page: Page[Run], surface: Surface) -> None:
    """One line for each run."""
    rows = [
        _RunRow(
            job=clean(run.job),
            started=surface.when(run.started_at),
            took=took(run.seconds),
            result=outcome(run.result),
            summary=one_line(run.summary),
            asked_by=one_line(run.asked_by or ""),
        )
        for run in page.items
    ]
    show_rows(rows, surface, nothing="nothing has run yet; kept job run NAME runs a job now", cursor=page.next_cursor)


def show_run(run: Run, surface: Surface) -> None:
    """How it went."""
    said = f"{clean(run.job)} {'was done' if run.result == 'ok' else outcome(run.result)} in {took(run.seconds)}"
    summary = one_line(run.summary)
    step = "" if run.result == "ok" else f"to see how it went before: kept job history {clean(run.job)}"
    paragraph(f"{said}: {summary}" if summary else said, surface, "", step)


def show_paused(job: Job, surface: Surface) -> None:
    """That it is paused, or when it is due."""
    name = clean(job.name)
    if job.paused:
        surface.line(f"paused {name}; kept job resume {name} lets it run again")
    elif job.next_at is not None:
        surface.line(f"{name} may run again; it is due {_due(job, surface)}")
    else:
        surface.line(f"{name} may run again" + ("; its schedule is off" if job.schedule == "off" else ""))


def state(job: Job) -> str:
    """What it does now, in a word."""
    if job.running:
        return "running"
    if job.paused:
        return "paused"
    return "off" if job.schedule == "off" else "waiting"


def outcome(result: str | None) -> str:
    """How a run ended, in words that follow the job's name."""
    return {"timeout": "timed out", "interrupted": "was interrupted"}.get(result or "", one_line(result or ""))


JOBS: Views = views(
    {
        ListJobs: show_jobs,
        JobHistory: show_runs,
        Run: show_run,
        PauseJob: show_paused,
        ResumeJob: show_paused,
    }
)
