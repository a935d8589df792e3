from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from kept.wire import Actor
from kept.wire.errors import InvalidParams, TooLarge
from kept.wire.journal import ListActions, ListDecisions, LogAction
from keptd.clock import to_time
from keptd.journal import store
from tests.rooms import Rooms


def logged(rooms: Rooms, call: ListActions | None = None) -> list[str]:
    return [action.action for action in rooms(call or ListActions()).items]


def test_an_action_carries_what_was_said_who_said_it_and_when(rooms: Rooms) -> None:
    agent = Actor(client="agent", uid=1000, pid=7)
    action = rooms(LogAction(action="built it", details={"took": [1, 2.5, None]}, project="p", session_id="s"), agent)

    assert msgspec.json.decode(action.details) == {"took": [1, 2.5, None]}
    assert (action.action, action.project, action.session_id, action.actor) == ("built it", "p", "s", "agent")
    assert action.created_at == to_time(rooms.clock.now())
    assert rooms(ListActions()).items == [action]


def test_details_may_be_left_out(rooms: Rooms) -> None:
    assert bytes(rooms(LogAction(action="a")).details) == b"null"


def test_actions_come_newest_first(rooms: Rooms) -> None:
    for name in ("first", "second", "third"):
        rooms(LogAction(action=name))

    assert logged(rooms) == ["third", "second", "first"]


def test_the_order_of_actions_does_not_follow_a_clock_that_was_set_back(rooms: Rooms) -> None:
    rooms(LogAction(action="first"))
    rooms.clock.advance(-3600)
    rooms(LogAction(action="second"))

    assert logged(rooms) == ["second", "first"]


def test_a_project_shows_its_own_actions_only(rooms: Rooms) -> None:
    rooms(LogAction(action="mine", project="p"))
    rooms(LogAction(action="theirs", project="q"))
    rooms(LogAction(action="nobody's"))

    assert logged(rooms, ListActions(project="p")) == ["mine"]


def test_since_shows_what_is_as_new_or_newer(rooms: Rooms) -> None:
    rooms(LogAction(action="before", project="p"))
    rooms.clock.advance(10)
    since = to_time(rooms.clock.now())
    rooms(LogAction(action="at", project="p"))
    rooms.clock.advance(10)
    rooms(LogAction(action="after"))

    assert logged(rooms, ListActions(since=since)) == ["after", "at"]
    assert logged(rooms, ListActions(since=since, project="p")) == ["at"]


def test_since_is_exact_also_where_the_clock_was_set_back(rooms: Rooms) -> None:
    rooms(LogAction(action="early"))
    rooms.clock.advance(100)
    since = to_time(rooms.clock.now())
    rooms(LogAction(action="at"))
    rooms.clock.advance(-50)
    rooms(LogAction(action="set back"))
    rooms.clock.advance(80)
    rooms(LogAction(action="late"))
    rooms.clock.advance(-30)
    rooms(LogAction(action="back at"))

    assert logged(rooms, ListActions(since=since)) == ["back at", "late", "at"]
    assert logged(rooms, ListActions(since=since + timedelta(seconds=1))) == ["late"]


def test_since_a_time_to_come_shows_nothing(rooms: Rooms) -> None:
    rooms(LogAction(action="a"))

    assert logged(rooms, ListActions(since=to_time(rooms.clock.now() + 1))) == []


def test_a_cursor_of_another_list_is_refused(rooms: Rooms) -> None:
    for name in ("a", "b"):
        rooms(LogAction(action=name))
    cursor = rooms(ListActions(limit=1)).next_cursor

    with pytest.raises(InvalidParams) as refusal:
        rooms(ListDecisions(cursor=cursor))
    assert refusal.value.data["field"] == "cursor"


def test_details_over_a_mebibyte_are_refused_and_nothing_is_written(rooms: Rooms) -> None:
    with pytest.raises(TooLarge) as refusal:
        rooms(LogAction(action="a", details="x" * 1024 * 1024))

    assert refusal.value.data["field"] == "details"
    assert logged(rooms) == []


def test_logging_is_in_the_change_log_under_the_action(rooms: Rooms) -> None:
    rooms(LogAction(action="built it"))

    assert rooms.changes() == [("action.log", "action", "built it")]


def test_the_actions_after_a_sequence_come_oldest_first_with_their_sequences(rooms: Rooms) -> None:
    for name in ("a", "b", "c", "d"):
        rooms(LogAction(action=name))

    (first, *_) = store.actions_after(rooms.reader, 0, 10)
    following = store.actions_after(rooms.reader, first[0], 2)
    last = store.actions_after(rooms.reader, following[-1][0], 10)

    assert [action.action for _, action in following] == ["b", "c"]
    assert [action.action for _, action in last] == ["d"]
    assert store.actions_after(rooms.reader, last[-1][0], 10) == []


def test_what_is_recent_is_the_projects_and_nobodys_newest_first(rooms: Rooms) -> None:
    for name, project in (("1", "p"), ("2", None), ("3", "q"), ("4", "p"), ("5", None)):
        rooms(LogAction(action=name, project=project))

    assert [action.action for action in store.recent_actions(rooms.reader, "p", 3)] == ["5", "4", "2"]
    assert [action.action for action in store.recent_actions(rooms.reader, None, 9)] == ["5", "2"]
