"""job.*: what the daemon does by itself, when, and how it went. Pausing is kept across restarts; the other calls store
nothing."""

from __future__ import annotations

from typing import Annotated, Literal, NewType

from msgspec import Meta, Struct

from . import Control, Cursor, Limit, Page, Time
from .errors import Conflict, NotFound, StorageFailed, StorageFull

JobName = NewType("JobName", str)
RunId = NewType("RunId", str)

Name = Annotated[
    str, Meta(min_length=1, max_length=64, pattern="^[a-z]+\\.[a-z_]+$", description="The job's name, as in job.list.")
]
Result = Literal["ok", "failed", "timeout", "interrupted"]


class Job(Struct, frozen=True, kw_only=True):
    """A job, its schedule, and its last run."""

    name: JobName
    description: str
    schedule: str
    """`every 24h`, a cron expression, or `off`."""
    paused: bool
    running: bool
    next_at: Time | None
    """When it is due by the present time; None where it is paused, off, or running."""
    last_at: Time | None
    last_seconds: float | None
    last_result: str | None
    last_error: str | None
    failures: int
    """Failures in a row, interrupted runs included; each makes the next try later."""


class Run(Struct, frozen=True, kw_only=True):
    """One run of a job."""

    id: RunId
    job: JobName
    started_at: Time
    seconds: float
    result: str
    summary: str
    """What it did, or why it failed."""
    asked_by: str | None
    """Who asked for it; None where it was due."""


class ListJobs(Control[Page[Job]], frozen=True, kw_only=True):
    """Every job, with its schedule and how it went."""

    method = "job.list"


class RunJob(Control[Run], frozen=True, kw_only=True):
    """Run a job now, paused or not, and wait for its end; refused with `conflict` while it runs. `$/progress` tells how
    far it is. Who stops waiting doesn't stop the job."""

    method = "job.run"
    errors = (NotFound, Conflict)

    name: Name


class JobHistory(Control[Page[Run]], frozen=True, kw_only=True):
    """Runs, newest first; of one job, or of all. The last 200 of each job are kept. On a full disk they are written
    when there is room again."""

    method = "job.history"
    errors = (NotFound,)

    name: Name | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


class PauseJob(Control[Job], frozen=True, kw_only=True):
    """Don't run a job until it is resumed, also across restarts. A run that has begun goes on."""

    method = "job.pause"
    errors = (NotFound, StorageFull, StorageFailed)

    name: Name


class ResumeJob(Control[Job], frozen=True, kw_only=True):
    """Let a paused job run when it is due, which may be at once. What it missed comes once."""

    method = "job.resume"
    errors = (NotFound, StorageFull, StorageFailed)

    name: Name
