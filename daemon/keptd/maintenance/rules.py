"""What a check's observations mean: verdicts, words for people, and a next step that destroys nothing. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from kept.wire.maintenance import Finding, Verdict

from ..clock import SECOND
from ..domain import SelfReport

_GIB = 1024 * 1024 * 1024
_MIB = 1024 * 1024
_LEAST_FREE = 64 * _MIB
_MUCH_FREE_PERCENT = 25
_SHOWN = 3
_BEHIND_SECONDS = 60

_NOTABLE = ("paused", "unusable")
"""Lists in a report that call for a look although all is well: who paused a job may have forgotten it, and a backup
that can't be restored is one less."""

_STATUS: Mapping[str, Verdict] = {"operational": "ok", "degraded": "warning", "down": "problem", "unknown": "warning"}

_NEXT_STEP = {
    "keptd.backups": "kept backup list shows them, kept backup create makes one now.",
    "keptd.jobs": "kept job list shows why, kept job run NAME tries again, kept job resume NAME ends a pause.",
    "keptd.storage": "kept status says more; the daemon tries again by itself.",
}

RESTORE = (
    "Keep the file as it is. kept backup list shows the backups, kept backup verify ID checks one, and kept backup "
    "restore ID goes back to it; the present state is kept as a backup first."
)


RECOVER = (
    "The daemon ends by itself, and its next start puts the database together again from what can be read and from the "
    "newest good backup; the damaged file is kept. kept status then says what was lost, or that nothing was."
)


def structure(damage: Sequence[str]) -> Finding:
    """On what the integrity check found. SQLite's words name tables and pages, never a value."""
    if not damage:
        return Finding(what="structure", verdict="ok", detail="every page was read, and everything fits together")
    more = f", and {len(damage) - _SHOWN} more" if len(damage) > _SHOWN else ""
    shown = "; ".join(" ".join(line.split()) for line in damage[:_SHOWN])
    return Finding(what="structure", verdict="problem", detail=f"damaged: {shown}{more}", next_step=RECOVER)


def references(broken: Mapping[str, int]) -> Finding:
    """On rows that refer to nothing."""
    if not broken:
        return Finding(what="references", verdict="ok", detail="every reference leads somewhere")
    return Finding(
        what="references",
        verdict="problem",
        detail="references lead nowhere: " + ", ".join(f"{rows} in {table}" for table, rows in sorted(broken.items())),
        next_step=RESTORE,
    )


def search(unindexed: Mapping[str, int]) -> Finding:
    """On rows that a search can't find."""
    if not unindexed:
        return Finding(what="search", verdict="ok", detail="the text indexes have all rows and no others")
    parts = ", ".join(f"{rows} rows in {index}" for index, rows in sorted(unindexed.items()))
    return Finding(
        what="search",
        verdict="warning",
        detail=f"text indexes differ from their tables: {parts}",
        next_step="Nothing is lost. kept maintenance optimize makes them anew from their tables.",
    )


def files(damaged: Sequence[str]) -> Finding:
    """On the files that rooms keep beside the database."""
    if not damaged:
        return Finding(what="files", verdict="ok", detail="the files beside the database can be read")
    more = f", and {len(damaged) - _SHOWN} more" if len(damaged) > _SHOWN else ""
    return Finding(
        what="files",
        verdict="problem",
        detail=f"can't be read: {', '.join(damaged[:_SHOWN])}{more}",
        next_step=(
            "The daemon ends by itself, and its next start puts them together again from what can be read and from the "
            "newest backup that has them; they are kept as they are. kept status then says what was lost."
        ),
    )


def checksums(*, has: bool) -> Finding:
    """On whether each page has a checksum."""
    if has:
        return Finding(what="checksums", verdict="ok", detail="every page has a checksum, compared whenever it is read")
    return Finding(
        what="checksums",
        verdict="warning",
        detail="the pages have no checksums, so that a flipped bit may be read as if it were right",
        next_step=(
            "kept data export-all FILE, and kept data import-all FILE into a new home (KEPT_HOME): a new database has "
            "them. This one stays as it is."
        ),
    )


