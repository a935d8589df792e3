"""The form of a schedule: `every 24h`, a cron expression, or `off`. Pure: text in, value out, and occurrences of a cron
expression.

Refuses what can't be understood and what would never come. When a job is due is `jobs.schedule`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from .clock import to_micros, to_time

EXPECTED = "an interval (30s, 5m, 24h, every 7d), a cron expression in local time (0 3 * * *), or off"

LONGEST = 366 * 86_400
"""The longest interval, in seconds: a leap year."""

_INTERVAL = re.compile(r"(?:every\s+)?([1-9][0-9]{0,8})\s?([smhd])", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_SHOWN_FROM = {"s": 0, "m": 60, "h": 3600, "d": 2 * 86_400}
_SOME_DAY = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Off:
    """Never, unless somebody asks."""

    def __str__(self) -> str:
        return "off"


@dataclass(frozen=True, slots=True)
class Every:
    """Again so many seconds after the last run has ended."""

    seconds: int

    def __str__(self) -> str:
        unit = next(unit for unit in "dhms" if self.seconds % _UNITS[unit] == 0 and self.seconds >= _SHOWN_FROM[unit])
        return f"every {self.seconds // _UNITS[unit]}{unit}"


@dataclass(frozen=True, slots=True)
class Cron:
    """At the local times of a cron expression: minute, hour, day of the month, month, day of the week."""

    expression: str

    def __str__(self) -> str:
        return self.expression

    def after(self, moment: int, zone: tzinfo) -> int:
        """The first occurrence after `moment`; both in microseconds since 1970.

        Where summer time begins and ends, as in Debian's cron: a time that is left out comes right after the gap, and
        one that comes twice counts once, unless the expression leaves minute or hour open.
        """
        occurrences = _occurrences(self.expression, to_time(moment).astimezone(zone))
        # In the hour that comes twice, the library may begin with the first pass of it.
        return next(at for at in map(_in_micros, occurrences) if at > moment)


Schedule = Off | Every | Cron


def parse(text: str) -> Schedule:
    """The schedule that a text says. Raises `ValueError` for any other text."""
    words = text.strip()
    if words == "off":
        return Off()
    if found := _INTERVAL.fullmatch(words):
        seconds = int(found[1]) * _UNITS[found[2]]
        if seconds <= LONGEST:
            return Every(seconds)
    elif len(words) <= 100 and words.isascii() and len(fields := words.split()) == 5:
        expression = " ".join(fields)
        try:
            next(_occurrences(expression, _SOME_DAY))
        except (ValueError, StopIteration):
            # StopIteration: fifty years without an occurrence.
            raise ValueError(f"expected {EXPECTED}") from None
        return Cron(expression)
    raise ValueError(f"expected {EXPECTED}")


def load() -> None:
    """Load the library now, for a setting that comes after an upgrade has replaced it."""
    import cronsim  # noqa: F401, PLC0415


def _occurrences(expression: str, moment: datetime) -> Iterator[datetime]:
    # Most schedules are intervals: the library is loaded by the first that is not.
    from cronsim import CronSim, CronSimError  # noqa: PLC0415

    try:
        return CronSim(expression, moment)
    except CronSimError as fault:
        raise ValueError(str(fault)) from fault


def _in_micros(moment: datetime) -> int:
    return to_micros(moment.astimezone(UTC))
