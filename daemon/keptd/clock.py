"""The time: one protocol, the system's clock, and the conversions between the wire's datetimes and the tables'
integers.

Tables hold integer microseconds since 1970 in UTC. Intervals and deadlines use the monotonic clock, because the wall
clock may jump (a laptop or WSL2 after sleep); what is to happen every day uses the boot clock, which goes on while the
machine sleeps.
"""

from __future__ import annotations

import os
import secrets
import time
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

import anyio

LOOK_SECONDS = 30.0
"""The longest that anybody waits without looking at the clock again: timers stand still while the machine is suspended,
and don't notice that the wall clock is set."""

SECOND = 1_000_000
DAY = 86_400 * SECOND
"""In microseconds, as tables count."""

_LOCAL = Path("/etc/localtime")

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

    def boot(self) -> float:
        """Seconds that only grow, also while the machine is suspended."""
        ...

    def run(self) -> str:
        """A name for the time in which `monotonic` and `boot` can be compared and the daemon has run on: another in
        each run of it."""
        ...

    def zone(self) -> tzinfo:
        """Where the machine is, for times that people write down."""
        ...

    async def wait(self, seconds: float) -> None:
        """Return after so many seconds, or before: look at the clock again."""
        ...


class SystemClock:
    """The machine's clock."""

    def __init__(self) -> None:
        self._run = secrets.token_hex(8)

    def now(self) -> int:
        """Wall clock, in microseconds since 1970 UTC."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Seconds since the machine started, without those in which it was suspended."""
        return time.monotonic()

    def boot(self) -> float:
        """Seconds since the machine started."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def run(self) -> str:
        """Made up anew for each process's clock."""
        return self._run

    def zone(self) -> tzinfo:
        """`TZ` where it names a zone, else that of /etc/localtime, else UTC. Read each time: people travel."""
        try:
            if name := os.environ.get("TZ"):
                return ZoneInfo(name)
            with _LOCAL.open("rb") as file:
                return ZoneInfo.from_file(file)
        except (OSError, LookupError, ValueError):
            return UTC

    async def wait(self, seconds: float) -> None:
        """Sleep so many seconds, but no more than `LOOK_SECONDS`."""
        await anyio.sleep(min(seconds, LOOK_SECONDS))


def to_time(micros: int) -> datetime:
    """The wire's datetime for a table's microseconds (exact: no floating point in between). What no calendar has, as
    something else may have written it, is the nearest that one has: it must not keep anybody from the rest."""
    try:
        return _EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if micros > 0 else datetime.min.replace(tzinfo=UTC)


def to_micros(moment: datetime) -> int:
    """A table's microseconds for an aware datetime."""
    return (moment - _EPOCH) // _MICROSECOND
