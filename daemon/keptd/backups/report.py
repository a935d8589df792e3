"""The component `keptd.backups`: whether there is a backup to come back to."""

from __future__ import annotations

import os
from typing import Any

from kept.wire.component import Status

from ..clock import DAY, Clock
from ..domain import SelfReport
from .place import LAST, Found, Place

FRESH = 2 * DAY
"""How old, in microseconds, the newest verified backup may be."""

_HOURS = 48
"""From then on an age is told in days."""


class Report:
    """Tells how the backups are. Looks at the folder again only when something in it has changed."""

    def __init__(self, place: Place, database_made_at: int, clock: Clock) -> None:
        self._place = place
        self._database_made_at = database_made_at
        self._clock = clock
        self._stamp: tuple[int, ...] = ()
        self._found: list[Found] = []
        self._problem: str | None = None
        self._status: Status | None = None
        self._since = 0

    def __call__(self) -> SelfReport:
        """How they are now."""
        self._look()
        now = self._clock.now()
        verified = next((found for found in self._found if found.is_verified), None)
        status, health = self._judge(verified, now)
        if status != self._status:
            self._status, self._since = status, now
        metadata: dict[str, Any] = {
            "backups": len(self._found),
            "bytes": sum(found.bytes for found in self._found),
            "newest_verified": verified.id if verified else None,
            "detail": _told(verified, now),
            "problem": self._problem,
            "unusable": [found.id for found in self._found if found.problem],
        }
        return SelfReport("keptd.backups", status, health, metadata, now, self._since)

    def _judge(self, verified: Found | None, now: int) -> tuple[Status, int]:
        if self._problem is not None:
            return "down", 0
        newest = max(verified.created_at if verified else 0, self._database_made_at)
        return ("operational", 100) if now - newest < FRESH else ("degraded", 50)

    def _look(self) -> None:
        stamp = tuple(_changed_at(path) for path in (self._place.folder, self._place.folder / LAST))
        if stamp == self._stamp:
            return
        self._found = self._place.listed()
        last = self._place.last_attempt()
        self._problem = last.problem if last else None
        self._stamp = stamp


def _told(verified: Found | None, now: int) -> str:
    if verified is None:
        return "there is no verified backup yet"
    hours = max(0, (now - verified.created_at) // 3_600_000_000)
    age = f"{hours} h" if hours < _HOURS else f"{hours // 24} days"
    return f"the newest verified one is {age} old"


def _changed_at(path: os.PathLike[str]) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
