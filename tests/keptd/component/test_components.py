from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kept.wire.component import Component, DeleteComponent, GetComponent, ListComponents, SetComponent, Status
from kept.wire.errors import Conflict, InvalidParams, NotFound, TooLarge
from keptd.clock import to_time
from keptd.component import DOMAIN, store
from tests.keptd.plans import growing, plan
from tests.rooms import Rooms


def put(rooms: Rooms, name: str, status: Status = "operational") -> Component:
    return rooms(SetComponent(name=name, status=status))


def test_a_component_is_read_back_as_it_was_reported(rooms: Rooms) -> None:
    component = rooms(SetComponent(name="web", status="degraded", health=70, metadata={"slow": True}))

    assert rooms(GetComponent(name="web")) == component
    assert (component.status, component.health, component.version, component.actor) == ("degraded", 70, 1, "tester")
    assert msgspec.json.decode(component.metadata) == {"slow": True}
    assert component.checked_at == component.created_at == component.updated_at == to_time(rooms.clock.now())


@pytest.mark.parametrize(("status", "health"), [("operational", 100), ("degraded", 50), ("down", 0), ("unknown", 0)])
def test_health_follows_the_status_where_it_is_left_out(rooms: Rooms, status: Status, health: int) -> None:
    assert put(rooms, "web", status).health == health


def test_a_health_of_nought_is_not_left_out(rooms: Rooms) -> None:
    assert rooms(SetComponent(name="web", status="operational", health=0)).health == 0


def test_a_report_replaces_the_one_before_it(rooms: Rooms) -> None:
    first = rooms(SetComponent(name="web", status="down", metadata="gone"))
    rooms.clock.advance(60)
    second = put(rooms, "web")

    assert (second.id, second.created_at) == (first.id, first.created_at)
    assert (second.status, second.health, bytes(second.metadata), second.version) == ("operational", 100, b"null", 2)
    assert second.checked_at == second.updated_at == to_time(rooms.clock.now())
    assert rooms(ListComponents()).items == [second]


def test_a_report_that_changes_nothing_says_when_it_was_checked_and_since_when_it_is_so(rooms: Rooms) -> None:
    first = put(rooms, "web")
    rooms.clock.advance(60)
    again = put(rooms, "web")

    assert (again.checked_at, again.updated_at) == (to_time(rooms.clock.now()), first.updated_at)
    assert again.version == 2
    assert rooms.changes() == [("component.set", "component", "web")] * 2


def test_reporting_on_another_version_is_a_conflict_that_names_the_present_one(rooms: Rooms) -> None:
    put(rooms, "web")
    assert rooms(SetComponent(name="new", status="down", if_version=0)).version == 1
    with pytest.raises(Conflict):
        rooms(SetComponent(name="new", status="down", if_version=0))
    assert rooms(SetComponent(name="web", status="down", if_version=1)).version == 2

    with pytest.raises(Conflict) as refusal:
        rooms(SetComponent(name="web", status="operational", if_version=1))
    assert refusal.value.data["version"] == 2
    assert rooms(GetComponent(name="web")).status == "down"


def test_a_version_of_a_component_that_is_not_there_is_a_conflict_with_version_nought(rooms: Rooms) -> None:
    with pytest.raises(Conflict) as refusal:
        rooms(SetComponent(name="web", status="down", if_version=1))

    assert refusal.value.data["version"] == 0


def test_metadata_over_a_mebibyte_is_refused(rooms: Rooms) -> None:
    with pytest.raises(TooLarge) as refusal:
        rooms(SetComponent(name="web", status="down", metadata="x" * 1024 * 1024))

    assert refusal.value.data["field"] == "metadata"


def test_a_component_that_is_not_there_is_not_found(rooms: Rooms) -> None:
    with pytest.raises(NotFound):
        rooms(GetComponent(name="web"))
    with pytest.raises(NotFound):
        rooms(DeleteComponent(name="web"))


def test_a_deleted_component_is_gone_and_starts_anew(rooms: Rooms) -> None:
    first = put(rooms, "web")
    done = rooms(DeleteComponent(name="web", if_version=1))

    assert (done.id, done.label) == (first.id, "web")
    with pytest.raises(NotFound):
        rooms(GetComponent(name="web"))
    again = put(rooms, "web")
    assert again.version == 1
    assert again.id != first.id
    assert rooms.changes()[1] == ("component.delete", "component", "web")


def test_deleting_another_version_is_a_conflict_that_names_the_present_one(rooms: Rooms) -> None:
    put(rooms, "web")
    put(rooms, "web")

    with pytest.raises(Conflict) as refusal:
        rooms(DeleteComponent(name="web", if_version=1))
    assert refusal.value.data["version"] == 2


def test_components_are_listed_by_name_and_can_be_narrowed_to_a_status(rooms: Rooms) -> None:
    put(rooms, "c", "down")
    put(rooms, "a", "operational")
    put(rooms, "b", "down")
    put(rooms, "d", "degraded")

    assert [component.name for component in rooms(ListComponents()).items] == ["a", "b", "c", "d"]
    assert [component.name for component in rooms(ListComponents(status="down")).items] == ["b", "c"]


def test_a_list_goes_on_after_the_longest_name_there_can_be(rooms: Rooms) -> None:
    for name in ("\U0001f9e1" * 200, "\U0001f9e2"):
        put(rooms, name)
    cursor = rooms(ListComponents(limit=1)).next_cursor

    following = msgspec.convert({"limit": 1, "cursor": cursor}, ListComponents)
    assert [component.name for component in rooms(following).items] == ["\U0001f9e2"]


def test_a_cursor_that_the_list_did_not_make_is_refused(rooms: Rooms) -> None:
    with pytest.raises(InvalidParams) as refusal:
        rooms(ListComponents(cursor="web"))

    assert refusal.value.data["field"] == "cursor"


@settings(max_examples=25, deadline=None)
@given(
    names=st.sets(st.text(st.characters(codec="utf-8", min_codepoint=33), min_size=1, max_size=4), max_size=10),
    limit=st.integers(1, 4),
    late=st.lists(st.text("ab~\U0001f9e1\uffff", min_size=1, max_size=3), max_size=5),
)
def test_pages_show_each_component_once_by_name_while_others_are_added(
    names: set[str], limit: int, late: list[str]
) -> None:
    with TemporaryDirectory() as folder:
        rooms = Rooms(Path(folder), [DOMAIN])
        for name in names:
            put(rooms, name)
        shown: list[str] = []
        cursor: str | None = None
        adding = iter(late)
        while True:
            page = rooms(ListComponents(limit=limit, cursor=cursor))
            shown += [component.name for component in page.items]
            assert len(shown) <= len(names) + len(late)
            cursor = page.next_cursor
            if cursor is None:
                break
            if (other := next(adding, None)) is not None:
                put(rooms, other)
        rooms.close()
    assert shown == sorted(set(shown))
    assert names <= set(shown) <= names | set(late)


@pytest.mark.parametrize("status", [None, "down"])
def test_a_list_is_served_by_an_index(rooms: Rooms, status: Status | None) -> None:
    assert growing(plan(rooms.reader, *store.list_query(status, "", 50))) == []
