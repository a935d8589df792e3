"""The line that shows how far long work is, on a terminal that is played."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from kept.bar import SECONDS, Bar, line

WHOLE = st.integers() | st.integers(min_value=-(10**400), max_value=10**400)


class Terminal:
    """What a person sees of what is written: lines, and a cursor that `\\r` and `\\x1b[K` move and erase at."""

    def __init__(self, columns: int = 60) -> None:
        self.columns = columns
        self.frames: list[str] = []
        self.now = 100.0
        self.bar = Bar(self.write, lambda: self.columns, lambda: self.now)

    def write(self, text: str) -> None:
        assert text.startswith("\r\x1b[K"), "it is drawn over what was there"
        self.frames.append(text.removeprefix("\r\x1b[K"))

    def show(self, done: int, total: int, text: str, after: float = SECONDS) -> None:
        self.now += after
        self.bar.show(done, total, text)

    @property
    def shown(self) -> str:
        return self.frames[-1]


def test_a_part_of_a_whole_is_a_bar_and_a_percentage() -> None:
    assert line(45, 100, "copying", 0, 40) == "copying  [=========>            ]   45 %"


def test_the_time_is_shown_when_it_takes_long_and_is_that_of_the_part() -> None:
    terminal = Terminal()
    terminal.show(1, 10, "copying")
    assert ":" not in terminal.shown
    terminal.show(2, 10, "copying", after=75)
    assert terminal.shown.endswith("20 %  1:15")
    terminal.show(0, 0, "checking")
    assert terminal.shown == "checking"
    terminal.show(0, 0, "checking", after=9)
    assert terminal.shown == "checking  0:09"


def test_what_has_no_known_end_is_counted() -> None:
    assert line(12_345, 0, "merging memory_text", 0, 60) == "merging memory_text  12,345"
    assert line(0, 0, "", 0, 60) == "working"


def test_it_is_drawn_at_most_ten_times_a_second_and_at_once_where_another_part_begins() -> None:
    terminal = Terminal()
    for number in range(1000):
        terminal.show(number, 1000, "copying", after=0.001)
    assert 5 <= len(terminal.frames) <= 11
    drawn = len(terminal.frames)
    terminal.show(0, 0, "checking", after=0)
    assert len(terminal.frames) == drawn + 1


def test_what_was_drawn_is_erased_once_and_nothing_where_nothing_was() -> None:
    terminal = Terminal()
    terminal.bar.clear()
    assert terminal.frames == []
    terminal.show(1, 2, "copying")
    terminal.bar.clear()
    terminal.bar.clear()
    assert len(terminal.frames) == 2
    assert terminal.shown == ""


def test_it_follows_a_terminal_whose_width_changes() -> None:
    terminal = Terminal(100)
    terminal.show(1, 2, "copying")
    terminal.columns = 20
    terminal.show(1, 2, "copying", after=1)
    assert len(terminal.frames[0]) > 20 >= len(terminal.shown) + 3


def test_a_terminal_that_became_narrower_than_the_line_gets_a_short_one_from_then_on() -> None:
    terminal = Terminal(100)
    terminal.show(1, 2, "copying the database to the disk")
    widest = len(terminal.shown)
    for columns in range(widest - 1, 40, -10):
        terminal.columns = columns
        terminal.show(1, 2, "copying the database to the disk", after=0.125)
        assert len(terminal.shown) <= 32
    terminal.columns = 200
    terminal.show(1, 2, "copying the database to the disk", after=0.125)
    assert terminal.shown == "copying the database to...  50 %"


@pytest.mark.parametrize(
    ("width", "drawn"),
    [
        (37, "copying the database to the disk  7 %"),
        (17, "copying t...  7 %"),
        (13, "copyi...  7 %"),
        (12, "7 %"),
        (3, "7 %"),
        (2, ""),
    ],
)
def test_a_narrow_terminal_shows_what_is_done_as_far_as_it_says_something(width: int, drawn: str) -> None:
    assert line(7, 100, "copying the database to the disk", 0, width) == drawn


@example(done=-1, total=10**400, text="\x1b]0;owned\x07\x9b31m\u202e\r\nnext", seconds=0, width=80)
@example(done=5, total=4, text="漢字 e\u0301 \u200d👩\u200d👩", seconds=10**9, width=30)
@example(done=1, total=2, text="a" * 10**6, seconds=0, width=5)
@given(
    done=WHOLE,
    total=WHOLE,
    text=st.text(),
    seconds=st.integers(0, 10**9),
    width=st.integers(min_value=-3, max_value=300),
)
def test_whatever_is_told_it_stays_one_line_within_its_width(
    done: int, total: int, text: str, seconds: int, width: int
) -> None:
    drawn = line(done, total, text, seconds, width)
    assert drawn.isprintable()
    assert cell_len(drawn) == len(drawn) <= max(width, 0)


@pytest.mark.parametrize(("done", "percent"), [(0, 0), (1, 1), (99, 99), (100, 100), (101, 100), (-5, 0)])
def test_the_bar_is_full_when_all_is_done_and_not_before(done: int, percent: int) -> None:
    drawn = line(done, 100, "copying", 0, 60)
    assert drawn.endswith(f"{percent:>3} %")
    assert ((" " in drawn[drawn.index("[") : drawn.index("]")]) or ">" in drawn) is (percent < 100)
