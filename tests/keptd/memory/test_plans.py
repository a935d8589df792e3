"""No read of the room walks more of a growing table than it shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apsw
import pytest

from kept.wire.memory import GetMemory, ListMemories, MemoryHistory, SetMemory
from keptd.memory import store
from tests.keptd.plans import growing, plan
from tests.rooms import Rooms

FILTERS: list[dict[str, Any]] = [
    {},
    {"scope": "global"},
    {"category": "general"},
    {"tag": "t"},
    {"tier": "persistent"},
    {"min_priority": 4},
    {"prefix": "key"},
    {"prefix": "key", "scope": "global"},
    {"category": "general", "min_priority": 4},
    {"scope": "global", "category": "general", "tag": "t", "min_priority": 4},
]


@pytest.fixture(params=["fresh", "analyzed"])
def filled(rooms: Rooms, request: pytest.FixtureRequest) -> Rooms:
    """With rows, and with or without the statistics that maintenance gathers: they change what SQLite prefers."""
    with rooms.writer:
        for number in range(60):
            ttl = 60 if number % 9 else None
            rooms(SetMemory(key=f"key {number}", value=1, tags=("t",), priority=number % 10 + 1, ttl=ttl))
    if request.param == "analyzed":
        rooms.writer.execute("ANALYZE")
    return rooms


def selects(db: apsw.Connection, run: Callable[[], Any]) -> list[tuple[str, Any]]:
    """The reading statements that `run` executes, with their bindings."""
    statements: list[tuple[str, Any]] = []

    def note(_cursor: apsw.Cursor, sql: str, bindings: Any) -> bool:
        statements.append((sql, bindings))
        return True

    db.exec_trace = note
    run()
    db.exec_trace = None
    return [(sql, bindings) for sql, bindings in statements if "SELECT" in sql]


def walked(db: apsw.Connection, run: Callable[[], Any]) -> list[str]:
    """What grows in the plans of the statements that `run` executes."""
    lines = [line for sql, bindings in selects(db, run) for line in growing(plan(db, sql, bindings))]
    # `found` is the page itself, cut to its limit in the subquery of that name; so is what is counted.
    return [line for line in lines if line != "SCAN found" and not line.startswith("SCAN (subquery")]


@pytest.mark.parametrize("order", ["newest", "priority"])
@pytest.mark.parametrize("filters", FILTERS, ids=lambda filters: "+".join(filters) or "none")
def test_a_list_is_served_by_an_index_under_every_filter(filled: Rooms, filters: dict[str, Any], order: Any) -> None:
    first = ListMemories(order=order, limit=2, **filters)
    following = ListMemories(order=order, limit=2, cursor=filled(first).next_cursor, **filters)

    assert following.cursor is not None
    assert walked(filled.reader, lambda: filled(first)) == []
    assert walked(filled.reader, lambda: filled(following)) == []


@pytest.mark.parametrize("call", [GetMemory(key="key 1"), MemoryHistory(key="key 1")])
def test_a_key_is_looked_up_in_one_select(filled: Rooms, call: Any) -> None:
    assert len(selects(filled.reader, lambda: filled(call))) == 1
    assert walked(filled.reader, lambda: filled(call)) == []


def test_a_set_finds_what_it_replaces_by_index(filled: Rooms) -> None:
    assert walked(filled.writer, lambda: filled(SetMemory(key="key 1", value=2))) == []


def test_what_the_bundle_asks_is_served_by_indexes(filled: Rooms) -> None:
    db, now = filled.reader, filled.clock.now()

    assert walked(db, lambda: store.top(db, ["global", "p"], now, 10)) == []
    assert walked(db, lambda: store.count(db, ["global", "p"], now, 10)) == []
    assert walked(db, lambda: store.recently_expired(db, ["global", "p"], now, 0, 10)) == []


def test_a_sweep_finds_what_expired_by_index(filled: Rooms) -> None:
    filled.clock.advance(60)
    with filled.writer:
        assert walked(filled.writer, lambda: store.sweep(filled.writer, filled.clock.now(), 5)) == []
