"""Each job runs once when it is due, none is skipped for good, and there is no storm, whatever the clocks do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.rooms import FakeClock

from .office import DAY, JITTER, Chore, office

pytestmark = pytest.mark.anyio


async def test_a_job_that_never_ran_runs_at_the_start_and_then_each_interval(tmp_path: Path) -> None:
    chore = Chore("test.chore")
    async with office(tmp_path, chore, memory_expire="24h") as work:
        await work.pass_time(JITTER)
        assert chore.runs == 1
        for expected in (2, 3, 4):
            await work.pass_time(DAY - 1)
            assert chore.runs == expected - 1
            await work.pass_time(1 + JITTER)
            assert chore.runs == expected


@pytest.mark.parametrize("days", [-10, 10])
async def test_a_clock_that_is_set_moves_no_interval(tmp_path: Path, days: int) -> None:
    chore = Chore("test.chore")
    async with office(tmp_path, chore, memory_expire="24h") as work:
        await work.pass_time(JITTER)
        work.clock.put(days * DAY)
        await work.rest()
        await work.pass_time(DAY - 1)
        assert chore.runs == 1
        await work.pass_time(1 + JITTER)
        assert chore.runs == 2
        await work.pass_time(DAY + JITTER)
        assert chore.runs == 3


@pytest.mark.parametrize("days", [-10, 10])
async def test_a_clock_that_is_set_between_two_starts_costs_one_run_at_most(tmp_path: Path, days: int) -> None:
    clock, chore = FakeClock(), Chore("test.chore")
    async with office(tmp_path, chore, clock=clock, memory_expire="24h") as work:
        await work.pass_time(JITTER)
    clock.put(days * DAY)
    async with office(tmp_path, chore, clock=clock, memory_expire="24h") as work:
        await work.pass_time(JITTER)
        assert chore.runs == 2
        await work.pass_time(DAY - JITTER)
        assert chore.runs == 2
    async with office(tmp_path, chore, clock=clock, memory_expire="24h") as work:
        await work.pass_time(2 * JITTER)
        assert chore.runs == 3


@pytest.mark.parametrize("stop", [FakeClock.suspend, FakeClock.advance])
async def test_after_ten_days_of_standstill_a_job_runs_once(
    tmp_path: Path, stop: Callable[[FakeClock, float], None]
) -> None:
    """The machine was suspended; or the process was stopped, while the clocks went on."""
    often, daily = Chore("test.often"), Chore("test.daily", "backup_create")
    async with office(tmp_path, often, daily, memory_expire="30s", backup_create="24h") as work:
        await work.pass_time(JITTER)
        before = (often.runs, daily.runs)
        stop(work.clock, 10 * DAY)
        await work.rest()
        assert (often.runs, daily.runs) == (before[0] + 1, before[1] + 1)
        await work.pass_time(29)
        assert (often.runs, daily.runs) == (before[0] + 1, before[1] + 1)
        await work.pass_time(1 + 3)
        assert (often.runs, daily.runs) == (before[0] + 2, before[1] + 1)


async def test_what_was_due_while_the_daemon_was_off_runs_once(tmp_path: Path) -> None:
    clock, chore = FakeClock(), Chore("test.chore")
    async with office(tmp_path, chore, clock=clock, memory_expire="24h") as work:
        await work.pass_time(JITTER)
    clock.advance(10 * DAY)
    async with office(tmp_path, chore, clock=clock, memory_expire="24h") as work:
        await work.pass_time(JITTER)
        assert chore.runs == 2
        await work.pass_time(DAY / 2)
        assert chore.runs == 2


async def test_a_restart_does_not_start_the_interval_anew(tmp_path: Path) -> None:
    clock, chore = FakeClock(), Chore("test.chore")
    for _ in range(6):
        async with office(tmp_path, chore, clock=clock, memory_expire="24h") as work:
            await work.pass_time(DAY / 4)
    assert chore.runs == 2


async def test_a_cron_expression_runs_at_its_time_and_what_was_missed_runs_once(tmp_path: Path) -> None:
    clock, chore = FakeClock(), Chore("test.chore")
    async with office(tmp_path, chore, clock=clock, memory_expire="0 3 * * *") as work:
        await work.pass_time(3 * 3600 - 1)
        assert chore.runs == 0
        await work.pass_time(1)
        assert chore.runs == 1
        await work.pass_time(DAY - 1)
        assert chore.runs == 1
        work.clock.suspend(10 * DAY)
        await work.rest()
        assert chore.runs == 2
    clock.advance(10 * DAY)
    async with office(tmp_path, chore, clock=clock, memory_expire="0 3 * * *") as work:
        await work.rest()
        assert chore.runs == 3
        await work.pass_time(DAY)
        assert chore.runs == 4


async def test_a_cron_expression_survives_a_clock_that_is_set(tmp_path: Path) -> None:
    chore = Chore("test.chore")
    async with office(tmp_path, chore, memory_expire="0 3 * * *") as work:
        work.clock.put(10 * DAY)
        await work.rest()
        assert chore.runs == 1
        work.clock.put(-10 * DAY)
        await work.rest()
        assert chore.runs == 1
        await work.pass_time(DAY)
        assert chore.runs == 2
        await work.pass_time(DAY)
        assert chore.runs == 3


async def test_another_setting_is_heeded_at_once(tmp_path: Path) -> None:
    chore = Chore("test.chore")
    async with office(tmp_path, chore, memory_expire="7d") as work:
        await work.pass_time(JITTER)
        await work.pass_time(DAY)
        assert chore.runs == 1
        work.reload(memory_expire="1h")
        await work.pass_time(JITTER)
        assert chore.runs == 2
        work.reload(memory_expire="off")
        await work.pass_time(100 * DAY)
        assert chore.runs == 2
        assert work.shown("test.chore").next_at is None
