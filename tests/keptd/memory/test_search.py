from __future__ import annotations

from typing import Any

import pytest

from kept.wire.errors import InvalidParams
from kept.wire.memory import DeleteMemory, SearchMemories, SetMemory
from keptd.memory import store
from keptd.store.pages import PAGE_BYTES
from tests.rooms import Rooms


def found(rooms: Rooms, query: str, **options: Any) -> list[str]:
    return [entry.key for entry in rooms(SearchMemories(query=query, **options)).items]


@pytest.mark.parametrize("query", ["deploy", "friday", "depth", "42", "infrastructure", "urgent"])
def test_an_entry_is_found_by_key_value_category_and_tags(rooms: Rooms, query: str) -> None:
    rooms(
        SetMemory(
            key="deploy.day",
            value={"when": "on\nFriday", "depth": [42]},
            category="infrastructure",
            tags=("very urgent",),
        )
    )
    rooms(SetMemory(key="other", value="else"))

    assert found(rooms, query) == ["deploy.day"]


def test_a_result_is_the_entry_with_a_score_and_the_place_that_fits(rooms: Rooms) -> None:
    rooms(SetMemory(key="k", value={"text": "straw " * 100 + "needle " + "straw " * 100}))
    [hit] = rooms(SearchMemories(query="needles")).items

    assert (hit.key, hit.version) == ("k", 1)
    assert hit.score > 0
    assert "needle" in hit.snippet


def test_only_the_present_value_is_found(rooms: Rooms) -> None:
    rooms(SetMemory(key="k", value="old"))
    rooms(SetMemory(key="k", value="new"))

    assert found(rooms, "old") == []
    assert found(rooms, "new") == ["k"]


def test_a_deleted_entry_is_not_found(rooms: Rooms) -> None:
    rooms(SetMemory(key="k", value="word"))
    rooms(DeleteMemory(key="k"))

    assert found(rooms, "word") == []


def test_the_index_holds_the_present_entries_only(rooms: Rooms) -> None:
    for key in "abc":
        rooms(SetMemory(key=key, value="old", ttl=10))
    rooms(SetMemory(key="a", value="new"))
    rooms(DeleteMemory(key="b"))
    with rooms.writer:
        store.sweep(rooms.writer, rooms.clock.now() + 10_000_000, 1)

    indexed = rooms.reader.execute("SELECT id FROM memory_text_docsize").fetchall()
    assert indexed == rooms.reader.execute("SELECT seq FROM memory").fetchall()


def test_scope_and_category_narrow_a_search(rooms: Rooms) -> None:
    rooms(SetMemory(key="a", value="word", scope="p", category="c"))
    rooms(SetMemory(key="b", value="word", scope="p"))
    rooms(SetMemory(key="c", value="word"))

    assert found(rooms, "word", scope="p", category="c") == ["a"]
    assert found(rooms, "word", scope="p") == ["b", "a"]
    assert found(rooms, "word", scope="P") == []


def test_no_more_than_the_limit_come_back_and_an_expired_one_takes_no_place(rooms: Rooms) -> None:
    for number in range(5):
        rooms(SetMemory(key=f"k{number}", value="word", ttl=10 if number > 3 else None))
    rooms.clock.advance(10)

    assert found(rooms, "word", limit=2) == ["k3", "k2"]


def test_a_search_goes_on_behind_what_was_shown(rooms: Rooms) -> None:
    for number in range(5):
        rooms(SetMemory(key=f"k{number}", value="needle", ttl=1 if number == 3 else None))
    rooms.clock.advance(2)

    assert found(rooms, "needle", limit=2) == ["k4", "k2"]
    assert found(rooms, "needle", limit=2, offset=2) == ["k1", "k0"]
    assert found(rooms, "needle", offset=4) == []


def test_results_are_cut_to_what_a_message_holds(rooms: Rooms) -> None:
    for number in range(10):
        rooms(SetMemory(key=f"k{number}", value="word " + "x" * 1_000_000))

    assert len(found(rooms, "word")) == PAGE_BYTES // 1_000_000


def test_query_text_is_syntax_only_where_it_is_asked_for(rooms: Rooms) -> None:
    rooms(SetMemory(key="k", value="keeper"))

    assert found(rooms, "keeper*") == ["k"]
    assert found(rooms, "kee*") == []
    assert found(rooms, "kee*", syntax="fts5") == ["k"]
    with pytest.raises(InvalidParams):
        found(rooms, '"', syntax="fts5")
