"""When a job is due, whatever happens to the clocks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from keptd.clock import to_micros, to_time
from keptd.jobs.schedule import LONGEST_JITTER, Now, Past, Timer, back_off, jitter, next_due
from keptd.schedule import Cron, Every, Off, Schedule

DAY = 86_400
SECOND = 1_000_000
NOON = 1_767_268_800_000_000  # 2026-01-01T12:00:00Z
DAILY = Every(DAY)
AT_THREE = Cron("0 3 * * *")

seconds = st.integers(1, 400 * DAY)
names = st.from_regex("[a-z]{1,9}\\.[a-z_]{1,20}", fullmatch=True)


def now(wall: int = NOON, boot: float = 1000.0) -> Now:
    return Now(wall, boot, UTC)


def past(ago: float, failures: int = 0) -> Past:
    """A run that ended so many seconds before noon, and took none."""
    at = NOON - round(ago * SECOND)
    return Past(at, at, failures)


@pytest.mark.parametrize(
    ("schedule", "last", "due_in"),
    [
        (Off(), None, None),
        (Off(), past(900 * DAY), None),
        (DAILY, None, 0),
        (DAILY, past(3600), DAY - 3600),
        (DAILY, past(DAY), 0),
        (DAILY, past(900 * DAY), 0),
        (DAILY, past(-10 * DAY), 0),
        (DAILY, past(10, failures=1), 50),
        (DAILY, past(10, failures=3), 230),
        (DAILY, past(10, failures=100), DAY - 10),
        (Every(30), past(10, failures=3), 20),
        (AT_THREE, None, 15 * 3600),
        (AT_THREE, past(3600), 15 * 3600),
        (AT_THREE, past(10 * 3600), 0),
        (AT_THREE, past(900 * DAY), 0),
        (AT_THREE, past(-10 * DAY), 15 * 3600),
        (AT_THREE, past(10, failures=1), 50),
        (AT_THREE, past(10, failures=100), 15 * 3600),
    ],
)
def test_a_job_is_due_after_a_start(schedule: Schedule, last: Past | None, due_in: float | None) -> None:
    due = next_due(schedule, last, now())
    assert due == (None if due_in is None else NOON + due_in * SECOND)


@given(names, seconds)
def test_jitter_is_a_tenth_of_the_interval_at_most_and_a_minute_at_most(name: str, interval: int) -> None:
    late = jitter(name, interval)
    assert 0 <= late <= min(interval / 10, LONGEST_JITTER)
    assert late == jitter(name, interval)


def test_jobs_with_one_interval_don_t_begin_together() -> None:
    assert len({jitter(f"room.job_{number}", DAY) for number in range(50)}) == 50


def test_each_failure_makes_the_next_try_later() -> None:
    pauses = [back_off(failures) for failures in range(1, 40)]
    assert pauses == sorted(pauses)
    assert pauses[:4] == [60, 120, 240, 480]


def test_an_occurrence_does_not_come_again_when_the_clock_is_put_right() -> None:
    three = to_micros(to_time(NOON).replace(day=2, hour=3))
    timer = Timer.start("room.job", AT_THREE, past(10), now())
    assert timer.left(now(three)) == 0
    timer = timer.begun(now(three)).over(now(three), ok=True)

    assert timer.left(now(three - 2 * SECOND)) == DAY + 2
    assert timer.left(now(three - 2 * 3600 * SECOND)) == DAY + 2 * 3600


def test_a_clock_that_is_set_back_far_begins_anew() -> None:
    timer = Timer.start("room.job", AT_THREE, past(10), now())
    back = now(NOON - 10 * DAY * SECOND)
    timer = timer.seen(back)

    assert timer.left(back) == 15 * 3600


def test_another_schedule_counts_from_the_last_run_too() -> None:
    timer = Timer.start("room.job", DAILY, past(3600), now())
    hourly = timer.changed(Every(3600), now())
    assert hourly.left(now()) == pytest.approx(jitter("room.job", 3600))
    assert timer.changed(Off(), now()).left(now()) is None
    assert timer.changed(AT_THREE, now()).left(now()) == 15 * 3600
    assert timer.changed(DAILY, now(boot=2000)) is timer


@dataclass
class World:
    """Clocks that anything may happen to."""

    wall: int = NOON
    boot: float = 1000.0

    def now(self) -> Now:
        return Now(self.wall, self.boot, UTC)


class Clocks(RuleBasedStateMachine):
    """Any schedule, any jumps of the wall clock, any sleep, any results, any restarts: a job that is due runs at once,
    as the runner has it run."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.schedule: Schedule = Every(60)
        self.timer = Timer.start("room.job", self.schedule, None, self.world.now())
        self.last: Past | None = None
        self.waited_since = self.world.boot
        self.run_if_due()

    @rule(every=st.sampled_from([1, 30, 60, 3600, DAY, 7 * DAY]))
    def change_to_interval(self, every: int) -> None:
        self.change(Every(every))

    @rule(expression=st.sampled_from(["* * * * *", "0 3 * * *", "*/10 4 * * 1"]))
    def change_to_cron(self, expression: str) -> None:
        self.change(Cron(expression))

    def change(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.timer = self.timer.changed(schedule, self.world.now())
        self.waited_since = self.world.boot
        self.run_if_due()

    @rule(span=st.integers(0, 20 * DAY) | st.integers(0, 100))
    def pass_time(self, span: int) -> None:
        """Awake or asleep: the boot clock does not tell."""
        self.world.wall += span * SECOND
        self.world.boot += span
        self.run_if_due()

    @rule(by=st.integers(-20 * DAY, 20 * DAY) | st.integers(-100, 100))
    def set_the_clock(self, by: int) -> None:
        due = self.timer.left(self.world.now())
        self.world.wall += by * SECOND
        if isinstance(self.schedule, Every):
            assert self.timer.seen(self.world.now()).left(self.world.now()) == due
        self.run_if_due()

    @rule()
    def start_again(self) -> None:
        self.world.boot += 1
        self.world.wall += SECOND
        self.timer = Timer.start("room.job", self.schedule, self.last, self.world.now())
        self.waited_since = self.world.boot
        self.run_if_due()

    @rule()
    def fail(self) -> None:
        """Now, after a run that somebody asked for."""
        moment = self.world.now()
        failures = self.timer.failures + 1
        self.timer = self.timer.begun(moment).over(moment, ok=False)
        self.last = Past(moment.wall, moment.wall, failures)
        self.waited_since = moment.boot

    def run_if_due(self) -> None:
        moment = self.world.now()
        self.timer = self.timer.seen(moment)
        if self.timer.left(moment) == 0:
            self.timer = self.timer.begun(moment).over(moment, ok=True)
            self.last = Past(moment.wall, moment.wall, 0)
            self.waited_since = moment.boot
            # One run was pending, however many would have been due: now there is none.
            left = self.timer.left(moment)
            assert left is not None
            assert left > 0

    @invariant()
    def it_runs_within_an_interval_of_any_moment(self) -> None:
        left = self.timer.left(self.world.now())
        assert left is not None
        if isinstance(self.schedule, Every):
            longest = self.schedule.seconds + jitter("room.job", self.schedule.seconds)
            waited = self.world.boot - self.waited_since
            assert waited + left <= longest + 1e-6
        elif isinstance(self.schedule, Cron):
            moment = self.world.now()
            following = self.schedule.after(self.timer.after, UTC)
            assert moment.wall + round(left * SECOND) <= following
            # At most three hours late by a clock that was put right.
            assert left <= (self.schedule.after(moment.wall + 3 * 3600 * SECOND, UTC) - moment.wall) / SECOND


TestClocks = Clocks.TestCase
