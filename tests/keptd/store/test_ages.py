"""The count of time: what the clocks vouch for, and no more, whatever the wall clock says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keptd.clock import DAY, SECOND
from keptd.store import OWN, ages
from keptd.store.changes import ChangeLog
from keptd.store.database import open_writer
from keptd.store.migrations import migrate
from keptd.store.succession import succeed
from tests.rooms import ACTOR, FakeClock

HOUR = 3600
A_DAY = 86_400


def opened(path: Path | str, clock: FakeClock) -> apsw.Connection:
    db = open_writer(path) if isinstance(path, Path) else apsw.Connection(path)
    migrate(db, OWN, clock.now())
    return db


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def db(tmp_path: Path, clock: FakeClock) -> Iterator[apsw.Connection]:
    made = opened(tmp_path / "kept.db", clock)
    yield made
    made.close()


def counted(db: apsw.Connection, clock: FakeClock) -> float:
    """Days since the beginning of every test's clock, as they are counted."""
    return (ages.now(db, clock) - FakeClock().now()) / DAY


def test_what_is_new_counts_from_the_wall_clock(db: apsw.Connection, clock: FakeClock) -> None:
    assert ages.now(db, clock) == clock.now()
    ages.look(db, clock)
    assert ages.now(db, clock) == clock.now()


def test_a_home_from_before_the_count_believes_no_clock_that_is_far_ahead(
    db: apsw.Connection, clock: FakeClock
) -> None:
    ChangeLog(db, clock.now(), ACTOR, "memory.set").add("memory", "1")
    clock.put(60 * A_DAY)
    ages.look(db, clock)
    assert counted(db, clock) == 1


def test_all_time_in_which_the_daemon_runs_counts_seldom_as_it_is_looked_at(
    db: apsw.Connection, clock: FakeClock
) -> None:
    ages.look(db, clock)
    clock.advance(40 * A_DAY)
    assert counted(db, clock) == 40


@pytest.mark.parametrize("days", [60, -60])
def test_a_wall_clock_that_is_set_while_the_daemon_runs_counts_nothing(
    db: apsw.Connection, clock: FakeClock, days: int
) -> None:
    ages.look(db, clock)
    clock.put(days * A_DAY)
    assert counted(db, clock) == 0
    ages.look(db, clock)
    assert counted(db, clock) == 0
    assert ages.ahead(db, clock) == days * DAY


def test_a_night_asleep_or_off_counts_and_a_long_absence_counts_a_day(db: apsw.Connection, clock: FakeClock) -> None:
    ages.look(db, clock)
    clock.suspend(12 * HOUR)
    assert counted(db, clock) == 0.5
    ages.look(db, clock)
    clock.pause(12 * HOUR, "second")
    assert counted(db, clock) == 1
    ages.look(db, clock)
    clock.suspend(40 * A_DAY)
    assert counted(db, clock) == 2
    ages.look(db, clock)
    clock.pause(40 * A_DAY, "third")
    assert counted(db, clock) == 3
    ages.look(db, clock)
    clock.pause(-40 * A_DAY, "fourth")
    assert counted(db, clock) == 3


def test_what_was_written_is_old_after_so_much_counted_time(db: apsw.Connection, clock: FakeClock) -> None:
    ages.look(db, clock)
    written = clock.now()
    clock.advance(2 * A_DAY)
    ages.look(db, clock)
    assert ages.before(db, clock, 2 * DAY) == written
    clock.advance(1)
    assert ages.before(db, clock, 2 * DAY) == written + SECOND


def test_what_was_written_before_a_leap_is_as_old_as_is_counted(db: apsw.Connection, clock: FakeClock) -> None:
    ages.look(db, clock)
    clock.advance(HOUR)
    written = clock.now()
    ages.look(db, clock)
    clock.put(60 * A_DAY)
    ages.look(db, clock)
    assert ages.before(db, clock, 30 * DAY) <= written
    clock.advance(30 * A_DAY - 1)
    assert ages.before(db, clock, 30 * DAY) <= written
    clock.advance(2)
    ages.look(db, clock)
    assert ages.before(db, clock, 30 * DAY) > written


