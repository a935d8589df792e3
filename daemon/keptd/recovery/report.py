"""The report of a recovery: what was wrong, where the damaged files are, what came back from where, and what was lost.

It stays in `recovery/<time>.json` in the data folder, for people and for `maintenance.check`; its line in the log has
counts only, since labels are names that people gave.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from kept.wire.maintenance import NOTHING_LOST

from .rebuild import Tally

SHOWN = 20
"""Labels that a sentence names; `missing` has up to `LISTED`."""
LISTED = 1000

DOUBT = "Rows may be missing, or older than they were, in: "
"""How the sentence on tables begins of which the change log can't say what is missing."""

FORM = "%Y%m%dT%H%M%S.%fZ"

_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder


class Missing(Struct, frozen=True, kw_only=True):
    """Something that is not as it was: gone, or in an older version."""

    entity: str
    label: str
    older: bool


class Report(Struct, frozen=True, kw_only=True):
    """What a start did about a damaged database. Rows are counted by table."""

    at: datetime
    reason: str
    quarantine: str
    """The folder that holds the damaged files, untouched."""
    backup_id: str | None
    salvaged: dict[str, int]
    """Rows taken from the damaged files."""
    restored: dict[str, int]
    """Rows taken from the backup, because they could not be read any more."""
    missing: tuple[Missing, ...]
    lost: str

    @property
    def stamp(self) -> str:
        """When it was, as in the names of its files."""
        return self.at.strftime(FORM)


def report(at: datetime, reason: str, quarantine: str, backup_id: str | None, tally: Tally) -> Report:
    """The report of what `tally` counted."""
    missing = [Missing(entity=entity, label=label, older=False) for entity, label in tally.lost]
    missing += [Missing(entity=entity, label=label, older=True) for entity, label in tally.older]
    return Report(
        at=at,
        reason=reason,
        quarantine=quarantine,
        backup_id=backup_id,
        salvaged=tally.salvaged,
        restored=tally.restored,
        missing=tuple(missing[:LISTED]),
        lost=_sentence(tally),
    )


def encoded(found: Report) -> bytes:
    """The report as it is stored."""
    return msgspec.json.format(_encode(found), indent=2)


def read(path: Path) -> Report:
    """A stored report. Raises `OSError`, or `msgspec.DecodeError` for what is none."""
    return _decoder(Report).decode(path.read_bytes())


def summed_up(reports: Sequence[Report]) -> str | None:
    """What was lost, by all of them; None without any."""
    told = [found.lost for found in reports if found.lost != NOTHING_LOST]
    return " ".join(told) or (NOTHING_LOST if reports else None)


def _sentence(tally: Tally) -> str:
    parts = []
    if not any(tally.salvaged.values()) and not any(tally.restored.values()):
        parts.append("Everything that was stored is lost: nothing could be read, and there was no good backup.")
    if tally.lost:
        parts.append(f"{len(tally.lost)} lost: {_names(tally.lost)}.")
    if tally.older:
        parts.append(f"{len(tally.older)} in an older version, from the backup: {_names(tally.older)}.")
    if tally.doubtful:
        parts.append(f"{DOUBT}{', '.join(sorted(tally.doubtful))}.")
    return " ".join(parts) or NOTHING_LOST


def _names(entities: Sequence[tuple[str, str]]) -> str:
    shown = ", ".join(f"{entity} {label!r}" for entity, label in entities[:SHOWN])
    return shown if len(entities) <= SHOWN else f"{shown}, and {len(entities) - SHOWN} more"
