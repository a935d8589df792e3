"""When a job is due. Pure: no clock is read here, the present comes as an argument.

- An interval runs by the boot clock, which counts a suspended machine's time and which nobody sets: neither a sleep of
  ten days nor a clock that is set can make more than one run due, or put it off. The wall time of the last run matters
  at the start only, when the boot clock of that run is unknown.
- A cron expression means the wall clock. What was missed, asleep or not running, comes once, at once. A clock that is
  set back by less than three hours repeats nothing; one that is set back further is taken for the new truth.
- After failures the next try comes after a minute, two, four ..., never later than the schedule has it.
- A job begins up to a tenth of its interval late, at most a minute, by an amount that follows from its name, so that
  jobs with the same interval don't all begin at once.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import NamedTuple

from ..clock import SECOND
from ..schedule import Every, Off, Schedule

FIRST_RETRY = 60.0
"""Seconds from a failed run to the next try."""

LONGEST_JITTER = 60.0

SET_BACK = 3 * 3600 * SECOND
"""Microseconds by which the wall clock may go back without a cron expression's occurrences coming again. Vixie cron's
bound."""


class Now(NamedTuple):
    """The present: wall clock in microseconds since 1970 UTC, seconds of the boot clock, and where that is."""

    wall: int
    boot: float
    zone: tzinfo


class Past(NamedTuple):
    """What is known of a job's runs before this start: the last one's wall times, and how many have failed in a row."""

    started: int
    ended: int
    failures: int


def jitter(name: str, seconds: float) -> float:
    """How much later than after `seconds` a job begins, in seconds: up to a tenth of them, at most a minute."""
    return min(seconds / 10, LONGEST_JITTER) * (zlib.crc32(name.encode()) / 2**32)


def back_off(failures: int) -> float:
    """Seconds from the last of so many failures in a row to the next try."""
    return FIRST_RETRY * 2.0 ** min(failures - 1, 30)


def next_due(schedule: Schedule, last: Past | None, now: Now) -> int | None:
    """The wall time, in microseconds, at which a job is due whose last run an earlier daemon made; None for never.

    What is overdue is due now. A last run in the future says only that the clock was set: an interval is then due now,
    a cron expression at its next occurrence.
    """
    timer = Timer.start("", schedule, last, now)
    left = timer.left(now)
    return None if left is None else now.wall + round(left * SECOND)


@dataclass(frozen=True, slots=True)
class Timer:
    """One job's time, from moment to moment: each method gives the timer that follows."""

    name: str
    schedule: Schedule
    failures: int
    ended: float | None
    """When the last run ended, on the boot clock; None where there was none, or where nobody knows when."""
    since: float
    """When this schedule began to count, on the boot clock: nothing is due before."""
    after: int
    """The wall time whose following occurrence of a cron expression comes next."""

    @classmethod
    def start(cls, name: str, schedule: Schedule, last: Past | None, now: Now) -> Timer:
        """A job's time at the start of the daemon."""
        if last is None:
            return cls(name, schedule, 0, None, now.boot, now.wall)
        elapsed = (now.wall - last.ended) / SECOND
        return cls(
            name,
            schedule,
            last.failures,
            now.boot - elapsed if elapsed >= 0 else None,
            now.boot,
            min(last.started, now.wall),
        )

    def seen(self, now: Now) -> Timer:
        """The timer as of now: what was set back far has no past."""
        return replace(self, after=now.wall) if now.wall < self.after - SET_BACK else self

    def changed(self, schedule: Schedule, now: Now) -> Timer:
        """With another schedule, which counts from the last run as well."""
        if schedule == self.schedule:
            return self
        return replace(self, schedule=schedule, since=now.boot, after=max(self.after, now.wall))

    def begun(self, now: Now) -> Timer:
        """A run has begun: every occurrence so far is met by it."""
        return replace(self, after=max(self.after, now.wall))

    def over(self, now: Now, *, ok: bool) -> Timer:
        """A run has ended."""
        return replace(self, ended=now.boot, since=now.boot, failures=0 if ok else self.failures + 1)

    def left(self, now: Now) -> float | None:
        """Seconds until the job is due, 0 where it is, None where it never is."""
        if isinstance(self.schedule, Off):
            return None
        if isinstance(self.schedule, Every):
            interval = float(self.schedule.seconds)
            delay = min(interval, back_off(self.failures)) if self.failures else interval
            return max(0.0, self._due(delay) - now.boot)
        left = (self.schedule.after(self.seen(now).after, now.zone) - now.wall) / SECOND
        if self.failures:
            left = min(left, self._due(back_off(self.failures)) - now.boot)
        return max(0.0, left)

    def _due(self, delay: float) -> float:
        ready = self.since if self.ended is None else max(self.ended + delay, self.since)
        return ready + jitter(self.name, delay)
