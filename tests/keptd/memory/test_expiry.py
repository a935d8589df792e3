from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from kept.wire import Call
from kept.wire.errors import Conflict, NotFound
from kept.wire.memory import DeleteMemory, GetMemory, ListMemories, MemoryHistory, SearchMemories, SetMemory
from keptd.domain import WriteCtx
from keptd.memory import jobs, store
from keptd.store.changes import ChangeLog
from tests.rooms import ACTOR, Rooms

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = 86_400


def sweep(rooms: Rooms, limit: int = 100) -> list[str]:
    with rooms.writer:
        swept = store.sweep(rooms.writer, rooms.clock.now(), limit)
    return [row.key for row in swept]


def lately(rooms: Rooms, *scopes: str) -> list[str]:
    now = rooms.clock.now()
    return [gone.key for gone in store.recently_expired(rooms.reader, scopes, now, now - 7 * DAY * 1_000_000, 10)]


def test_an_expired_entry_is_never_returned(rooms: Rooms) -> None:
    rooms(SetMemory(key="k", value="word", tags=("t",), ttl=10))
    rooms(SetMemory(key="other", value="word", tags=("t",)))
    rooms.clock.advance(10)

    calls: list[Call[Any]] = [GetMemory(key="k"), DeleteMemory(key="k")]
    for call in calls:
        with pytest.raises(NotFound):
            rooms(call)
    for listing in (
        ListMemories(),
        ListMemories(order="priority"),
        ListMemories(tag="t"),
        ListMemories(category="general"),
        ListMemories(scope="global"),
        ListMemories(min_priority=2),
    ):
        assert [entry.key for entry in rooms(listing).items] == ["other"]
    assert rooms(ListMemories(prefix="k")).items == []
    assert [entry.key for entry in rooms(SearchMemories(query="word")).items] == ["other"]


def test_an_entry_is_there_up_to_its_last_microsecond(rooms: Rooms) -> None:
    rooms(SetMemory(key="k", value=1, ttl=10))
    rooms.clock.advance(9.999999)

    assert rooms(GetMemory(key="k")).key == "k"


@pytest.mark.parametrize("swept", [False, True])
def test_an_expired_key_starts_anew_and_its_value_is_history(rooms: Rooms, swept: bool) -> None:
    first = rooms(SetMemory(key="k", value=1, category="c", priority=9, tags=("t",), session_id="s", ttl=10))
    rooms.clock.advance(60)
    if swept:
        sweep(rooms)
    second = rooms(SetMemory(key="k", value=2))
    [former] = rooms(MemoryHistory(key="k")).items

    assert second.id != first.id
    assert (second.version, second.created_at) == (2, NOW + timedelta(seconds=60))
    assert (second.category, second.priority, second.tags, second.session_id) == ("general", 5, (), None)
    assert second.expires_at is None
    assert (former.version, former.ended, former.replaced_at) == (1, "expired", NOW + timedelta(seconds=10))


def test_on_a_full_disk_what_expired_is_swept_out_and_not_kept(rooms: Rooms) -> None:
    rooms(SetMemory(key="k", value=1, ttl=10))
    rooms(SetMemory(key="other", value=1))
    rooms.clock.advance(10)
    log = ChangeLog(rooms.writer, rooms.clock.now(), ACTOR, "memory.expire")
    with rooms.writer:
        swept = jobs.move_expired(WriteCtx(rooms.writer, rooms.clock, ACTOR, rooms.config, log, full=True), 10)

    assert swept == 1
    with pytest.raises(NotFound):
        rooms(MemoryHistory(key="k"))
    assert [entry.key for entry in rooms(ListMemories()).items] == ["other"]


def test_an_expired_entry_has_no_version_to_want(rooms: Rooms) -> None:
    rooms(SetMemory(key="k", value=1, ttl=10))
    rooms.clock.advance(10)

    with pytest.raises(Conflict) as refusal:
        rooms(SetMemory(key="k", value=2, if_version=1))
    assert refusal.value.data["version"] == 0


def test_a_sweep_can_not_be_seen_in_the_history(rooms: Rooms) -> None:
    for number in range(25):
        rooms(SetMemory(key="k", value=number, ttl=10))
    rooms.clock.advance(10)
    before = msgspec.json.encode(rooms(MemoryHistory(key="k")))
    assert sweep(rooms) == ["k"]

    assert msgspec.json.encode(rooms(MemoryHistory(key="k"))) == before


def test_a_sweep_takes_the_oldest_first_and_no_more_than_it_may(rooms: Rooms) -> None:
    for number, seconds in enumerate((30, 10, 20, 9999)):
        rooms(SetMemory(key=f"k{number}", value=1, tags=("t",), ttl=seconds))
    rooms.clock.advance(100)

    assert sweep(rooms, 2) == ["k1", "k2"]
    assert sweep(rooms, 2) == ["k0"]
    assert sweep(rooms, 2) == []
    assert rooms.reader.execute("SELECT count(*) FROM memory").fetchall() == [(1,)]
    assert rooms.reader.execute("SELECT count(*) FROM memory_tag").fetchall() == [(1,)]


@pytest.mark.parametrize("swept", [False, True])
def test_what_expired_lately_is_known_for_a_while_newest_first(rooms: Rooms, swept: bool) -> None:
    rooms(SetMemory(key="first", value=1, ttl=10))
    rooms(SetMemory(key="second", value=1, scope="p", ttl=20))
    rooms(SetMemory(key="elsewhere", value=1, scope="q", ttl=20))
    rooms(SetMemory(key="deleted", value=1, ttl=DAY))
    rooms(DeleteMemory(key="deleted"))
    rooms.clock.advance(60)
    if swept:
        sweep(rooms)

    assert lately(rooms, "global", "p") == ["second", "first"]
    rooms.clock.advance(7 * DAY)
    assert lately(rooms, "global", "p") == []


@pytest.mark.parametrize("swept", [False, True])
def test_a_key_that_was_set_again_did_not_expire(rooms: Rooms, swept: bool) -> None:
    rooms(SetMemory(key="k", value=1, ttl=10))
    rooms.clock.advance(60)
    if swept:
        sweep(rooms)
    rooms(SetMemory(key="k", value=2))
    assert lately(rooms, "global") == []

    rooms(DeleteMemory(key="k"))
    assert lately(rooms, "global") == []
