"""The tables `job` and `job_run`: which jobs are paused, and how their runs went."""

from __future__ import annotations

from typing import Any

import apsw

from kept.wire import Page
from kept.wire.job import JobHistory, JobName, Run, RunId

from ..clock import to_micros, to_time
from ..store.pages import Order, page

KEPT = 200
"""Runs of each job that are kept."""

INTERRUPTED = "the daemon ended during this run"

Row = tuple[Any, ...]

_COLUMNS = "seq, id, job, started_at, seconds, ifnull(result, 'interrupted'), summary, asked_by"
_ORDER = Order("job.history", int)

LAST = f"SELECT {_COLUMNS} FROM job_run WHERE job = ? ORDER BY seq DESC LIMIT 1"
FAILURES = (
    "SELECT count(*) FROM job_run WHERE job = :job AND seq > "
    "ifnull((SELECT max(seq) FROM job_run WHERE job = :job AND +result = 'ok'), 0)"
)
PRUNE = (
    "DELETE FROM job_run WHERE job = :job AND seq <= "
    "(SELECT seq FROM job_run WHERE job = :job ORDER BY seq DESC LIMIT 1 OFFSET :kept)"
)
INTERRUPT = "UPDATE job_run SET result = 'interrupted', summary = :summary WHERE result IS NULL"


def settle(db: apsw.Connection) -> None:
    """At the start: mark what the last end of the daemon cut off."""
    db.execute(INTERRUPT, {"summary": INTERRUPTED})


def has_run(db: apsw.Connection, name: str) -> bool:
    """Whether a job of that name has ever run."""
    return db.execute("SELECT 1 FROM job_run WHERE job = ? LIMIT 1", (name,)).fetchone() is not None


def paused(db: apsw.Connection, name: str) -> bool:
    """Whether a job is paused."""
    row = db.execute("SELECT paused FROM job WHERE name = ?", (name,)).fetchone()
    return row is not None and bool(row[0])


def set_paused(db: apsw.Connection, name: str, *, to: bool) -> bool:
    """Pause or resume a job; whether that changed anything."""
    db.execute(
        "INSERT INTO job (name, paused) VALUES (?, ?) "
        "ON CONFLICT (name) DO UPDATE SET paused = excluded.paused WHERE paused <> excluded.paused",
        (name, to),
    )
    return db.changes() > 0


def begin(db: apsw.Connection, run: RunId, job: JobName, started_at: int, asked_by: str | None) -> None:
    """A run has begun, at `started_at` in microseconds."""
    db.execute(
        "INSERT INTO job_run (id, job, started_at, seconds, summary, asked_by) VALUES (?, ?, ?, 0.0, '', ?)",
        (run, job, started_at, asked_by),
    )


def end(db: apsw.Connection, run: Run) -> None:
    """A run has ended, whether or not its beginning was written. Drops all but the last `KEPT` of the job."""
    db.execute(
        "INSERT INTO job_run (id, job, started_at, seconds, result, summary, asked_by) VALUES (?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (id) DO UPDATE SET "
        "seconds = excluded.seconds, result = excluded.result, summary = excluded.summary",
        (run.id, run.job, to_micros(run.started_at), run.seconds, run.result, run.summary, run.asked_by),
    )
    db.execute(PRUNE, {"job": run.job, "kept": KEPT})


def last(db: apsw.Connection, name: str) -> Run | None:
    """A job's last run; one without an end counts as interrupted."""
    return next(map(_run, db.execute(LAST, (name,))), None)


def failures(db: apsw.Connection, name: str) -> int:
    """How many of a job's last runs were not ok, in a row."""
    row = db.execute(FAILURES, {"job": name}).fetchone()
    return int(row[0]) if row else 0


def history(db: apsw.Connection, call: JobHistory) -> Page[Run]:
    """Runs that have ended, newest first. Raises `InvalidParams` naming `cursor`."""
    (before,) = _ORDER.after(call.cursor) or (2**63 - 1,)
    sql, bindings = history_query(call.name, before, call.limit + 1)
    return page(db.execute(sql, bindings), call.limit, _run, lambda row: _ORDER.cursor(row[0]))


def history_query(name: str | None, before: int, limit: int) -> tuple[str, dict[str, Any]]:
    """The statement of `history` and its bindings."""
    narrow = "job = :job AND " if name is not None else ""
    sql = (
        f"SELECT {_COLUMNS} FROM job_run WHERE {narrow}seq < :before AND +result IS NOT NULL "
        "ORDER BY seq DESC LIMIT :limit"
    )
    return sql, {"job": name, "before": before, "limit": limit}


def _run(row: Row) -> Run:
    return Run(
        id=RunId(row[1]),
        job=JobName(row[2]),
        started_at=to_time(row[3]),
        seconds=row[4],
        result=row[5],
        summary=row[6] or INTERRUPTED,
        asked_by=row[7],
    )
