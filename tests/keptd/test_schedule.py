"""The form of a schedule."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keptd.clock import to_micros, to_time
from keptd.schedule import Cron, Every, Off, Schedule, parse

BERLIN = ZoneInfo("Europe/Berlin")
EXPRESSIONS = ("* * * * *", "*/7 * * * *", "0 3 * * *", "30 2 * * *", "45 1,2 * * 0", "0 0 1 * *", "15 */2 29 2 *")


@pytest.mark.parametrize(
    ("text", "schedule", "shown"),
    [
        ("off", Off(), "off"),
        ("1s", Every(1), "every 1s"),
        ("30s", Every(30), "every 30s"),
        (" every 5m ", Every(300), "every 5m"),
        ("every 90m", Every(5400), "every 90m"),
        ("24h", Every(86_400), "every 24h"),
        ("every 1d", Every(86_400), "every 24h"),
        ("7d", Every(604_800), "every 7d"),
        ("366d", Every(366 * 86_400), "every 366d"),
        ("0  3 * * MON-FRI", Cron("0 3 * * MON-FRI"), "0 3 * * MON-FRI"),
    ],
)
def test_a_schedule_is_read_and_shown(text: str, schedule: Schedule, shown: str) -> None:
    assert parse(text) == schedule
    assert str(schedule) == shown
    assert parse(shown) == schedule


@pytest.mark.parametrize(
    "text",
    [
        *("", "on", "Off", "0s", "05m", "-1h", "1.5h", "24", "h", "every", "1w", "367d", "999999999d", "1h30m"),
        *("* * * *", "* * * * * *", "60 * * * *", "0 0 30 2 *", "0 0 31 4,6 *", "a b c d e", "*/0 * * * *"),
        *("\u0661h", "¹ * * * *", "* * * * " + "1," * 50 + "1"),
    ],
)
def test_what_is_no_schedule_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match=r"an interval .* cron expression .* or off"):
        parse(text)


@given(st.text(max_size=30) | st.from_regex(r"([0-9*/,L#-]{1,6} ){4}[0-9*/,L#A-Z-]{1,6}", fullmatch=True))
def test_any_text_is_a_schedule_or_refused(text: str) -> None:
    try:
        schedule = parse(text)
    except ValueError:
        return
    assert parse(str(schedule)) == schedule
    if isinstance(schedule, Cron):
        assert schedule.after(0, UTC) > 0


@given(st.sampled_from(EXPRESSIONS), st.integers(1_577_836_800, 2_051_222_400))
def test_the_next_occurrence_is_always_later_also_where_an_hour_comes_twice(text: str, second: int) -> None:
    moment = second * 1_000_000
    assert Cron(text).after(moment, BERLIN) > moment


def test_a_cron_expression_means_local_time() -> None:
    winter, summer = datetime(2026, 1, 10, tzinfo=UTC), datetime(2026, 7, 10, tzinfo=UTC)
    daily = Cron("0 3 * * *")

    assert to_time(daily.after(to_micros(winter), BERLIN)) == winter.replace(hour=2)
    assert to_time(daily.after(to_micros(summer), BERLIN)) == summer.replace(hour=1)
    assert to_time(daily.after(to_micros(summer), UTC)) == summer.replace(hour=3)


def test_a_time_that_is_left_out_comes_after_the_gap_and_one_that_comes_twice_comes_once() -> None:
    daily = Cron("30 2 * * *")
    spring = to_micros(datetime(2026, 3, 28, 12, tzinfo=UTC))
    assert to_time(daily.after(spring, BERLIN)) == datetime(2026, 3, 29, 1, tzinfo=UTC)

    first = daily.after(to_micros(datetime(2026, 10, 24, 12, tzinfo=UTC)), BERLIN)
    assert to_time(first) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert to_time(daily.after(first, BERLIN)) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)
