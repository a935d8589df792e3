"""The time: one protocol, the system's clock, and the conversions between the wire's datetimes and the tables'
integers.

Tables hold integer microseconds since 1970 in UTC. Intervals and deadlines use the monotonic clock, because the wall
clock may jump (a laptop or WSL2 after sleep).
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """What the daemon asks of time; tests inject one that they move."""

    def now(self) -> int:
        """Wall clock, in microseconds since 1970 UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow, for intervals."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        """Wall clock, in microseconds since 1970 UTC."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Seconds since the machine started."""
        return time.monotonic()


def to_time(micros: int) -> datetime:
    """The wire's datetime for a table's microseconds (exact: no floating point in between)."""
    return _EPOCH + timedelta(microseconds=micros)


def to_micros(moment: datetime) -> int:
    """A table's microseconds for an aware datetime."""
    return (moment - _EPOCH) // _MICROSECOND
