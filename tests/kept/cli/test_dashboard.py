"""What `kept top` shows, as a function of two samples and a size."""

from __future__ import annotations

import os
import re
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from kept.cli.dashboard import draw, explain
from kept.cli.grid import Column, Grid, Line, stack
from kept.cli.samples import Sample
from kept.cli.screen import Screen
from kept.cli.text import cells_of

from .samples import NOW, any_sample, connected, job, method, sample
from .terminal import Picture

FOOTER = Line("every 2 s; q ends", "aside")
COMMANDS = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def shown(before: Sample | None, now: Sample, width: int = 80, height: int | None = 24) -> list[str]:
    return [line.text for line in draw(before, now, width, height, FOOTER)]


def many(count: int) -> Sample:
    return sample(
        clients=tuple(connected(f"client-{number}", pid=number) for number in range(count)),
        jobs=tuple(job(f"room.job_{number}") for number in range(count)),
        methods=tuple(method(f"room.method_{number}", number) for number in range(count)),
    )


@settings(max_examples=100, deadline=None)
@given(before=st.none() | any_sample, now=any_sample, width=st.integers(1, 250), height=st.integers(2, 80))
def test_any_view_fits_any_terminal_and_commands_it_to_nothing(
    before: Sample | None, now: Sample, width: int, height: int
) -> None:
    lines = draw(before, now, width, height, FOOTER)
    assert len(lines) == height
    assert max(cells_of(line.text) for line in lines) <= width
    assert not COMMANDS.search("".join(line.text for line in lines))
    assert width < len(FOOTER.text) or lines[-1] == FOOTER
    helped = explain(width, height, FOOTER)
    assert len(helped) == height
    assert max(cells_of(line.text) for line in helped) <= width


@settings(max_examples=50, deadline=None)
@given(before=st.none() | any_sample, now=any_sample, width=st.integers(20, 250))
def test_without_a_height_every_row_is_there(before: Sample | None, now: Sample, width: int) -> None:
    lines = draw(before, now, width, None)
    assert max(cells_of(line.text) for line in lines) <= width
    heads = [line for line in lines if line.mark == "head"]
    rows = (len(now.clients), len(now.jobs), len(now.activity.methods))
    assert len(heads) == sum(count > 0 for count in rows)
    assert len(lines) >= len(heads) + sum(rows)


@given(count=st.integers(0, 40), height=st.integers(3, 100), width=st.integers(50, 200))
def test_every_row_is_shown_or_counted(count: int, height: int, width: int) -> None:
    lines = shown(None, many(count), width, height)
    for noun, start in (("clients", "client-"), ("jobs", "room.j"), ("methods", "room.m")):
        rows = sum(line.startswith(start) for line in lines)
        counted = re.search(rf"(\d+)(?: more)? {noun}", "\n".join(lines))
        assert rows + (int(counted[1]) if counted else 0) == count


_grids = st.lists(
    st.builds(
        lambda noun, rows, columns: Grid(noun, [Column("T" * at, ["c" * rows] * rows, at) for at in range(columns)]),
        noun=st.sampled_from(["clients", "methods"]),
        rows=st.integers(0, 30),
        columns=st.integers(1, 6),
    ),
    max_size=4,
)


@given(grids=_grids, width=st.integers(1, 60), height=st.none() | st.integers(0, 40))
def test_tables_are_never_wider_or_longer_than_their_space(grids: list[Grid], width: int, height: int | None) -> None:
    lines = stack(grids, width, height)
    assert all(cells_of(line.text) <= width for line in lines)
    assert height is None or len(lines) <= height


def test_a_line_as_wide_as_the_terminal_keeps_its_last_character() -> None:
    """Which erasing to the end of the line, with the cursor on it, would take."""
    reading, writing = os.pipe()
    Screen(reading, writing, colour=True).show([Line("x" * 20, "title"), Line("y")], 20, anew=True)
    picture = Picture(20, 3)
    picture.lines = [["old"] * 20 for _ in range(3)]
    picture.take(os.read(reading, 1000).decode())
    os.close(reading)
    os.close(writing)
    assert picture.text().split("\n") == ["x" * 20, "y", ""]


