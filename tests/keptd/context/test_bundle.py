"""context.bundle over real rooms: what is in, why, and what is marked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from kept.wire.component import SetComponent
from kept.wire.context import Bundle, BundleContext, Item
from kept.wire.journal import AddDecision, LogAction, RecordError, ResolveDecision, ResolveError
from kept.wire.memory import DeleteMemory, SetMemory
from keptd import component, context, journal, memory, sessions
from keptd.context import gather, rules
from tests.rooms import Rooms


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Rooms]:
    found = Rooms(tmp_path, [memory.DOMAIN, journal.DOMAIN, component.DOMAIN, sessions.DOMAIN, context.DOMAIN])
    yield found
    found.close()


def items(bundle: Bundle, name: str) -> list[Item]:
    return [item for section in bundle.sections if section.name == name for item in section.items]


def test_an_empty_home_gives_an_empty_bundle_with_all_its_fields(rooms: Rooms) -> None:
    bundle = rooms(BundleContext(format="markdown"))
    assert bundle.sections == ()
    assert bundle.markdown is not None
    assert bundle.markdown.splitlines()[0] == rules.EMPTY
    told = msgspec.to_builtins(rooms(BundleContext()))
    assert (told["sections"], told["tokens"], told["unchanged"]) == ((), 0, False)


def test_memories_come_by_priority_and_say_why_they_are_in(rooms: Rooms) -> None:
    rooms(SetMemory(key="low", value="l", priority=2))
    rooms(SetMemory(key="high", value={"port": 8080}, priority=9))
    found = items(rooms(BundleContext()), "memories")
    assert [item.text for item in found] == ['high: {"port":8080}', "low: l"]
    assert found[0].why == "priority 9, everywhere"


def test_a_project_shows_its_own_and_what_is_global_but_nothing_of_another(rooms: Rooms) -> None:
    for scope in ("global", "one", "two"):
        rooms(SetMemory(key="note", value=f"of {scope}", scope=scope))
    rooms(AddDecision(decision="for one", reasoning="r", project="one"))
    rooms(AddDecision(decision="for two", reasoning="r", project="two"))
    rooms(LogAction(action="in two", project="two"))
    bundle = rooms(BundleContext(project="one"))
    assert {item.text for item in items(bundle, "memories")} == {"note: of global", "note: of one"}
    assert [item.text for item in items(bundle, "decisions")] == ["for one (because r)"]
    assert items(bundle, "actions") == []


def test_open_decisions_and_unresolved_errors_leave_when_they_are_resolved(rooms: Rooms) -> None:
    decision = rooms(AddDecision(decision="try it", reasoning="why not"))
    error = rooms(RecordError(error="it broke"))
    before = rooms(BundleContext())
    assert items(before, "decisions")
    assert items(before, "errors")
    rooms(ResolveDecision(id=decision.id, outcome="worked"))
    rooms(ResolveError(id=error.id, resolution="mended"))
    after = rooms(BundleContext())
    assert not items(after, "decisions")
    assert not items(after, "errors")


def test_only_components_that_are_not_in_order_are_shown(rooms: Rooms) -> None:
    rooms(SetComponent(name="api", status="operational"))
    rooms(SetComponent(name="db", status="down"))
    assert [item.text for item in items(rooms(BundleContext()), "components")] == ["db: down, health 0"]


def test_a_memory_that_a_newer_decision_contradicts_is_marked_and_comes_last(rooms: Rooms) -> None:
    rooms(SetMemory(key="database", value="Postgres", priority=10))
    rooms(SetMemory(key="editor", value="vim", priority=1))
    rooms.clock.advance(1)
    rooms(AddDecision(decision="use SQLite", reasoning="one file", contradicts=("database",)))
    found = items(rooms(BundleContext()), "memories")
    assert [item.text for item in found] == ["editor: vim", "database: Postgres"]
    assert found[0].stale is None
    assert found[1].stale == "contradicted by the decision: use SQLite"


def test_a_memory_set_again_after_the_decision_is_good_again(rooms: Rooms) -> None:
    rooms(SetMemory(key="database", value="Postgres"))
    rooms.clock.advance(1)
    rooms(AddDecision(decision="use SQLite", reasoning="one file", contradicts=("database",)))
    rooms.clock.advance(1)
    rooms(SetMemory(key="database", value="SQLite"))
    assert [item.stale for item in items(rooms(BundleContext()), "memories")] == [None]


def test_what_expired_lately_is_marked_and_after_a_week_it_is_gone(rooms: Rooms) -> None:
    rooms(SetMemory(key="freeze", value="no deploys", ttl=60))
    rooms.clock.advance(61)
    [item] = items(rooms(BundleContext()), "memories")
    assert item.stale == "expired 2026-01-01 00:01Z"
    rooms.clock.advance(8 * 86_400)
    assert items(rooms(BundleContext()), "memories") == []


def test_the_etag_changes_with_the_state_and_only_with_it(rooms: Rooms) -> None:
    rooms(SetMemory(key="a", value=1))
    first = rooms(BundleContext())
    rooms.clock.advance(3600)
    assert rooms(BundleContext(if_none_match=first.etag)).unchanged
    rooms(SetMemory(key="b", value=2))
    changed = rooms(BundleContext(if_none_match=first.etag))
    assert not changed.unchanged
    rooms(DeleteMemory(key="b"))
    assert rooms(BundleContext()).etag == first.etag


def test_a_large_entry_is_left_out_whole_and_the_small_ones_still_come(rooms: Rooms) -> None:
    rooms(SetMemory(key="large", value="x" * 10_000, priority=10))
    rooms(SetMemory(key="small", value="y", priority=1))
    bundle = rooms(BundleContext(budget_tokens=200))
    assert [item.text for item in items(bundle, "memories")] == ["small: y"]
    assert bundle.sections[0].left_out == 1


def test_what_is_beyond_the_candidates_is_counted_as_left_out(rooms: Rooms) -> None:
    with rooms.writer:
        for number in range(gather.ENTRIES + 20):
            rooms(SetMemory(key=f"k{number}", value=1))
            rooms(LogAction(action=f"did {number}"))
            rooms(SetComponent(name=f"c{number}", status="down"))
            rooms(RecordError(error=f"e{number}", project="p"))
            rooms(AddDecision(decision=f"d{number}", reasoning="r"))
    for section in rooms(BundleContext(project="p")).sections:
        assert len(section.items) + section.left_out == gather.ENTRIES + 20
        assert not section.uncounted


def test_counting_stops_and_says_so(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "COUNTED", gather.ENTRIES + 5)
    with rooms.writer:
        for number in range(gather.ENTRIES + 20):
            rooms(LogAction(action=f"did {number}"))
    [section] = rooms(BundleContext()).sections
    assert len(section.items) + section.left_out == gather.ENTRIES + 5
    assert section.uncounted


def test_what_was_said_beside_an_error_or_a_component_is_shown_where_it_is_short(rooms: Rooms) -> None:
    rooms(RecordError(error="short", context={"exit": 2}))
    rooms(RecordError(error="long", context="x" * gather.DETAIL_CHARACTERS))
    rooms(RecordError(error="none", context={}))
    rooms(SetComponent(name="db", status="down", metadata={"host": "a"}))
    bundle = rooms(BundleContext())
    assert [item.text for item in items(bundle, "errors")] == ["none", "long", 'short ({"exit":2})']
    assert [item.text for item in items(bundle, "components")] == ['db: down, health 0 ({"host":"a"})']


def test_times_are_told_to_the_minute(rooms: Rooms) -> None:
    rooms.clock.advance(3600 + 120)
    rooms(LogAction(action="did"))
    rooms(RecordError(error="broke"))
    bundle = rooms(BundleContext())
    assert [item.text for item in items(bundle, "actions")] == ["2026-01-01 01:02Z did"]
    assert [item.why for item in items(bundle, "errors")] == ["unresolved since 2026-01-01 01:02Z"]
