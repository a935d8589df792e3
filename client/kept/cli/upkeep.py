"""Backups, jobs, checks, sizes and the trash as people read them: what there is, what is wrong, and the next step.

Each is a function of a result and a surface. What reads well as a plain entity or table is not here.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from ..wire import Done, Page
from ..wire.backup import Backup, Backups, CreateBackup, DeleteBackup, Restored, VerifyBackup
from ..wire.job import Job, JobHistory, ListJobs, PauseJob, ResumeJob, Run
from ..wire.maintenance import Checkup, Finding, Recovery, Stats
from ..wire.trash import Emptied, ListTrash, RestoreTrash, Trashed
from .surface import Surface
from .table import Row, table
from .text import age, clean, counted, duration, one_line, size, stamp, took

_ROWS = 12
"""Rows of a table of sizes or times that are shown: the largest; --json has them all."""

_WIDEST_PROSE = 100


class _BackupRow(Row, frozen=True, kw_only=True):
    right_columns = ("age", "size")

    id: str
    age: str
    what: str
    size: str
    rows: int
    check: str


def show_backups(backups: Backups, surface: Surface) -> None:
    """A table, a line with the total, and what is wrong with which."""
    if not backups.items:
        surface.note("no backups yet; kept backup create makes one")
        return
    surface.out(table([_backup_row(backup, surface) for backup in backups.items], surface))
    surface.line(f"{counted(len(backups.items), 'backup')}, {size(backups.bytes)} in {clean(backups.folder)}")
    for backup in backups.items:
        if backup.problem is not None:
            surface.line(f"{clean(backup.id)} can't be restored: {one_line(backup.problem)}")


def _backup_row(backup: Backup, surface: Surface) -> _BackupRow:
    kind = one_line((backup.kind or "unknown").replace("_", " "))
    own = backup.label is not None and backup.kind in ("manual", None)
    check = "verified" if backup.verified_at is not None else "not yet"
    return _BackupRow(
        id=clean(backup.id),
        age=_age(backup.created_at, surface),
        what=one_line(backup.label or "") if own else kind,
        size=size(backup.bytes),
        rows=backup.rows,
        check=check if backup.problem is None else "bad",
    )


def show_created(backup: Backup, surface: Surface) -> None:
    """What was made, and how to go back to it."""
    surface.line(f"backed up {counted(backup.rows, 'row')} as {clean(backup.id)} ({size(backup.bytes)}, verified)")
    surface.line(f"to go back to it: kept backup restore {clean(backup.id)}")


def show_verified(backup: Backup, surface: Surface) -> None:
    """That it would come back."""
    surface.line(f"{clean(backup.id)} is sound: {counted(backup.rows, 'row')} would come back ({size(backup.bytes)})")


def show_restored(restored: Restored, surface: Surface) -> None:
    """What was gone back to, and how to undo it."""
    backup = restored.backup
    made = f"made {_when(backup.created_at, surface)}, {counted(backup.rows, 'row')}"
    surface.line(f"went back to {clean(backup.id)} ({made})")
    surface.line("what was there before is kept as a backup")
    surface.line(f"to undo this: kept backup restore {clean(restored.undo_id)}")


def show_deleted(done: Done, surface: Surface) -> None:
    """That it is gone for good."""
    surface.line(f"deleted the backup {clean(done.id)}")
    surface.line("those that are left: kept backup list")


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
            said = f"{clean(job.name)} {_result(job.last_result)}{again}: {one_line(job.last_error)}"
            _paragraph(said, surface, "", f"to try it again: kept job run {clean(job.name)}")


def _job_row(job: Job, surface: Surface) -> _JobRow:
    if job.running:
        state = "running"
    elif job.paused:
        state = "paused"
    else:
        state = "off" if job.schedule == "off" else "waiting"
    return _JobRow(
        name=clean(job.name),
        state=state,
        last_run="never" if job.last_at is None else _when(job.last_at, surface),
        took="" if job.last_seconds is None else took(job.last_seconds),
        result=_result(job.last_result),
        next_due="" if job.next_at is None else _due(job, surface),
    )


def _due(job: Job, surface: Surface) -> str:
    assert job.next_at is not None
    return "now" if surface.terminal and job.next_at <= surface.now else _when(job.next_at, surface)


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
    if not page.items:
        surface.note("nothing has run yet; kept job run NAME runs a job now")
        return
    rows = [
        _RunRow(
            job=clean(run.job),
            started=_when(run.started_at, surface),
            took=took(run.seconds),
            result=_result(run.result),
            summary=one_line(run.summary),
            asked_by=one_line(run.asked_by or ""),
        )
        for run in page.items
    ]
    surface.out(table(rows, surface))
    surface.more(page.next_cursor)


def show_run(run: Run, surface: Surface) -> None:
    """How it went."""
    said = f"{clean(run.job)} {'was done' if run.result == 'ok' else _result(run.result)} in {took(run.seconds)}"
    summary = one_line(run.summary)
    step = "" if run.result == "ok" else f"to see how it went before: kept job history {clean(run.job)}"
    _paragraph(f"{said}: {summary}" if summary else said, surface, "", step)


def show_paused(job: Job, surface: Surface) -> None:
    """That it is paused, or when it is due."""
    name = clean(job.name)
    if job.paused:
        surface.line(f"paused {name}; kept job resume {name} lets it run again")
    elif job.next_at is not None:
        surface.line(f"{name} may run again; it is due {_due(job, surface)}")
    else:
        surface.line(f"{name} may run again" + ("; its schedule is off" if job.schedule == "off" else ""))


def _result(result: str | None) -> str:
    return {"timeout": "timed out", "interrupted": "was interrupted"}.get(result or "", one_line(result or ""))


def show_checkup(checkup: Checkup, surface: Surface) -> None:
    """A paragraph for each thing that was looked at, its next step below it, and what recoveries there were."""
    width = max((len(one_line(finding.what)) for finding in checkup.findings), default=0)
    for finding in checkup.findings:
        head = f"{_verdict(finding)}  {one_line(finding.what).ljust(width)}  "
        _paragraph(one_line(finding.detail), surface, head, one_line(finding.next_step or ""))
    for recovery in checkup.recoveries:
        surface.line("")
        for text in _recovery(recovery, surface):
            _paragraph(text, surface, "")
    problems, warnings = (
        sum(finding.verdict == verdict for finding in checkup.findings) for verdict in ("problem", "warning")
    )
    surface.line("")
    if checkup.verdict == "ok":
        surface.line("all is well")
    else:
        surface.line(f"{counted(problems, 'problem')}, {counted(warnings, 'warning')}")


def _verdict(finding: Finding) -> str:
    return one_line(finding.verdict)[:7].ljust(7)


def _recovery(recovery: Recovery, surface: Surface) -> Iterator[str]:
    yield f"recovered {_when(recovery.at, surface)}: {one_line(recovery.reason)}"
    yield f"  lost: {one_line(recovery.lost)}"
    if recovery.salvaged:
        rows = ", ".join(f"{count:,} of {one_line(name)}" for name, count in recovery.salvaged.items())
        yield f"  rows from the damaged file: {rows}"
    if recovery.backup_id is not None:
        yield f"  filled from the backup {clean(recovery.backup_id)}"
    yield f"  the damaged files are in {clean(recovery.quarantine)}"


class _SizeRow(Row, frozen=True, kw_only=True):
    right_columns = ("size",)

    table: str
    size: str
    rows: int | None


class _TimeRow(Row, frozen=True, kw_only=True):
    right_columns = ("mean", "worst")

    method: str
    calls: int
    mean: str
    worst: str


def show_stats(stats: Stats, surface: Surface) -> None:
    """The database in three lines, then the largest tables and the slowest methods."""
    surface.line(f"database: {size(stats.database_bytes)}, and {size(stats.wal_bytes)} of log")
    free = f"{counted(stats.free_pages, 'page')}, {size(stats.free_pages * stats.page_bytes)}"
    step = "kept maintenance optimize gives them back" if stats.free_pages else ""
    _paragraph(free, surface, "free:     ", step)
    batches = f"on average {stats.mean_batch:g} at once, {stats.largest_batch:,} at most"
    _paragraph(f"{stats.writes:,} in {counted(stats.commits, 'commit')}; {batches}", surface, "writes:   ")
    _largest(
        "",
        [_SizeRow(table=one_line(each.name), size=size(each.bytes), rows=each.rows) for each in stats.tables],
        f", {size(sum(each.bytes for each in stats.tables[_ROWS:]))} in all",
        surface,
    )
    slowest = [
        _TimeRow(
            method=one_line(each.method),
            calls=each.calls,
            mean=took(each.mean_ms / 1000),
            worst=took(each.worst_ms / 1000),
        )
        for each in stats.slowest
    ]
    _largest("methods, those that took longest in all first", slowest, "", surface)


def _largest(title: str, rows: list[Any], rest: str, surface: Surface) -> None:
    if not rows:
        return
    surface.line("")
    if title:
        surface.line(title)
    surface.out(table(rows[:_ROWS], surface))
    if len(rows) > _ROWS:
        surface.line(f"and {len(rows) - _ROWS} more{rest} (--json has them all)")


class _TrashRow(Row, frozen=True, kw_only=True):
    last_columns = ("by",)

    id: str
    label: str
    kind: str
    kept_for: str
    deleted: str
    by: str


def show_trash(page: Page[Trashed], surface: Surface) -> None:
    """One line for each thing, and how to have it back."""
    if not page.items:
        surface.note("the trash is empty")
        return
    rows = [
        _TrashRow(
            id=clean(item.id),
            kind=one_line(item.entity),
            label=one_line(item.label),
            deleted=_when(item.deleted_at, surface),
            kept_for=_age(item.purge_at, surface),
            by=one_line(item.actor),
        )
        for item in page.items
    ]
    surface.out(table(rows, surface))
    surface.note("to have one back: kept trash restore ID")
    surface.more(page.next_cursor)


def show_untrashed(item: Trashed, surface: Surface) -> None:
    """What is back."""
    surface.line(f"restored the {one_line(item.entity)} {one_line(item.label)}")


def show_emptied(emptied: Emptied, surface: Surface) -> None:
    """How much is gone."""
    surface.line(f"removed {emptied.removed:,} for good" if emptied.removed else "nothing was there to remove")


def _when(moment: datetime, surface: Surface) -> str:
    return age(moment, surface.now) if surface.terminal else stamp(moment)


def _age(moment: datetime, surface: Surface) -> str:
    """How far away it is, in a column that tells in which direction."""
    return duration(abs((surface.now - moment).total_seconds())) if surface.terminal else stamp(moment)


def _paragraph(text: str, surface: Surface, head: str, step: str = "") -> None:
    """A text beside a head, wrapped to the width, and below it the next step."""
    width = min(surface.columns, _WIDEST_PROSE) if surface.terminal else surface.columns
    indent = " " * len(head) if len(head) * 2 <= width else "    "
    for number, part in enumerate(filter(None, (text, f"-> {step}" if step else ""))):
        first = indent if number else head
        lines = textwrap.wrap(
            part, width, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
        )
        for line in lines or [first.rstrip()]:
            surface.line(line)


View = Callable[[Any, Surface], None]


def went_wrong(result: object) -> bool:
    """Whether a program that asked has to know: the job did not get done, or the check found a problem."""
    if isinstance(result, Run):
        return result.result != "ok"
    return isinstance(result, Checkup) and result.verdict == "problem"


VIEWS: Mapping[type[Struct], View] = MappingProxyType(
    {
        Backups: show_backups,
        CreateBackup: show_created,
        VerifyBackup: show_verified,
        Restored: show_restored,
        DeleteBackup: show_deleted,
        ListJobs: show_jobs,
        JobHistory: show_runs,
        Run: show_run,
        PauseJob: show_paused,
        ResumeJob: show_paused,
        Checkup: show_checkup,
        Stats: show_stats,
        ListTrash: show_trash,
        RestoreTrash: show_untrashed,
        Emptied: show_emptied,
    }
)
"""By the class of the result, or of the call where several have the same."""
