"""maintenance.*: the health and the size of the database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from . import Control, Time
from .errors import StorageFailed, StorageFull

Verdict = Literal["ok", "warning", "problem"]

NOTHING_LOST = "Nothing was lost."
"""How a recovery says so."""

_WORSE: Sequence[Verdict] = ("ok", "warning", "problem")


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    what: str
    verdict: str
    detail: str
    next_step: str | None = None


def worst(findings: Iterable[Finding]) -> str:
    """The verdict on all of them; a later daemon's word for one counts as a warning."""
    ranks = [_WORSE.index(each.verdict) if each.verdict in _WORSE else 1 for each in findings]
    return _WORSE[max(ranks, default=0)]


class Recovery(Struct, frozen=True, kw_only=True):
    """What a start did about a damaged database: what was lost, or that nothing was."""

    at: Time
    reason: str
    quarantine: str
    """The folder that holds the damaged files, untouched."""
    backup_id: str | None
    salvaged: dict[str, int]
    """Rows taken from the damaged files, by table."""
    lost: str
    restored: dict[str, int] = {}
    """Rows taken from the backup because they could not be read any more, by table."""


class Checkup(Struct, frozen=True, kw_only=True):
    """The outcome of a check."""

    verdict: str
    findings: tuple[Finding, ...]
    recoveries: tuple[Recovery, ...]
    """Past recoveries, newest first."""


class Size(Struct, frozen=True, kw_only=True):
    """A table or an index, largest first; `rows` is None for an index."""

    name: str
    bytes: int
    rows: int | None


class MethodStats(Struct, frozen=True, kw_only=True):
    """How long a method took since the start, in milliseconds."""

    method: str
    calls: int
    mean_ms: float
    worst_ms: float


class Stats(Struct, frozen=True, kw_only=True):
    """Sizes and counts."""

    database_bytes: int
    wal_bytes: int
    free_pages: int
    page_bytes: int
    tables: tuple[Size, ...]
    slowest: tuple[MethodStats, ...]
    commits: int
    writes: int
    mean_batch: float
    largest_batch: int


class Optimized(Struct, frozen=True, kw_only=True):
    """What was done, and how many bytes the database lost."""

    did: tuple[str, ...]
    freed_bytes: int


class CheckDatabase(Control[Checkup], frozen=True, kw_only=True):
    """Read the whole database and check its structure, its indexes, the archives, the free space, the backups, the
    jobs, the clock and the settings, and say what to do. It repairs nothing. `$/progress` tells how far it is."""

    method = "maintenance.check"
    errors = (StorageFailed,)

    quick: Annotated[bool, Meta(description="Leave out what reads every page.")] = False


class OptimizeDatabase(Control[Optimized], frozen=True, kw_only=True):
    """Bring statistics up to date, merge the search index, and give free pages back to the disk.

    In small steps, between which other writes go on.
    """

    method = "maintenance.optimize"
    errors = (StorageFull, StorageFailed)


class DatabaseStats(Control[Stats], frozen=True, kw_only=True):
    """Sizes by table, free pages, the log, the slowest methods, commits and batches."""

    method = "maintenance.stats"
