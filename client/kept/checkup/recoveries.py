"""What earlier starts did about a damaged database, from their reports: as the daemon tells them, or from the files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import msgspec

from ..cli.text import size as bytes_told
from ..paths import QUARANTINE, REPORTS
from ..regular import beginning
from ..wire.maintenance import NOTHING_LOST, Finding, Recovery
from .findings import ok, warning

SHOWN = 3
"""Recoveries that are told, newest first."""

_REPORTS = 100
_REPORT_BYTES = 1024 * 1024
_DETAIL = 600
_LOOKED_AT = 10_000
"""Files of one quarantine whose sizes are added up."""

_LEAVE = "Leave it as it is; the daemon never reads it."

_LOOK = (
    "Look for what you miss in a backup: kept backup list. Keep the quarantine as it is until you miss nothing; while "
    "it is there, kept doctor reminds you."
)

_decode = msgspec.json.Decoder(Recovery).decode


def read(data_dir: str) -> list[Recovery]:
    """The reports in a data folder, newest first; what can't be read is passed over, the daemon names it."""
    folder = os.path.join(data_dir, REPORTS)
    found = []
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".json") and not name.startswith("."))
    except OSError:
        return []
    for name in names[-_REPORTS:]:
        try:
            found.append(_decode(beginning(os.path.join(folder, name), _REPORT_BYTES)))
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
    return sorted(found, key=lambda report: report.at, reverse=True)


def tell(reports: Sequence[Recovery]) -> Iterator[Finding]:
    """What became of each. One that lost something is a warning for as long as its damaged files are there."""
    for report in reports[:SHOWN]:
        kept = os.path.isdir(report.quarantine)
        detail = f"on {report.at:%Y-%m-%d %H:%M} UTC the database was found damaged ({report.reason}), and recovered. "
        detail += _shortened(report.lost)
        rows = [_rows(report.salvaged, "saved from the damaged file")]
        if report.backup_id is not None:
            rows.append(_rows(report.restored, f"taken from the backup {report.backup_id}"))
        detail += "".join(f" {told}." for told in rows if told)
        if kept:
            detail += f" The damaged files are in {report.quarantine}, untouched."
        lost = report.lost != NOTHING_LOST
        if lost and kept:
            yield warning("recovery", detail, _LOOK)
        else:
            yield ok("recovery", detail)
    if len(reports) > SHOWN:
        yield ok("recoveries", f"{len(reports) - SHOWN} more recoveries, before these")


def quarantined(data_dir: str, reports: Sequence[Recovery]) -> Iterator[Finding]:
    """Folders of damaged files that no report tells of."""
    folder = os.path.join(data_dir, QUARANTINE)
    told = {os.path.basename(report.quarantine) for report in reports}
    try:
        names = sorted(name for name in os.listdir(folder) if name not in told)
    except OSError:
        return
    for name in names[:SHOWN]:
        path = os.path.join(folder, name)
        detail = f"{path} holds {_size(path)} of damaged files that no report tells of"
        yield ok("quarantine", detail, _LEAVE)
    if len(names) > SHOWN:
        yield ok("quarantine", f"{len(names) - SHOWN:,} more in {folder} that no report tells of", _LEAVE)


def _size(path: str) -> str:
    """Of a file, or of the files right in a folder, as far as they can be looked at."""
    try:
        entries = [os.path.join(path, name) for name in os.listdir(path)]
        many = len(entries) > _LOOKED_AT
        size = sum(os.lstat(entry).st_size for entry in entries[:_LOOKED_AT])
    except NotADirectoryError:
        return bytes_told(os.lstat(path).st_size) if os.path.lexists(path) else bytes_told(0)
    except OSError:
        return "an unknown amount"
    return f"more than {bytes_told(size)}" if many else bytes_told(size)


def _rows(by_table: dict[str, int], whence: str) -> str:
    told = [f"{rows} of {table}" for table, rows in sorted(by_table.items()) if rows]
    return f"Rows {whence}: {', '.join(told)}" if told else ""


def _shortened(text: str) -> str:
    return text if len(text) <= _DETAIL else text[:_DETAIL].rsplit(" ", 1)[0] + " ..."
