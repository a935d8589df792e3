"""The database as people read of it: what a check found, what recoveries there were, and where room and time go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..wire.maintenance import Checkup, Recovery, Stats
from .findings import show_findings, summary
from .prose import paragraph
from .surface import Surface
from .table import Row, table
from .text import clean, counted, one_line, size, took
from .views import Views, views

_ROWS = 12
"""Rows of a table of sizes or times that are shown: the largest; --json has them all."""


def show_checkup(checkup: Checkup, surface: Surface) -> None:
    """What was looked at, what recoveries there were, and all of it in a sentence."""
    show_findings(checkup.findings, surface)
    for recovery in checkup.recoveries:
        surface.line("")
        for text in _recovery(recovery, surface):
            paragraph(text, surface)
    surface.line("")
    paragraph(summary(checkup.findings), surface)


def _recovery(recovery: Recovery, surface: Surface) -> Iterator[str]:
    yield f"recovered {surface.when(recovery.at)}: {one_line(recovery.reason)}"
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
    paragraph(free, surface, "free:     ", step)
    batches = f"on average {stats.mean_batch:g} at once, {stats.largest_batch:,} at most"
    paragraph(f"{stats.writes:,} in {counted(stats.commits, 'commit')}; {batches}", surface, "writes:   ")
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


MAINTENANCE: Views = views({Checkup: show_checkup, Stats: show_stats})