def test_the_tables_share_what_is_left_of_the_height() -> None:
    lines = shown(None, many(20), height=24)
    assert [line for line in lines if "more" in line] == ["15 more clients", "16 more jobs", "16 more methods"]
    assert "no room for 20 jobs, 20 methods" in shown(None, many(20), height=10)
    assert not any("more" in line or "no room" in line for line in shown(None, many(3), height=40))


def test_what_was_done_since_the_view_before_is_told_per_second() -> None:
    before = sample(100.0, requests=10, refused=1, reads=4, storage={"commits": 5, "writes": 5, "last_seq": 50})
    now = sample(102.0, requests=30, refused=2, reads=10, storage={"commits": 7, "writes": 15, "last_seq": 60})
    text = "\n".join(shown(before, now, 200))
    assert (
        "in 2.0 s:  10 requests/s  3.0 reads/s  5.0 writes/s  1.0 commits/s  batch 5.0  0.5 refused/s  "
        "in 0 bytes/s  out 0 bytes/s\n"
    ) in text
    assert "change 60  5.0 changes/s  +0 bytes/s\n" in text


def test_the_first_view_has_the_averages_since_the_start() -> None:
    text = " ".join(shown(None, sample(requests=500)))
    assert "since the start:  5.0 requests/s" in text
    assert "changes/s" not in text


def test_clients_are_sorted_by_what_they_ask_for() -> None:
    before = sample(100.0, clients=(connected("was busy", 900), connected("asks", 0, 2), connected("new", 0, 3)))
    asked = (connected("was busy", 900), connected("asks", 50, 2), connected("waits", 0, 4, in_flight=3))
    lines = shown(before, sample(101.0, clients=asked))
    names = [line.split("  ")[0] for line in lines if line.startswith(("was", "asks", "waits", "new"))]
    assert names == ["asks", "waits", "was busy"]


def test_what_is_wrong_stands_at_the_top_and_is_marked() -> None:
    now = sample(
        storage={"state": "full", "detail": "no room", "recovered": "nothing was lost", "is_checked": False},
        jobs_failing=("backup.create",),
        jobs=(job("a.fine"), job("backup.create", failures=2, last_result="failed", last_at=NOW)),
    )
    lines = draw(None, now, 80, 24)
    marked = " ".join(line.text for line in lines if line.mark == "warning")
    for words in ("storage: no room", "being checked", "recovered: nothing was lost", "failing: backup.create"):
        assert words in marked
    (row,) = [line.text for line in lines if line.mark == "warning" and line.text.startswith("backup.create")]
    assert row.split()[1] == "failed"
    running = sample(jobs=(job("a.fine", next_at=NOW), job("b.runs", running=True), job("c.off", schedule="off")))
    states = [line.split()[:2] for line in shown(None, running) if re.match(r"[abc]\.", line)]
    assert states == [["b.runs", "running"], ["a.fine", "waiting"], ["c.off", "off"]]


def test_a_narrow_terminal_keeps_the_columns_that_tell_most() -> None:
    now = sample(clients=(connected("an-editor", 5, user="ann", project="kept"),))
    (wide,) = [line for line in shown(None, now, 200) if line.startswith("CLIENT")]
    assert wide.split("  ")[-1] == "FOR"
    (narrow,) = [line for line in shown(None, now, 30) if line.startswith("CLIENT")]
    assert narrow.split() == ["CLIENT", "REQ/S", "IN", "FLIGHT"]


def test_an_older_look_at_another_run_of_the_daemon_counts_for_nothing() -> None:
    for other in (sample(90.0, pid=8, requests=5), sample(90.0, started_at=NOW - timedelta(days=1), requests=5)):
        assert "since the start:" in " ".join(shown(other, sample(requests=500)))
    assert "since the start:" in " ".join(shown(sample(100.0), sample(100.0)))
