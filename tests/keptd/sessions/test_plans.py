"""No list reads more of a growing table than it shows, whatever it is narrowed to."""

from __future__ import annotations

from typing import Any

import apsw
import pytest

from kept.wire.message import NewMessage, SearchMessages, SendMessage
from kept.wire.session import CloseSession, CreateSession, ListSessions
from keptd.sessions import counts, find, lists, store, tree
from tests.keptd.plans import growing, plan
from tests.rooms import Rooms


@pytest.fixture(params=["fresh", "analyzed"])
def db(rooms: Rooms, request: pytest.FixtureRequest) -> apsw.Connection:
    """With rows, and with or without the statistics that maintenance gathers: they change what SQLite prefers."""
    parent = rooms(CreateSession()).id
    for number in range(60):
        project = ("p", "q", None)[number % 3]
        made = rooms(CreateSession(title="t", project=project, parent_id=parent, tags=("t", "u")))
        rooms(SendMessage(session_id=made.id, messages=(NewMessage(role="user", content="m"),) * 5))
        if number % 2:
            rooms(CloseSession(id=made.id, archive=number % 4 == 1))
    if request.param == "analyzed":
        rooms.writer.execute("ANALYZE")
    return rooms.reader


@pytest.mark.parametrize("status", [None, "closed"])
@pytest.mark.parametrize("project", [None, "p"])
def test_a_list_by_activity_is_merged_from_an_index_and_never_sorted(
    db: apsw.Connection, status: Any, project: str | None
) -> None:
    lines = plan(db, *lists.active_query(ListSessions(status=status, project=project)))

    arms = [line for line in lines if "USING" in line and "INDEX session_by" in line]
    assert [line for line in growing(lines) if line != "SCAN found"] == []
    assert len(arms) == (1 if status else 2)
    assert all("status=?" in arm and ("project=?" in arm) == (project is not None) for arm in arms)
    assert all("COVERING INDEX" in arm for arm in arms)


@pytest.mark.parametrize("filters", [{"tag": "t"}, {"parent_id": "x"}, {"tag": "t", "parent_id": "x"}], ids=str)
@pytest.mark.parametrize("project", [None, "p"])
def test_a_list_of_children_or_of_a_tag_walks_an_index(
    db: apsw.Connection, filters: dict[str, str], project: str | None
) -> None:
    lines = plan(db, *lists.begun_query(ListSessions(project=project, **filters)))  # type: ignore[arg-type]

    assert growing(lines) == []
    first = "SEARCH t USING PRIMARY KEY (tag=? AND session<?)" if "tag" in filters else "session_by_parent (parent_id=?"
    assert first in lines[0]


@pytest.mark.parametrize("oldest_first", [True, False])
def test_messages_at_any_depth_are_one_look_into_the_index(db: apsw.Connection, oldest_first: bool) -> None:
    sql, bindings = lists.between_query(1, 2, 3, 4, oldest_first=oldest_first)
    lines = [str(row[3]) for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", bindings)]
    assert lines == ["SEARCH m USING INDEX message_by_session (session=? AND number>? AND number<?)"]


@pytest.mark.parametrize(
    ("sql", "given", "index"),
    [
        (tree.CHILDREN, ("x",), "session_by_parent (parent_id=?)"),
        (counts.CHILDREN, ("x",), "session_by_parent (parent_id=?)"),
        (counts.ENDS, (1, 5), "message_by_session (session=? AND number=?)"),
        (store.GOING, (), "session_by_status (place=?)"),
        (store.IDLE, (1, 5), "session_by_status (place=? AND status=? AND active_at<?)"),
    ],
    ids=["tree", "count of children", "first and last", "going", "idle"],
)
def test_what_is_looked_up_beside_lists_has_its_index(
    db: apsw.Connection, sql: str, given: tuple[Any, ...], index: str
) -> None:
    lines = [str(row[3]) for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", given)]
    assert growing(lines) == []
    assert index in lines[0]


@pytest.mark.parametrize("filters", [{"project": "p"}, {"tag": "t"}, {"project": "p", "tag": "t"}])
def test_no_row_of_a_message_is_read_to_see_whether_a_search_is_about_it(
    db: apsw.Connection, monkeypatch: pytest.MonkeyPatch, filters: dict[str, Any]
) -> None:
    """Rows of many hits are on as many pages, while three hundred entries of the index share one."""
    monkeypatch.setattr(find, "SESSIONS", 0)
    narrow = find.messages_that_count(db, SearchMessages(query="m", **filters))
    assert narrow is not None
    where = narrow.where.format(table="message_text")
    sql = f"SELECT rowid FROM message_text WHERE message_text MATCH 'm' AND {where} ORDER BY rowid DESC"
    lines = [str(row[3]) for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", narrow.given)]

    assert [line for line in growing(lines) if "VIRTUAL TABLE INDEX" not in line] == []
    [look] = [line for line in lines if line.startswith("SEARCH m ")]
    assert look.endswith("USING COVERING INDEX message_in_brief (seq=?)")
