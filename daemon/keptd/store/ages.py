"""Ages: how much time has really passed, whatever the wall clock says.

Whatever is removed or put away because it is old goes by this count and not by the wall clock, which leaps: after a
sleep of WSL2, with a wrong BIOS clock, by hand. Owns the tables `age`, a row for each day of counted time, and
`age_look`, the clocks of this machine at the last look, which every run of a job takes. Only the former goes along with
a backup or an export: what comes back with one has as much time left as it had, and ages from then on.

What counts, in microseconds since 1970 like any time, beginning with the wall clock of the first look:

- while the daemon runs, the time that the monotonic clock vouches for: nobody sets it;
- of a sleep of the machine, and of the time in which the daemon did not run, what the clocks say, but a day at most.
  To the wall clock a leap looks like a long absence; and who comes back from one shall find what they deleted before.

So nights count and a leap counts as a day at most; a machine that was off for 40 days has aged by one.

Rows elsewhere that say themselves when they are due hold a count (`now` plus a time). For rows that hold the wall time
at which they were written, `before` gives the time that is long enough ago: a row of `age` has the least by which the
wall clock was ahead of the count on that day. Backups lie outside of the database and are judged without it: see
`backups.retention`.
"""

from __future__ import annotations

from typing import NamedTuple

import apsw

from ..clock import DAY, SECOND, Clock
from . import changes
from .migrations import Migration

TABLE = "age"
LOOK = "age_look"

MIGRATIONS = (
    Migration(
        "001_age",
        # An import brings what its archive says: a sum of two of these is still a number that SQLite can hold.
        f"""
        CREATE TABLE age (
            day INTEGER PRIMARY KEY,
            ahead INTEGER NOT NULL CHECK (ahead BETWEEN -{2**60} AND {2**60}),
            counted INTEGER NOT NULL CHECK (counted BETWEEN -{2**60} AND {2**60})
        ) STRICT;
        CREATE TABLE age_look (
            only INTEGER PRIMARY KEY CHECK (only = 1),
            wall INTEGER NOT NULL,
            run TEXT NOT NULL,
            boot REAL NOT NULL,
            awake REAL NOT NULL
        ) STRICT;
        """,
    ),
)

LONGEST_ABSENCE = DAY
"""What an absence counts at most, in microseconds."""

KEPT_DAYS = 3660
"""Days of counted time for which it is known how far ahead the wall clock was."""

_LAST = "SELECT counted, wall, run, boot, awake FROM age LEFT JOIN age_look ORDER BY day DESC LIMIT 1"
_KEEP = (
    "INSERT INTO age (day, ahead, counted) VALUES (?, ?, ?) "
    "ON CONFLICT (day) DO UPDATE SET ahead = min(ahead, excluded.ahead), counted = excluded.counted"
)
_KEEP_LOOK = "INSERT OR REPLACE INTO age_look (only, wall, run, boot, awake) VALUES (1, ?, ?, ?, ?)"
# Of the day in which it begins, or the last before, and of all after it: what was written then was written at this
# wall time or later.
_BEFORE = (
    f"SELECT min(max(:since, day * {DAY}) + ahead), min(day) FROM age "
    "WHERE day >= ifnull((SELECT max(day) FROM age WHERE day <= :day), 0)"
)


class _Look(NamedTuple):
    """What had been counted at the last look, and the clocks of then: the wall clock, and the two that nobody sets, in
    seconds, which mean something within one run of the daemon."""

    counted: int
    wall: int
    run: str | None
    boot: float
    awake: float


def now(db: apsw.Connection, clock: Clock) -> int:
    """What has been counted until now, in microseconds. Before the first look, the wall clock."""
    last = _last(db)
    return clock.now() if last is None else last.counted + _passed(last, clock)


def look(db: apsw.Connection, clock: Clock) -> None:
    """Note what has been counted; in a transaction of the writer's."""
    last, wall = _last(db), clock.now()
    counted = _first(db, wall) if last is None else last.counted + _passed(last, clock)
    day = counted // DAY
    db.execute(_KEEP, (day, wall - counted, counted))
    db.execute(_KEEP_LOOK, (wall, clock.run(), clock.boot(), clock.monotonic()))
    db.execute("DELETE FROM age WHERE day < ?", (day - KEPT_DAYS,))


def ahead(db: apsw.Connection, clock: Clock) -> int:
    """How far the wall clock is ahead of the count, in microseconds: a count plus this is when it will be reached, as
    it looks now."""
    return clock.now() - now(db, clock)


def before(db: apsw.Connection, clock: Clock, span: int) -> int:
    """The wall time (microseconds) that is long enough ago: what was written before it is older than `span`
    microseconds of counted time. Where the clock was set, it may give less than there is.

    That the clock was set back and forth again between two looks can't be known: what was written in between seems
    older than it is. So nothing that is removed for good goes by this, but for idempotency keys.
    """
    last = _last(db)
    if last is None:
        return clock.now() - span
    counted = last.counted + _passed(last, clock)
    since = counted - span
    [(found, first)] = db.execute(_BEFORE, {"since": since, "day": since // DAY})
    times = [int(found), max(since, last.counted) + clock.now() - counted]
    if int(first) > since // DAY:
        # From before the first look, where the count is the wall clock.
        times.append(since)
    return min(times)


def last(db: apsw.Connection) -> int | None:
    """What had been counted at the last look; None before the first."""
    found = _last(db)
    return None if found is None else found.counted


def resume(db: apsw.Connection, counted: int) -> None:
    """Go on from so much, from the next look on: for a recovery that lost what had been counted."""
    db.execute(_KEEP, (counted // DAY, 0, counted))


def _last(db: apsw.Connection) -> _Look | None:
    for row in db.execute(_LAST):
        return _Look._make(row)
    return None


def _first(db: apsw.Connection, wall: int) -> int:
    """Where the count begins: a wall clock that is far ahead of the last change may have leapt."""
    newest = changes.last_at(db)
    return min(wall, newest + LONGEST_ABSENCE) if newest else wall


def _passed(last: _Look, clock: Clock) -> int:
    """Microseconds that count since a look. Without its clocks, as after an import into a new home, none do."""
    if last.run is None:
        return 0
    if clock.run() != last.run:
        return min(max(clock.now() - last.wall, 0), LONGEST_ABSENCE)
    awake = max(clock.monotonic() - last.awake, 0.0)
    asleep = max(clock.boot() - last.boot - awake, 0.0)
    return round(awake * SECOND) + min(round(asleep * SECOND), LONGEST_ABSENCE)
