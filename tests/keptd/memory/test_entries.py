from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from kept.wire import VALUE_BYTES, Actor, Call
from kept.wire.errors import Conflict, InvalidParams, NotFound, TooLarge
from kept.wire.memory import DeleteMemory, GetMemory, ListMemories, Memory, MemoryHistory, SearchMemories, SetMemory
from keptd.memory import DOMAIN, store
from tests.rooms import ACTOR, Rooms

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def value(entry: Memory) -> Any:
    return msgspec.json.decode(entry.value)


def test_a_new_entry_takes_the_defaults(rooms: Rooms) -> None:
    made = rooms(SetMemory(key="k", value={"a": 1}))

    assert value(made) == {"a": 1}
    assert (made.scope, made.tier, made.category, made.priority) == ("global", "persistent", "general", 5)
    assert (made.tags, made.session_id, made.expires_at, made.version) == ((), None, None, 1)
    assert (made.actor, made.created_at, made.updated_at) == ("tester", NOW, NOW)


def test_what_was_set_is_what_is_read(rooms: Rooms) -> None:
    made = rooms(
        SetMemory(key="k", value=[1], scope="p", category="c", priority=9, tags=("a", "b"), session_id="s-1", ttl=60)
    )
    read = rooms(GetMemory(key="k", scope="p"))

    assert msgspec.json.encode(read) == msgspec.json.encode(made)
    assert read.expires_at == NOW + timedelta(seconds=60)


def test_what_a_set_leaves_out_stays_as_it_was(rooms: Rooms) -> None:
    first = rooms(SetMemory(key="k", value=1, category="c", priority=9, tags=("a",), session_id="s-1", ttl=60))
    rooms.clock.advance(1)
    second = rooms(SetMemory(key="k", value=2), Actor(client="other", uid=1, pid=1))

    assert (second.category, second.priority, second.tags, second.session_id) == ("c", 9, ("a",), "s-1")
    assert second.expires_at == first.expires_at
    assert (second.id, second.created_at, second.version, second.actor) == (first.id, NOW, 2, "other")
    assert second.updated_at == NOW + timedelta(seconds=1)


def test_each_setting_can_be_replaced(rooms: Rooms) -> None:
    rooms(SetMemory(key="k", value=1, category="c", priority=9, tags=("a",), session_id="s-1", ttl=60))
    until = NOW + timedelta(days=1)
    changed = rooms(SetMemory(key="k", value=1, category="d", priority=1, tags=(), session_id="s-2", expires_at=until))

    assert (changed.category, changed.priority, changed.tags, changed.session_id) == ("d", 1, (), "s-2")
    assert changed.expires_at == until


def test_a_key_is_unique_in_its_scope_only(rooms: Rooms) -> None:
    rooms(SetMemory(key="k", value="everywhere"))
    rooms(SetMemory(key="k", value="here", scope="p"))

    assert value(rooms(GetMemory(key="k"))) == "everywhere"
    assert value(rooms(GetMemory(key="k", scope="p"))) == "here"


def test_setting_an_entry_to_what_it_is_changes_nothing(rooms: Rooms) -> None:
    rooms(SetMemory(key="k", value={"a": 1}, tags=("t",)))
    rooms.clock.advance(1)
    again = rooms(SetMemory(key="k", value={"a": 1}, tags=("t", "t")))

    assert (again.version, again.updated_at) == (1, NOW)
    assert rooms(MemoryHistory(key="k")).items == []
    assert len(rooms.changes()) == 1


def test_a_repeated_tag_counts_once(rooms: Rooms) -> None:
    assert rooms(SetMemory(key="k", value=1, tags=("b", "a", "b"))).tags == ("b", "a")


def test_each_change_is_logged_under_a_name_for_people(rooms: Rooms) -> None:
    rooms(SetMemory(key="k", value="secret"))
    rooms(SetMemory(key="k", value="secret", scope="p"))
    rooms(DeleteMemory(key="k"))

    assert rooms.changes() == [
        ("memory.set", "memory", "k"),
        ("memory.set", "memory", "p: k"),
        ("memory.delete", "memory", "k"),
    ]


def test_a_missing_entry_is_not_found(rooms: Rooms) -> None:
    calls: list[Call[Any]] = [GetMemory(key="k"), DeleteMemory(key="k"), MemoryHistory(key="k")]
    for call in calls:
        with pytest.raises(NotFound):
            rooms(call)


def test_a_deleted_entry_is_gone(rooms: Rooms) -> None:
    made = rooms(SetMemory(key="k", value=1, tags=("t",)))

    done = rooms(DeleteMemory(key="k"))
    assert (done.id, done.label) == (made.id, "k")
    with pytest.raises(NotFound):
        rooms(GetMemory(key="k"))
    assert rooms(ListMemories(tag="t")).items == []


def test_versions_go_on_after_a_deletion(rooms: Rooms) -> None:
    first = rooms(SetMemory(key="k", value=1))
    rooms(DeleteMemory(key="k"))
    second = rooms(SetMemory(key="k", value=1))

    assert second.version == 2
    assert second.id != first.id


