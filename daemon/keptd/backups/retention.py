"""Which backups are thinned out. Pure: no folder, no clock.

Automatic ones: all for a day, then the newest verified one of each day for a week, then the newest verified one of each
week, until they are 30 days old. All others (manual, before a migration, a restore or a deletion): until they are 30
days old.

What is never done, whatever the times say:

- the newest verified backup is never deleted;
- a backup is deleted only while a newer verified one stays that has at least half of its rows, so that it never makes
  way for one that failed, that nobody has checked, or from which most is missing;
- a clock that jumped wipes nothing. A backup from the future counts as made now; and the age of a backup is the sum of
  the times between it, those after it, and now, of which each counts as a week at most: to the clock a jump looks like
  a long pause.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import NamedTuple

from ..clock import DAY

WEEK = 7 * DAY
KEPT = 30 * DAY

LONGEST_PAUSE = WEEK


class Kept(NamedTuple):
    """What matters of a backup. Times in microseconds."""

    id: str
    created_at: int
    is_automatic: bool
    is_verified: bool
    rows: int


_made = attrgetter("created_at", "id")


def thin(backups: Iterable[Kept], now: int) -> list[str]:
    """The ids of those to delete, oldest first."""
    newest_first = sorted(backups, key=_made, reverse=True)
    ages = _ages([min(backup.created_at, now) for backup in newest_first], now)
    staying: list[Kept] = []
    leaving: list[str] = []
    taken: dict[Hashable, list[Kept]] = {}
    for backup, age in zip(newest_first, ages, strict=True):
        slot = _slot(backup, age)
        rivals = staying if age >= KEPT else taken.get(slot, [])
        if _may_go(backup, age, slot, rivals):
            leaving.append(backup.id)
            continue
        staying.append(backup)
        taken.setdefault(slot, []).append(backup)
    return leaving[::-1]


def _ages(times: Sequence[int], now: int) -> list[int]:
    """For times that fall."""
    ages = []
    age = 0
    for later, earlier in pairwise((now, *times)):
        age += min(later - earlier, LONGEST_PAUSE)
        ages.append(age)
    return ages


def _slot(backup: Kept, age: int) -> Hashable:
    """Of those in one slot, the newest good one is enough; None where each is kept."""
    if not backup.is_automatic or age < DAY:
        return None
    if age < WEEK:
        return "day", backup.created_at // DAY
    return "week", backup.created_at // WEEK


def _may_go(backup: Kept, age: int, slot: Hashable, rivals: Sequence[Kept]) -> bool:
    if age < KEPT and slot is None:
        return False
    return any(rival.is_verified and 2 * rival.rows >= backup.rows for rival in rivals)