def test_an_absence_delays_nothing_that_is_written_after_it(db: apsw.Connection, clock: FakeClock) -> None:
    ages.look(db, clock)
    clock.pause(40 * A_DAY, "second")
    ages.look(db, clock)
    clock.advance(A_DAY)
    ages.look(db, clock)
    written = clock.now()
    clock.advance(30 * A_DAY + 1)
    ages.look(db, clock)
    assert ages.before(db, clock, 30 * DAY) == written + SECOND


def test_old_days_are_forgotten(db: apsw.Connection, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ages, "KEPT_DAYS", 5)
    for _ in range(20):
        ages.look(db, clock)
        clock.advance(A_DAY)
    assert db.execute("SELECT count(*) FROM age").get == 6
    assert ages.before(db, clock, 10 * DAY) == clock.now() - 10 * DAY


def test_a_database_that_takes_anothers_place_ages_from_then_on(
    db: apsw.Connection, clock: FakeClock, tmp_path: Path
) -> None:
    ages.look(db, clock)
    backup = tmp_path / "backup.db"
    with apsw.Connection(str(backup)) as copy, copy.backup("main", db, "main") as steps:
        steps.step()
    clock.advance(20 * A_DAY)
    ages.look(db, clock)
    with apsw.Connection(str(backup)) as copy:
        succeed(db, copy, (), (clock.now(), ACTOR, "backup.restore"), "b")
        assert counted(copy, clock) == 0
        clock.advance(A_DAY)
        assert counted(copy, clock) == 1


def test_what_comes_without_the_clocks_of_this_machine_ages_from_the_next_look_on(clock: FakeClock) -> None:
    db = opened(":memory:", clock)
    ages.look(db, clock)
    db.execute("DELETE FROM age_look")
    clock.pause(20 * A_DAY, "second")
    assert counted(db, clock) == 0
    ages.look(db, clock)
    clock.advance(A_DAY)
    assert counted(db, clock) == 1


# What may happen: time passes, awake or asleep; somebody sets the clock; the daemon ends, and runs again; it looks.
MOMENTS = st.lists(
    st.tuples(
        st.sampled_from(["awake", "asleep", "set", "off", "look", "write"]),
        st.integers(-90 * 24, 90 * 24),
    ),
    max_size=30,
)


@settings(deadline=None)
@given(MOMENTS, st.integers(1, 60))
def test_nothing_is_due_before_its_days_have_passed_and_all_is_when_they_were_run_through(
    moments: list[tuple[str, int]], days: int
) -> None:
    """Vouched for: every second awake, and of each absence a day at most. That is the law, from both sides."""
    clock = FakeClock()
    db = opened(":memory:", clock)
    ages.look(db, clock)
    most = least = absent = 0.0
    written: list[tuple[int, int, float]] = []
    for number, (what, hours) in enumerate(moments):
        seconds = float(abs(hours) * HOUR)
        before = ages.now(db, clock)
        if what == "awake":
            clock.advance(seconds)
            most, least = most + seconds, least + seconds
        elif what == "asleep":
            clock.suspend(seconds)
            absent += seconds
            most += min(seconds, A_DAY)
        elif what == "set":
            ages.look(db, clock)
            clock.put(hours * HOUR)
            ages.look(db, clock)
        elif what == "off":
            ages.look(db, clock)
            clock.pause(hours * HOUR, f"run {number}")
            most += min(max(hours * HOUR, 0), A_DAY)
            ages.look(db, clock)
        elif what == "write":
            written.append((clock.now(), ages.now(db, clock) + days * DAY, most))
        else:
            ages.look(db, clock)
        assert ages.now(db, clock) >= before, "the count goes back"
        gone = ages.now(db, clock) - FakeClock().now()
        assert least * SECOND <= gone <= most * SECOND
        for wall, until, then in written:
            if most - then < days * A_DAY:
                assert ages.now(db, clock) < until
                assert ages.before(db, clock, days * DAY) <= wall
    ages.look(db, clock)
    clock.advance(days * A_DAY)
    ages.look(db, clock)
    assert all(ages.now(db, clock) >= until for _, until, _ in written)
