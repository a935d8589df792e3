"""The lists: every filter, every order, every place to begin, and pages that join without a gap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from kept.wire import Page
from kept.wire.errors import InvalidParams
from kept.wire.message import ListMessages, NewMessage, SendMessage
from kept.wire.session import CloseSession, CreateSession, ListSessions, UpdateSession
from keptd.sessions import lists
from tests.rooms import Rooms


def pages(rooms: Rooms, call: Any, show: Callable[[Any], object]) -> list[object]:
    """All items of a list, a page at a time."""
    found: list[object] = []
    while True:
        page: Page[Any] = rooms(call)
        assert len(page.items) <= call.limit
        found += map(show, page.items)
        if page.next_cursor is None:
            return found
        assert len(page.items) == call.limit
        call = msgspec.structs.replace(call, cursor=page.next_cursor)


@pytest.fixture
def filled(rooms: Rooms) -> Rooms:
    """Twelve sessions by their titles: a tag on every second, a project on every third, children of the first."""
    first = rooms(CreateSession(title="0", tags=("t",), project="p"))
    for number in range(1, 12):
        rooms.clock.advance(1)
        rooms(
            CreateSession(
                title=str(number),
                tags=("t",) if number % 2 == 0 else (),
                project="p" if number % 3 == 0 else None,
                parent_id=first.id if number % 4 == 1 else None,
            )
        )
    by_title = {one.title: one.id for one in rooms(ListSessions()).items}
    rooms.clock.advance(1)
    rooms(CloseSession(id=by_title["6"]))
    rooms(CloseSession(id=by_title["9"], archive=True))
    rooms.clock.advance(1)
    rooms(SendMessage(session_id=by_title["3"], content="c"))
    return rooms


def parent(rooms: Rooms) -> str:
    return next(one.id for one in rooms(ListSessions()).items if one.title == "0")


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [3, 6, 11, 10, 8, 7, 5, 4, 2, 1, 0]),
        ({"status": "active"}, [3, 11, 10, 8, 7, 5, 4, 2, 1, 0]),
        ({"status": "closed"}, [6]),
        ({"status": "archived"}, [9]),
        ({"project": "p"}, [3, 6, 0]),
        ({"project": "p", "status": "archived"}, [9]),
        ({"project": "q"}, []),
        ({"tag": "t"}, [10, 8, 6, 4, 2, 0]),
        ({"tag": "t", "project": "p"}, [6, 0]),
        ({"tag": "t", "status": "active"}, [10, 8, 4, 2, 0]),
        ({"tag": "u"}, []),
        ({"parent_id": "0"}, [5, 1]),
        ({"parent_id": "0", "status": "archived"}, [9]),
        ({"parent_id": "0", "tag": "t"}, []),
        ({"parent_id": "0", "project": "p", "status": "archived"}, [9]),
    ],
    ids=str,
)
def test_a_list_of_sessions_is_what_fits_in_its_order(
    filled: Rooms, filters: dict[str, Any], expected: list[int], limit: int
) -> None:
    if "parent_id" in filters:
        filters = {**filters, "parent_id": parent(filled)}
    found = pages(filled, ListSessions(limit=limit, **filters), lambda one: int(one.title))
    assert found == expected


def test_sessions_that_were_active_at_one_moment_are_each_shown_once(rooms: Rooms) -> None:
    made = [rooms(CreateSession()).id for _ in range(7)]
    assert pages(rooms, ListSessions(limit=2), lambda one: one.id) == made[::-1]


def test_both_filters_of_a_child_with_a_tag_hold(filled: Rooms) -> None:
    made = filled(CreateSession(title="both", parent_id=parent(filled), tags=("t",), project="p"))
    call = ListSessions(parent_id=parent(filled), tag="t", project="p")
    assert [one.id for one in filled(call).items] == [made.id]


def test_a_session_that_is_used_while_a_list_is_paged_is_not_shown_twice_below(filled: Rooms) -> None:
    page = filled(ListSessions(limit=4))
    filled.clock.advance(1)
    filled(UpdateSession(id=page.items[1].id, title="used"))
    rest = pages(filled, ListSessions(limit=4, cursor=page.next_cursor), lambda one: one.id)
    assert len(rest) == 7
    assert not {one.id for one in page.items} & set(rest)


@pytest.mark.parametrize("call", [ListSessions(cursor="eA"), ListSessions(tag="t", cursor="eA")])
def test_a_cursor_of_no_list_is_refused(filled: Rooms, call: ListSessions) -> None:
    with pytest.raises(InvalidParams) as refusal:
        filled(call)
    assert refusal.value.data["field"] == "cursor"


def test_what_passes_over_many_runs_beside_the_others() -> None:
    assert lists.heavy(ListSessions(tag="t"))
    assert lists.heavy(ListSessions(parent_id="p"))
    assert lists.heavy(ListSessions(limit=101))
    assert not lists.heavy(ListSessions(project="p", status="active", limit=100))


@pytest.fixture
def spoken(rooms: Rooms) -> str:
    """The id of a session with messages 1 to 20, between others' messages."""
    mine, other = rooms(CreateSession()).id, rooms(CreateSession()).id
    for number in range(1, 21):
        rooms(SendMessage(session_id=mine, content=str(number)))
        rooms(SendMessage(session_id=other, messages=(NewMessage(role="user", content="x"),) * 2))
    return mine


@pytest.mark.parametrize("limit", [1, 3, 50])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, range(20, 0, -1)),
        ({"order": "oldest"}, range(1, 21)),
        ({"after": 5}, range(6, 21)),
        ({"after": 5, "order": "newest"}, range(20, 5, -1)),
        ({"before": 5}, range(4, 0, -1)),
        ({"before": 5, "order": "oldest"}, range(1, 5)),
        ({"after": 3, "before": 9}, range(4, 9)),
        ({"after": 3, "before": 9, "order": "newest"}, range(8, 3, -1)),
        ({"after": 20}, ()),
        ({"before": 1}, ()),
        ({"before": 10**15}, range(20, 0, -1)),
        ({"after": 10**15}, ()),
        ({"offset": 4}, range(16, 0, -1)),
        ({"offset": 4, "after": 2}, range(7, 21)),
        ({"offset": 4, "before": 10}, range(5, 0, -1)),
        ({"offset": 40}, ()),
        ({"offset": 2**53, "after": 2**53}, ()),
    ],
    ids=str,
)
def test_a_list_of_messages_begins_where_it_is_asked_to(
    rooms: Rooms, spoken: str, given: dict[str, Any], expected: range, limit: int
) -> None:
    found = pages(rooms, ListMessages(session_id=spoken, limit=limit, **given), lambda one: one.number)
    assert found == list(expected)


def test_a_cursor_of_the_other_order_is_refused(rooms: Rooms, spoken: str) -> None:
    first = rooms(ListMessages(session_id=spoken, limit=5))
    with pytest.raises(InvalidParams) as refusal:
        rooms(ListMessages(session_id=spoken, limit=5, order="oldest", cursor=first.next_cursor))
    assert refusal.value.data["field"] == "cursor"


def test_what_comes_while_a_list_is_paged_shifts_nothing(rooms: Rooms, spoken: str) -> None:
    first = rooms(ListMessages(session_id=spoken, limit=5))
    rooms(SendMessage(session_id=spoken, content="new"))
    second = rooms(ListMessages(session_id=spoken, limit=5, cursor=first.next_cursor))
    assert [one.number for one in (*first.items, *second.items)] == list(range(20, 10, -1))
