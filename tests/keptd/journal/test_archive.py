"""Old actions in their archives: the list doesn't show where an action is, and none is lost or doubled by a crash."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kept.wire.journal import Action, ListActions, LogAction
from keptd.clock import to_micros, to_time
from keptd.journal import DOMAIN, archive, frames, store
from keptd.journal.frames import DamagedArchive, Frames
from keptd.store.database import snapshot
from keptd.zstd import compress
from tests.rooms import Rooms

DAY = 86_400


@pytest.fixture(autouse=True)
def small_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few actions are many frames."""
    monkeypatch.setattr(frames, "FRAME_LINES", 3)


def folder(rooms: Rooms) -> Path:
    return archive.folder_of(rooms.reader)


def log(rooms: Rooms, *names: str, project: str | None = None, step: float = DAY) -> None:
    for name in names:
        rooms(LogAction(action=name, details={"of": name}, project=project))
        rooms.clock.advance(step)


def move_out(rooms: Rooms, days: float = 0) -> list[store.Moved]:
    """As the job does, up to where it removes from the table."""
    before = rooms.clock.now() - round(days * DAY * 1_000_000)
    with snapshot(Path(rooms.reader.filename)) as db:
        return store.move_out(db, before, lambda _: None)


def archive_all(rooms: Rooms, days: float = 0) -> None:
    for moved in move_out(rooms, days):
        with rooms.writer:
            while store.forget_actions(rooms.writer, moved.last, 2):
                pass


def in_table(rooms: Rooms) -> int:
    [(count,)] = rooms.reader.execute("SELECT count(*) FROM action")
    return int(count)


def pages(rooms: Rooms, call: ListActions) -> Iterator[list[Action]]:
    while True:
        page = rooms(call)
        yield page.items
        if page.next_cursor is None:
            return
        call = msgspec.structs.replace(call, cursor=page.next_cursor)


def listed(rooms: Rooms, call: ListActions | None = None) -> list[Action]:
    return [action for page in pages(rooms, call or ListActions()) for action in page]


def names(rooms: Rooms, call: ListActions | None = None) -> list[str]:
    return [action.action for action in listed(rooms, call)]


def test_archived_actions_are_listed_as_if_they_had_stayed(rooms: Rooms) -> None:
    log(rooms, *"abcdefghijkl", step=6 * DAY)
    before = listed(rooms)
    archive_all(rooms, days=20)

    assert in_table(rooms) == 3
    assert [path.name for path in archive.files(folder(rooms))] == [
        "actions-2026-01.jsonl.zst",
        "actions-2026-02.jsonl.zst",
    ]
    assert listed(rooms) == before
    assert listed(rooms, ListActions(limit=2)) == before


def test_a_cursor_from_before_the_move_goes_on_behind_it(rooms: Rooms) -> None:
    log(rooms, *"abcdefgh")
    cursor = rooms(ListActions(limit=3)).next_cursor
    archive_all(rooms)

    assert names(rooms, ListActions(cursor=cursor)) == list("edcba")


def test_details_keep_every_byte(rooms: Rooms) -> None:
    call = LogAction(action="é\u2028", details={"n": 1.5e300, "s": "\u0000\n", "deep": [[None, True]]})
    before = rooms(call)
    log(rooms, "newest")
    archive_all(rooms)
    found = rooms(ListActions()).items[1]

    assert found == before
    assert bytes(found.details) == bytes(before.details)


def test_the_newest_action_always_stays(rooms: Rooms) -> None:
    log(rooms, "a", "b")
    archive_all(rooms)

    assert in_table(rooms) == 1
    archive_all(rooms)
    assert in_table(rooms) == 1
    assert names(rooms) == ["b", "a"]


def test_what_is_younger_than_the_age_stays(rooms: Rooms) -> None:
    log(rooms, "a", "b", "c", "d")
    archive_all(rooms, days=3)

    assert in_table(rooms) == 3


