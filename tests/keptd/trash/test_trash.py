from __future__ import annotations

from datetime import timedelta

import pytest

from kept.wire import Actor
from kept.wire.component import DeleteComponent, SetComponent
from kept.wire.errors import Conflict, InvalidParams, NotFound
from kept.wire.memory import DeleteMemory, SetMemory
from kept.wire.trash import EmptyTrash, ListTrash, RestoreTrash, Trashed
from keptd.clock import to_time
from keptd.trash import store
from tests.keptd.plans import growing, plan
from tests.rooms import ACTOR, Rooms


def forget(rooms: Rooms, *keys: str) -> None:
    for key in keys:
        rooms(SetMemory(key=key, value=key))
        rooms(DeleteMemory(key=key))


def labels(rooms: Rooms, call: ListTrash | None = None) -> list[str]:
    return [item.label for item in rooms(call or ListTrash()).items]


def test_what_is_deleted_is_in_the_trash_with_who_when_and_until_when(rooms: Rooms) -> None:
    memory = rooms(SetMemory(key="k", value=1, scope="p"))
    rooms.clock.advance(60)
    rooms(DeleteMemory(key="k", scope="p"), Actor(client="agent", uid=1, pid=2))
    (item,) = rooms(ListTrash()).items

    now = to_time(rooms.clock.now())
    assert item == Trashed(
        id=item.id,
        entity="memory",
        entity_id=memory.id,
        label="p: k",
        deleted_at=now,
        purge_at=now + timedelta(days=30),
        actor="agent",
    )


def test_the_trash_comes_newest_first_in_pages_whatever_the_clock_did(rooms: Rooms) -> None:
    forget(rooms, "a")
    rooms.clock.advance(-3600)
    forget(rooms, "b", "c")
    first = rooms(ListTrash(limit=2))

    assert [item.label for item in first.items] == ["c", "b"]
    assert labels(rooms, ListTrash(limit=2, cursor=first.next_cursor)) == ["a"]


def test_the_trash_can_be_narrowed_to_a_type(rooms: Rooms) -> None:
    forget(rooms, "k")
    rooms(SetComponent(name="web", status="down"))
    rooms(DeleteComponent(name="web"))

    assert labels(rooms, ListTrash(entity="component")) == ["web"]
    assert labels(rooms, ListTrash(entity="session")) == []


def test_what_is_restored_leaves_the_trash_and_is_a_change_of_its_own_entity(rooms: Rooms) -> None:
    forget(rooms, "k")
    (item,) = rooms(ListTrash()).items

    assert rooms(RestoreTrash(id=item.id)) == item
    assert labels(rooms) == []
    assert rooms.changes()[-1] == ("trash.restore", "memory", "k")


def test_what_is_not_in_the_trash_can_not_be_restored_or_removed(rooms: Rooms) -> None:
    with pytest.raises(NotFound):
        rooms(RestoreTrash(id="no-such-thing"))
    with pytest.raises(NotFound):
        rooms(EmptyTrash(id="no-such-thing"))


def test_a_refused_restore_leaves_it_in_the_trash(rooms: Rooms) -> None:
    forget(rooms, "k")
    (item,) = rooms(ListTrash()).items
    rooms(SetMemory(key="k", value="newer"))

    with pytest.raises(Conflict):
        rooms(RestoreTrash(id=item.id))
    assert labels(rooms) == ["k"]


def test_an_entity_of_a_room_that_is_not_there_stays_in_the_trash(rooms: Rooms) -> None:
    stay = store.stay(rooms.writer, rooms.clock, 30)
    with rooms.writer:
        store.put(rooms.writer, store.Deleted("session", "1", "chat", {}), stay, ACTOR.client)
    (item,) = rooms(ListTrash()).items

    with pytest.raises(Conflict):
        rooms(RestoreTrash(id=item.id))
    assert labels(rooms) == ["chat"]


def test_one_thing_can_be_removed_for_good(rooms: Rooms) -> None:
    forget(rooms, "a", "b")
    newest = rooms(ListTrash()).items[0]

    assert rooms(EmptyTrash(id=newest.id)).removed == 1
    assert labels(rooms) == ["a"]
    assert rooms.changes()[-1] == ("trash.empty", "trash", "1 removed")


def test_all_from_before_a_time_can_be_removed_for_good(rooms: Rooms) -> None:
    forget(rooms, "a", "b")
    rooms.clock.advance(60)
    forget(rooms, "c")

    assert rooms(EmptyTrash(before=to_time(rooms.clock.now()))).removed == 2
    assert labels(rooms) == ["c"]


def test_all_can_be_removed_for_good_in_one_change(rooms: Rooms) -> None:
    forget(rooms, "a", "b")
    before = len(rooms.changes())

    assert rooms(EmptyTrash()).removed == 2
    assert rooms.changes()[before:] == [("trash.empty", "trash", "2 removed")]
    assert rooms(EmptyTrash()).removed == 0
    assert len(rooms.changes()) == before + 1


def test_one_thing_and_a_time_exclude_each_other(rooms: Rooms) -> None:
    forget(rooms, "a")
    (item,) = rooms(ListTrash()).items

    with pytest.raises(InvalidParams) as refusal:
        rooms(EmptyTrash(id=item.id, before=item.deleted_at))
    assert refusal.value.data["field"] == "before"
    assert labels(rooms) == ["a"]


def test_a_cursor_of_another_list_is_refused(rooms: Rooms) -> None:
    with pytest.raises(InvalidParams):
        rooms(ListTrash(cursor="abc"))


@pytest.mark.parametrize("entity", [None, "memory"])
def test_a_list_is_served_by_an_index(rooms: Rooms, entity: str | None) -> None:
    assert growing(plan(rooms.reader, *store.list_query(entity, 100, 50))) == []
