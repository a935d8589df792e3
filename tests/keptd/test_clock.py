"""The system's clock, as far as it can be seen without waiting."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import anyio
import pytest

from keptd import clock
from keptd.clock import LOOK_SECONDS, SystemClock, to_micros, to_time


def test_the_boot_clock_goes_on_while_the_machine_sleeps() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= SystemClock().boot() <= time.clock_gettime(time.CLOCK_BOOTTIME)


@pytest.mark.anyio
async def test_nobody_waits_long_without_looking_at_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(anyio, "sleep", sleep)
    for seconds in (0.25, 10 * 86_400):
        await SystemClock().wait(seconds)
    assert slept == [0.25, LOOK_SECONDS]


def test_local_time_is_that_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    assert SystemClock().zone() == ZoneInfo("Europe/Berlin")
    for nonsense in ("no/zone", "../../etc/passwd", "Europe"):
        monkeypatch.setenv("TZ", nonsense)
        assert SystemClock().zone() is UTC
    monkeypatch.delenv("TZ")
    monkeypatch.setattr(clock, "_LOCAL", tmp_path / "none")
    assert SystemClock().zone() is UTC


def test_micros_and_datetimes_are_the_same_time() -> None:
    assert to_micros(to_time(1_767_225_600_123_456)) == 1_767_225_600_123_456


def test_a_time_that_no_calendar_has_is_the_nearest_that_one_has() -> None:
    assert to_time(1 << 62) == datetime.max.replace(tzinfo=UTC)
    assert to_time(-(1 << 62)) == datetime.min.replace(tzinfo=UTC)