def test_a_project_shows_its_own_wherever_they_are(rooms: Rooms) -> None:
    for number in range(20):
        log(rooms, f"p{number}", project="p")
        log(rooms, f"q{number}", project="q")
    archive_all(rooms, days=10)

    assert names(rooms, ListActions(project="p", limit=3)) == [f"p{number}" for number in range(19, -1, -1)]


def test_since_goes_into_the_archives_and_no_further(rooms: Rooms) -> None:
    start = rooms.clock.now()
    log(rooms, *(str(number) for number in range(60)))
    archive_all(rooms, days=5)
    since = to_time(start) + timedelta(days=25)

    assert names(rooms, ListActions(since=since, limit=7)) == [str(number) for number in range(59, 24, -1)]
    assert names(rooms, ListActions(since=since + timedelta(microseconds=1)))[-1] == "26"


def test_a_page_that_looks_through_much_ends_early_with_a_cursor(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "FRAMES_AT_ONCE", 2)
    log(rooms, "mine", project="p")
    log(rooms, *(str(number) for number in range(30)))
    archive_all(rooms)
    first = rooms(ListActions(project="p"))

    assert first.items == []
    assert first.next_cursor is not None
    assert names(rooms, ListActions(project="p")) == ["mine"]
    assert names(rooms) == [*(str(number) for number in range(29, -1, -1)), "mine"]


def test_a_month_is_added_to(rooms: Rooms) -> None:
    log(rooms, *"abcde")
    archive_all(rooms, days=2)
    log(rooms, *"fghi")
    archive_all(rooms)

    assert [path.name for path in archive.files(folder(rooms))] == ["actions-2026-01.jsonl.zst"]
    assert names(rooms) == list("ihgfedcba")


def test_a_clock_that_was_set_back_confuses_nothing(rooms: Rooms) -> None:
    log(rooms, "a", "b", step=20 * DAY)
    rooms.clock.advance(-35 * DAY)
    log(rooms, "c")
    rooms.clock.advance(60 * DAY)
    log(rooms, "d", "e")
    before = listed(rooms)
    archive_all(rooms)

    assert listed(rooms, ListActions(limit=1)) == before
    since = before[2].created_at
    assert names(rooms, ListActions(since=since)) == ["e", "d", "c", "b"]


@pytest.mark.parametrize("removed", [0, 1, 2, 5])
def test_a_crash_between_archive_and_removal_loses_and_doubles_nothing(rooms: Rooms, removed: int) -> None:
    log(rooms, *"abcdefg")
    before = listed(rooms)
    (moved,) = move_out(rooms)
    if removed:
        with rooms.writer:
            store.forget_actions(rooms.writer, moved.last, removed)

    assert listed(rooms, ListActions(limit=2)) == before
    log(rooms, "h")
    archive_all(rooms)
    assert names(rooms, ListActions(limit=2)) == ["h", *(action.action for action in before)]
    lines = [line for path in archive.files(folder(rooms)) for line in whole(path)]
    assert len(lines) == len(set(lines)) == 7