def test_a_wanted_version_must_be_the_present_one(rooms: Rooms) -> None:
    rooms(SetMemory(key="k", value=1))
    assert rooms(SetMemory(key="k", value=2, if_version=1)).version == 2

    calls: list[Call[Any]] = [SetMemory(key="k", value=3, if_version=1), DeleteMemory(key="k", if_version=1)]
    for call in calls:
        with pytest.raises(Conflict) as refusal:
            rooms(call)
        assert refusal.value.data["version"] == 2
    assert value(rooms(GetMemory(key="k"))) == 2


def test_a_version_wanted_of_no_entry_is_a_conflict_with_version_0(rooms: Rooms) -> None:
    with pytest.raises(Conflict) as refusal:
        rooms(SetMemory(key="k", value=1, if_version=1))

    assert refusal.value.data["version"] == 0


def test_version_0_is_wanted_of_a_key_without_an_entry(rooms: Rooms) -> None:
    assert rooms(SetMemory(key="k", value=1, if_version=0)).version == 1
    with pytest.raises(Conflict) as refusal:
        rooms(SetMemory(key="k", value=2, if_version=0))
    assert refusal.value.data["version"] == 1

    rooms(DeleteMemory(key="k"))
    assert rooms(SetMemory(key="k", value=3, if_version=0)).version == 2


def test_null_takes_a_setting_away_and_leaving_it_out_keeps_it(rooms: Rooms) -> None:
    rooms(SetMemory(key="k", value=1, session_id="s", ttl=60))
    kept = rooms(SetMemory(key="k", value=2))
    cleared = rooms(SetMemory(key="k", value=3, session_id=None, expires_at=None))

    assert (kept.session_id, kept.expires_at) == ("s", NOW + timedelta(seconds=60))
    assert (cleared.session_id, cleared.expires_at) == (None, None)
    assert rooms(SetMemory(key="new", value=1, session_id=None, expires_at=None)).expires_at is None


def test_on_a_full_disk_a_deleted_value_is_let_go(rooms: Rooms) -> None:
    rooms(SetMemory(key="k", value="former"))
    rooms(SetMemory(key="k", value="last", tags=("t",)))
    rooms.full = True
    rooms(DeleteMemory(key="k"))

    assert [bytes(item.value) for item in rooms(MemoryHistory(key="k")).items] == [b'"former"']
    assert rooms(ListMemories(tag="t")).items == []
    assert rooms(SearchMemories(query="last")).items == []
    assert rooms.changes()[-1] == ("memory.delete", "memory", "k")


def test_live_entries_are_counted_up_to_a_limit(rooms: Rooms) -> None:
    for number in range(6):
        rooms(
            SetMemory(key=f"k{number}", value=1, scope="p" if number % 2 else "global", ttl=10 if number < 2 else None)
        )
    rooms(SetMemory(key="k", value=1, scope="q"))
    now = rooms.clock.now()

    assert [store.count(rooms.reader, ["p", "global", "p"], now, limit) for limit in (3, 6, 7)] == [3, 6, 6]
    rooms.clock.advance(10)
    assert store.count(rooms.reader, ["p", "global"], rooms.clock.now(), 10) == 4


def test_ttl_and_expires_at_exclude_each_other(rooms: Rooms) -> None:
    with pytest.raises(InvalidParams) as refusal:
        rooms(SetMemory(key="k", value=1, ttl=60, expires_at=NOW + timedelta(days=1)))

    assert refusal.value.data["field"] == "ttl"


@pytest.mark.parametrize("ago", [0, 1])
def test_a_moment_that_has_passed_is_refused(rooms: Rooms, ago: int) -> None:
    with pytest.raises(InvalidParams) as refusal:
        rooms(SetMemory(key="k", value=1, expires_at=NOW - timedelta(seconds=ago)))

    assert refusal.value.data["field"] == "expires_at"


def test_a_value_past_the_limit_is_refused(rooms: Rooms) -> None:
    with pytest.raises(TooLarge) as refusal:
        rooms(SetMemory(key="k", value="x" * VALUE_BYTES))

    assert refusal.value.data["field"] == "value"


def test_point_reads_and_histories_run_inline_and_searches_do_not() -> None:
    heavy = {handler.call.method: handler.heavy for handler in DOMAIN.handlers}

    assert (heavy["memory.get"], heavy["memory.history"], heavy["memory.search"]) == (False, False, True)


def test_the_top_of_some_scopes_is_by_priority_then_newest(rooms: Rooms) -> None:
    for key, scope, priority in [("a", "p", 5), ("b", "global", 5), ("c", "p", 9), ("d", "q", 10), ("e", "global", 1)]:
        rooms(SetMemory(key=key, value=1, scope=scope, priority=priority))
    rooms(SetMemory(key="gone", value=1, priority=10, ttl=1))
    rooms.clock.advance(1)
    shown = store.top(rooms.reader, ["p", "global", "p"], rooms.clock.now(), 3)

    assert [entry.key for entry in shown] == ["c", "b", "a"]
    assert all(entry.actor == ACTOR.client for entry in shown)
