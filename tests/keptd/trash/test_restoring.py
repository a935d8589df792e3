"""What comes back from the trash is what went in, under its next version."""

from __future__ import annotations

import msgspec
import pytest

from kept.wire import Actor
from kept.wire.component import DeleteComponent, GetComponent, SetComponent
from kept.wire.errors import Conflict, NotFound
from kept.wire.memory import DeleteMemory, GetMemory, ListMemories, MemoryHistory, SearchMemories, SetMemory
from kept.wire.trash import ListTrash, RestoreTrash
from keptd.clock import to_time
from tests.rooms import Rooms

OTHER = Actor(client="other", uid=1, pid=2)


def restore(rooms: Rooms) -> None:
    rooms(RestoreTrash(id=rooms(ListTrash()).items[0].id), OTHER)


def test_a_memory_comes_back_with_everything_under_its_next_version(rooms: Rooms) -> None:
    rooms(SetMemory(key="k", value=0))
    before = rooms(
        SetMemory(
            key="k",
            value={"a": [1, 2.5, None, "\u0000é"]},
            category="build",
            priority=9,
            tags=("x", "y"),
            session_id="s",
            ttl=3600,
        )
    )
    rooms.clock.advance(60)
    rooms(DeleteMemory(key="k"))
    rooms.clock.advance(60)
    restore(rooms)
    after = rooms(GetMemory(key="k"))

    changed = {"version": 3, "updated_at": to_time(rooms.clock.now()), "actor": "other"}
    assert after == msgspec.structs.replace(before, **changed)
    assert [memory.key for memory in rooms(ListMemories(tag="y")).items] == ["k"]
    assert [memory.key for memory in rooms(SearchMemories(query="build")).items] == ["k"]
    assert [former.version for former in rooms(MemoryHistory(key="k")).items] == [2, 1]


def test_a_memory_whose_key_was_set_again_is_not_replaced(rooms: Rooms) -> None:
    rooms(SetMemory(key="k", value="old"))
    rooms(DeleteMemory(key="k"))
    newer = rooms(SetMemory(key="k", value="new"))

    with pytest.raises(Conflict) as refusal:
        restore(rooms)
    assert refusal.value.data["version"] == newer.version
    assert rooms(GetMemory(key="k")) == newer


def test_versions_go_on_behind_those_that_a_key_had_meanwhile(rooms: Rooms) -> None:
    rooms(SetMemory(key="k", value="old"))
    rooms(DeleteMemory(key="k"))
    oldest = rooms(ListTrash()).items[0]
    rooms(SetMemory(key="k", value="new"))
    rooms(DeleteMemory(key="k"))
    rooms(RestoreTrash(id=oldest.id))

    assert rooms(GetMemory(key="k")).version == 3
    assert msgspec.json.decode(rooms(GetMemory(key="k")).value) == "old"


def test_a_memory_that_expired_in_the_trash_stays_there(rooms: Rooms) -> None:
    rooms(SetMemory(key="k", value=1, ttl=10))
    rooms(DeleteMemory(key="k"))
    rooms.clock.advance(10)

    with pytest.raises(Conflict):
        restore(rooms)
    with pytest.raises(NotFound):
        rooms(GetMemory(key="k"))
    assert len(rooms(ListTrash()).items) == 1


def test_an_expired_entry_makes_way_for_one_from_the_trash(rooms: Rooms) -> None:
    rooms(SetMemory(key="k", value="old"))
    rooms(DeleteMemory(key="k"))
    rooms(SetMemory(key="k", value="brief", ttl=10))
    rooms.clock.advance(10)
    restore(rooms)

    assert msgspec.json.decode(rooms(GetMemory(key="k")).value) == "old"
    assert [former.version for former in rooms(MemoryHistory(key="k")).items] == [2, 1]


def test_a_component_comes_back_with_everything_under_its_next_version(rooms: Rooms) -> None:
    before = rooms(SetComponent(name="web", status="degraded", health=7, metadata={"a": [1, "é"]}))
    rooms.clock.advance(60)
    rooms(DeleteComponent(name="web"))
    rooms.clock.advance(60)
    restore(rooms)

    changed = {"version": 2, "updated_at": to_time(rooms.clock.now()), "actor": "other"}
    assert rooms(GetComponent(name="web")) == msgspec.structs.replace(before, **changed)


def test_a_component_whose_name_was_taken_is_not_replaced(rooms: Rooms) -> None:
    rooms(SetComponent(name="web", status="down"))
    rooms(DeleteComponent(name="web"))
    newer = rooms(SetComponent(name="web", status="operational"))

    with pytest.raises(Conflict) as refusal:
        restore(rooms)
    assert refusal.value.data["version"] == newer.version
    assert rooms(GetComponent(name="web")) == newer