def whole(path: Path) -> list[bytes]:
    with Frames(path) as opened:
        return [line for number in range(len(opened.table)) for line in opened.lines(number)]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_move_that_fails_leaves_everything_as_it_was(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    log(rooms, *"abcd")
    archive_all(rooms, days=2)
    log(rooms, *"efg")
    before = listed(rooms)

    def fail(*_: object) -> None:
        raise OSError(5, "the disk failed")

    with monkeypatch.context() as patch:
        patch.setattr(*((os, "fsync", fail) if step == "fsync" else (Path, "replace", fail)))
        with pytest.raises(OSError, match="the disk failed"):
            move_out(rooms)
    assert listed(rooms) == before
    archive_all(rooms)
    assert listed(rooms) == before


def test_what_was_not_written_as_it_should_be_takes_no_place(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    log(rooms, *"abcd")
    monkeypatch.setattr(frames, "compress", broken(compress))
    with pytest.raises(DamagedArchive):
        move_out(rooms)

    assert archive.files(folder(rooms)) == []


def broken(right: Callable[..., bytes]) -> Callable[..., bytes]:
    return lambda plain, **options: right(b"x" * (len(plain) - 1) + b"\n", **options)


def test_an_archive_of_a_state_that_was_gone_back_from_hides_nothing_new(rooms: Rooms) -> None:
    log(rooms, *"abcdef")
    with rooms.writer:
        rooms.writer.execute("CREATE TEMP TABLE earlier AS SELECT * FROM action WHERE action < 'd'")
    archive_all(rooms)
    with rooms.writer:  # As restoring an older backup does: the places are given anew.
        rooms.writer.execute("DELETE FROM action")
        rooms.writer.execute("INSERT INTO action SELECT * FROM earlier")
        rooms.writer.execute("UPDATE sqlite_sequence SET seq = 3 WHERE name = 'action'")
    log(rooms, "x", "y", "z")
    assert names(rooms) == list("zyxcba")
    archive_all(rooms)

    assert names(rooms) == list("zyxcba")
    (former,) = (path for path in folder(rooms).iterdir() if path.name.startswith("former-"))
    assert len(whole(former)) == 5


def test_the_actions_after_a_sequence_come_from_the_archives_as_well(rooms: Rooms) -> None:
    log(rooms, *"abcdefghijkl")
    archive_all(rooms, days=4)
    shown: list[str] = []
    seq = 0
    while found := store.actions_after(rooms.reader, seq, 5):
        shown += [action.action for _, action in found]
        seq = found[-1][0]

    assert shown == list("abcdefghijkl")


def test_any_zstd_tool_unpacks_an_archive(rooms: Rooms, tmp_path: Path) -> None:
    log(rooms, *"abcdefgh")
    archive_all(rooms)
    (path,) = archive.files(folder(rooms))
    try:
        unpacked = subprocess.run(["zstd", "-dc", str(path)], capture_output=True, check=True).stdout
    except FileNotFoundError:
        pytest.skip("no zstd program")

    assert [msgspec.json.decode(line)["action"]["action"] for line in unpacked.splitlines()] == list("abcdefg")


def test_a_damaged_archive_is_refused_by_name_and_never_read_wrong(rooms: Rooms) -> None:
    log(rooms, *"abcdefgh")
    archive_all(rooms)
    before = listed(rooms)
    (path,) = archive.files(folder(rooms))
    good = path.read_bytes()
    data_folder = folder(rooms).parent
    assert archive.damaged(data_folder) == []

    for position in range(len(good)):
        path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        try:
            assert listed(rooms) == before
        except DamagedArchive:
            assert archive.damaged(data_folder) == [f"archives/{path.name}"]
    for end in range(len(good)):
        path.write_bytes(good[:end])
        with pytest.raises(DamagedArchive):
            listed(rooms)


@settings(max_examples=30, deadline=None)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("log"), st.sampled_from([None, "p", "q"]), st.integers(-40, 40)),
            st.tuples(st.just("archive"), st.none(), st.integers(0, 60)),
        ),
        max_size=30,
    ),
    limit=st.integers(1, 5),
    project=st.sampled_from([None, "p"]),
    since=st.none() | st.integers(-60, 300),
)
def test_the_list_is_that_of_a_table_which_forgets_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, str | None, int]],
    limit: int,
    project: str | None,
    since: int | None,
) -> None:
    rooms = Rooms(tmp_path_factory.mktemp("home"), [DOMAIN])
    start = rooms.clock.now()
    model: list[Action] = []
    for step, of_project, days in steps:
        if step == "log":
            model.insert(0, rooms(LogAction(action="a", project=of_project)))
            rooms.clock.advance(days * DAY)
        else:
            archive_all(rooms, days)
    moment = None if since is None else to_time(start) + timedelta(days=since)
    found = listed(rooms, ListActions(project=project, since=moment, limit=limit))
    rooms.close()

    assert found == [
        action
        for action in model
        if (project is None or action.project == project)
        and (moment is None or to_micros(action.created_at) >= to_micros(moment))
    ]
