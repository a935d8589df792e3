"""How the last sessions ended, in the bundle: which, what is told of them, and at what cost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from kept.wire.context import Bundle, BundleContext, Item
from kept.wire.errors import NotFound
from kept.wire.message import SendMessage
from kept.wire.session import CloseSession, CreateSession, DeleteSession, UpdateSession
from keptd import component, context, journal, memory, sessions
from keptd.context import gather
from keptd.sessions import store
from tests.keptd.plans import growing, plan
from tests.rooms import ACTOR, Rooms


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Rooms]:
    found = Rooms(tmp_path, [memory.DOMAIN, journal.DOMAIN, component.DOMAIN, sessions.DOMAIN, context.DOMAIN])
    yield found
    found.close()


def begun(rooms: Rooms, said: str | None = None, **params: Any) -> str:
    """A session, a second after the one before."""
    rooms.clock.advance(1)
    id_ = str(rooms(CreateSession(**params)).id)
    if said is not None:
        rooms(SendMessage(session_id=id_, content=said))
    return id_


def items(bundle: Bundle, name: str = "sessions") -> list[Item]:
    return [item for section in bundle.sections if section.name == name for item in section.items]


def shown(rooms: Rooms, name: str = "sessions", **params: Any) -> list[str]:
    return [item.id for item in items(rooms(BundleContext(**params)), name)]


def test_a_session_is_told_by_its_summary_else_by_the_first_line_of_what_was_said_last(rooms: Rooms) -> None:
    begun(rooms, "\n  \nshall we?\nyes", title="Parser")
    closed = begun(rooms, "well", title="Lexer")
    rooms.clock.advance(60)
    rooms(CloseSession(id=closed, summary="Works now.\nTests are missing."))
    first, second = items(rooms(BundleContext()))
    assert first.text == "Lexer (closed 2026-01-01 00:01Z, by tester): Works now.\nTests are missing."
    assert second.text == "Parser (open, last written 2026-01-01 00:00Z, by tester): shall we?"
    markdown = rooms(BundleContext(format="markdown")).markdown
    assert markdown is not None
    assert f"  Tests are missing. (id {closed})" in markdown


def test_a_summary_that_is_older_than_the_last_message_is_marked(rooms: Rooms) -> None:
    id_ = begun(rooms, "one", title="t")
    rooms(UpdateSession(id=id_, summary="So far."))
    assert [item.stale for item in items(rooms(BundleContext()))] == [None]
    rooms.clock.advance(1)
    rooms(SendMessage(session_id=id_, content="two"))
    assert [item.stale for item in items(rooms(BundleContext()))] == ["more was said after this summary"]
    rooms(UpdateSession(id=id_, summary="Now."))
    assert [item.stale for item in items(rooms(BundleContext()))] == [None]


def test_a_few_of_the_last_are_shown_and_none_that_is_empty_archived_or_deleted(rooms: Rooms) -> None:
    ids = [begun(rooms, f"in {number}") for number in range(gather.LAST + 2)]
    rooms(CloseSession(id=ids[-1], archive=True))
    rooms(DeleteSession(id=ids[-2]))
    begun(rooms, title="nothing was said")
    assert shown(rooms) == list(reversed(ids[:-2]))
    begun(rooms, "one more")
    assert len(shown(rooms)) == gather.LAST


def test_a_project_shows_its_own_and_those_of_none(rooms: Rooms) -> None:
    one, none, two = begun(rooms, "a", project="one"), begun(rooms, "b"), begun(rooms, "c", project="two")
    assert shown(rooms, project="one") == [none, one]
    assert shown(rooms, project="new") == [none]
    assert shown(rooms) == [two, none, one]


def test_the_bundle_of_a_session_leads_with_it_and_its_parent_and_has_neither_among_the_last(rooms: Rooms) -> None:
    parent = begun(rooms, "p", title="Parent", project="one")
    rooms(CloseSession(id=parent, summary="Half done."))
    before = begun(rooms, "b", project="one")
    begun(rooms, "elsewhere", project="two")
    own = begun(rooms, title="Own", parent_id=parent, project="one")
    bundle = rooms(BundleContext(session=own))
    assert bundle.sections[0].name == "session"
    assert [(item.id, item.why) for item in items(bundle, "session")] == [
        (own, "this session"),
        (parent, "the session that it continues"),
    ]
    assert [item.id for item in items(bundle)] == [before]
    assert items(bundle, "session")[1].text.endswith(": Half done.")
    rooms(DeleteSession(id=parent))
    assert shown(rooms, "session", session=own) == [own]
    with pytest.raises(NotFound):
        rooms(BundleContext(session=parent))


def test_the_bundle_is_the_same_as_time_passes_and_whoever_is_there(rooms: Rooms) -> None:
    id_ = begun(rooms, "a")
    first = rooms(BundleContext(format="markdown"))
    rooms.clock.advance(86_400)
    with rooms.writer as db:
        row = store.find(db, id_)
        assert sessions.attendance.come(db, row, 1, ACTOR, rooms.clock.now(), 0)
    assert rooms(BundleContext(format="markdown")) == first
    rooms(SendMessage(session_id=id_, content="more"))
    assert rooms(BundleContext(format="markdown")).etag != first.etag


@pytest.mark.parametrize("budget", [100, 300, 1000])
def test_a_long_summary_is_left_out_whole_and_the_budget_holds(rooms: Rooms, budget: int) -> None:
    long = begun(rooms, "x")
    rooms(CloseSession(id=long, summary="s" * 2000))
    begun(rooms, "short")
    bundle = rooms(BundleContext(budget_tokens=budget, format="markdown"))
    assert bundle.tokens <= budget
    [section] = [section for section in bundle.sections if section.name == "sessions"]
    assert len(section.items) + section.left_out == 2
    assert all(item.text.endswith(("short", "s" * 2000)) for item in section.items)


@pytest.mark.parametrize("analyzed", [False, True])
@pytest.mark.parametrize("project", [None, "p"])
def test_the_last_sessions_are_found_by_indexes(rooms: Rooms, project: str | None, analyzed: bool) -> None:
    with rooms.writer:
        for number in range(60):
            begun(rooms, "a", project=(None, "p", "q")[number % 3])
    if analyzed:
        rooms.writer.execute("ANALYZE")
    lines = plan(rooms.reader, *store.latest_query(project, 3))
    # `found` is the newest sessions, cut to a number in the subquery of that name.
    assert [line for line in growing(lines) if line != "SCAN found"] == []
    assert not [line for line in lines if line.startswith("SCAN") and line != "SCAN found"]
    _is_found_by_index(rooms.reader)


def _is_found_by_index(db: apsw.Connection) -> None:
    statement = store._LAST_SAID
    assert growing([str(row[3]) for row in db.execute(f"EXPLAIN QUERY PLAN {statement}", ("x",))]) == []


def test_however_many_sessions_are_empty_only_the_newest_are_looked_at(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "LOOKED_AT", 5)
    begun(rooms, "said")
    for _ in range(5):
        begun(rooms)
    assert shown(rooms) == []
