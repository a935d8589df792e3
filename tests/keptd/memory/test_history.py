from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from kept.wire.errors import InvalidParams
from kept.wire.memory import DeleteMemory, FormerValue, ListMemories, MemoryHistory, SetMemory
from keptd.memory.history import KEPT, NEWEST
from tests.rooms import Rooms

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def values(rooms: Rooms, key: str = "k") -> list[Any]:
    return [msgspec.json.decode(former.value) for former in rooms(MemoryHistory(key=key)).items]


def test_a_replaced_value_stays_in_the_history_with_its_settings(rooms: Rooms) -> None:
    rooms(SetMemory(key="k", value={"a": 1}, category="c", priority=7, tags=("t",)))
    rooms.clock.advance(5)
    rooms(SetMemory(key="k", value=2, category="d", priority=1, tags=()))
    [former] = rooms(MemoryHistory(key="k")).items

    assert msgspec.json.decode(former.value) == {"a": 1}
    assert msgspec.structs.replace(former, value=None) == FormerValue(
        version=1,
        value=None,
        category="c",
        priority=7,
        tags=("t",),
        actor="tester",
        updated_at=NOW,
        replaced_at=NOW + timedelta(seconds=5),
        ended="replaced",
    )


def test_the_last_20_values_are_kept_newest_first(rooms: Rooms) -> None:
    for number in range(30):
        rooms(SetMemory(key="k", value=number))

    assert values(rooms) == list(range(28, 28 - KEPT, -1))


def test_the_history_outlives_the_entry_and_says_where_it_ended(rooms: Rooms) -> None:
    for number in range(3):
        rooms(SetMemory(key="k", value=number))
    rooms(DeleteMemory(key="k"))
    rooms(SetMemory(key="k", value=3))
    rooms(SetMemory(key="k", value=4))
    former = rooms(MemoryHistory(key="k")).items

    assert [(item.version, item.ended) for item in former] == [
        (4, "replaced"),
        (3, "deleted"),
        (2, "replaced"),
        (1, "replaced"),
    ]


def test_an_entry_without_former_values_has_an_empty_history(rooms: Rooms) -> None:
    rooms(SetMemory(key="k", value=1))

    assert rooms(MemoryHistory(key="k")).items == []


def test_histories_of_one_key_in_two_scopes_are_apart(rooms: Rooms) -> None:
    for number in range(2):
        rooms(SetMemory(key="k", value=number))
    rooms(SetMemory(key="k", value=2, scope="p"))

    assert rooms(MemoryHistory(key="k", scope="p")).items == []
    assert values(rooms) == [0]


def test_a_history_of_large_values_comes_in_pages(rooms: Rooms) -> None:
    for number in range(21):
        rooms(SetMemory(key="k", value=f"{number:02}" + "x" * 1_000_000))
    shown: list[int] = []
    cursor = None
    for _ in range(3):
        page = rooms(MemoryHistory(key="k", cursor=cursor))
        shown += [int(msgspec.json.decode(former.value)[:2]) for former in page.items]
        cursor = page.next_cursor

    assert cursor is None
    assert shown == list(range(19, -1, -1))


def test_a_page_after_the_oldest_value_is_empty(rooms: Rooms) -> None:
    rooms(SetMemory(key="k", value=1))
    rooms(DeleteMemory(key="k"))

    assert rooms(MemoryHistory(key="k", cursor=NEWEST.cursor(1))).items == []


def test_a_cursor_of_a_list_is_refused(rooms: Rooms) -> None:
    for key in ("k", "l"):
        rooms(SetMemory(key=key, value=1))
    cursor = rooms(ListMemories(limit=1)).next_cursor

    assert cursor is not None
    with pytest.raises(InvalidParams):
        rooms(MemoryHistory(key="k", cursor=cursor))