def space(free: int, database: int) -> Finding:
    """On the room on the disk, in bytes: a backup or a restore needs as much again as the database."""
    wanted = database + _LEAST_FREE
    told = f"{_amount(free)} are free on the disk; the database has {_amount(database)}"
    if free >= wanted:
        return Finding(what="free space", verdict="ok", detail=told)
    return Finding(
        what="free space",
        verdict="warning" if free >= _LEAST_FREE // 4 else "problem",
        detail=f"{told}, and a backup or a restore needs about {_amount(wanted)}",
        next_step="Make room on that disk; kept maintenance stats shows what takes it in the database.",
    )


def _amount(count: int) -> str:
    if count >= 10 * _GIB:
        return f"{count // _GIB:,} GiB"
    return f"{count // _MIB:,} MiB" if count >= _MIB else f"{count // 1024} KiB"


def reserve(is_whole: bool, size: int) -> Finding:
    """On the ballast: the room that is given back where the disk is full, so that something can be deleted."""
    if is_whole:
        return Finding(what="reserve", verdict="ok", detail=f"{_amount(size)} are held back for a full disk")
    return Finding(
        what="reserve",
        verdict="warning",
        detail=f"the {_amount(size)} that are held back for a full disk are not there: it is full, or has been",
        next_step=f"Make room on that disk: once {_amount(2 * size)} are free, the daemon holds them back again.",
    )


def clock(newest: int, now: int) -> Finding:
    """On the time, by that of the newest change: both in microseconds."""
    behind = (newest - now) // SECOND
    if behind < _BEHIND_SECONDS:
        return Finding(what="clock", verdict="ok", detail="it is not behind what was stored last")
    return Finding(
        what="clock",
        verdict="warning",
        detail=f"it is {behind} s behind the newest change, as after a sleep of the machine; new entries look older",
        next_step="Set the clock: timedatectl shows whether it is synchronized. Nothing is lost, and order is kept.",
    )


def settings(wrong: str | None, unapplied: Sequence[str]) -> Finding:
    """On the settings as they are given now: what makes them wrong, and those that are not in force."""
    if wrong is not None:
        step = "Correct that, or the next daemon can't start. kept daemon reload tells whether it is right."
        return Finding(what="settings", verdict="problem", detail=wrong, next_step=step)
    if not unapplied:
        return Finding(what="settings", verdict="ok", detail="they can be read, and are in force")
    return Finding(
        what="settings",
        verdict="warning",
        detail=f"changed, and not in force: {', '.join(unapplied)}",
        next_step="kept daemon reload applies what can be, and says what needs a restart.",
    )


def slack(free_pages: int, pages: int) -> Finding:
    """On pages that hold nothing."""
    percent = 100 * free_pages // max(pages, 1)
    detail = f"{percent} % of the file is free for reuse"
    if percent < _MUCH_FREE_PERCENT:
        return Finding(what="slack", verdict="ok", detail=detail)
    step = "kept maintenance optimize gives it back to the disk."
    return Finding(what="slack", verdict="warning", detail=detail, next_step=step)


def of_itself(report: SelfReport) -> Finding:
    """On what a part of the daemon says of itself."""
    verdict = _STATUS[report.status]
    metadata = report.metadata if isinstance(report.metadata, dict) else {}
    if verdict == "ok" and any(metadata.get(name) for name in _NOTABLE):
        verdict = "warning"
    said = "; ".join(_said(metadata))
    detail = f"{report.status}: {said}" if said else str(report.status)
    step = None if verdict == "ok" else _NEXT_STEP.get(report.name, f"kept component get {report.name} says more.")
    return Finding(what=report.name, verdict=verdict, detail=detail, next_step=step)


def _said(metadata: Mapping[str, object]) -> Iterator[str]:
    """The words in a report: its texts, and its lists with their names."""
    for name, value in metadata.items():
        if isinstance(value, str) and name in ("detail", "problem"):
            yield value
        elif isinstance(value, (list, tuple)) and value:
            yield f"{name}: {', '.join(map(str, value[:_SHOWN]))}"


def unread_reports(count: int) -> Finding:
    """On reports of recoveries that can't be read."""
    return Finding(
        what="recoveries",
        verdict="warning",
        detail=f"{count} reports of past recoveries can't be read",
        next_step="They are files in the folder recovery below the data folder; keep them.",
    )
