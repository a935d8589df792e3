"""Sessions: begun, changed, ended, gone on with, and deleted."""

from __future__ import annotations

import msgspec
import pytest

from kept.wire import VALUE_BYTES, Actor
from kept.wire.errors import Conflict, NotFound, QuotaExceeded, TooLarge
from kept.wire.message import ListMessages, SendMessage
from kept.wire.session import (
    CloseSession,
    CreateSession,
    DeleteSession,
    GetSession,
    ListSessions,
    ReopenSession,
    UpdateSession,
)
from kept.wire.trash import ListTrash, RestoreTrash
from keptd import config
from keptd.clock import to_time
from keptd.sessions import store
from tests.rooms import Rooms

OTHER = Actor(client="other", uid=1, pid=2)
MISSING = "no-such-session"


def plain(value: object) -> object:
    """Without `Raw`, which compares by what it is and not by what it says."""
    return msgspec.json.decode(msgspec.json.encode(value))


def test_a_session_is_what_was_said_of_it(rooms: Rooms) -> None:
    parent = rooms(CreateSession(title="before"))
    made = rooms(
        CreateSession(
            title="Kite",
            parent_id=parent.id,
            project="p",
            max_context_messages=7,
            metadata={"a": [1, None]},
            tags=("x", "y", "x"),
        )
    )

    assert plain(rooms(GetSession(id=made.id))) == plain(made)
    assert (made.title, made.parent_id, made.project, made.max_context_messages) == ("Kite", parent.id, "p", 7)
    assert (plain(made.metadata), made.tags, made.status, made.version) == ({"a": [1, None]}, ("x", "y"), "active", 1)
    assert (made.messages, made.bytes, made.last_message_at, made.attached, made.attachments) == (0, 0, None, (), 0)
    assert made.created_at == made.updated_at == made.active_at == to_time(rooms.clock.now())
    assert (made.actor, made.closed_at, made.summary) == ("tester", None, None)


def test_what_an_update_leaves_out_stays_and_null_takes_it_away(rooms: Rooms) -> None:
    made = rooms(CreateSession(title="t", project="p", max_context_messages=3, metadata=1, tags=("x",)))
    rooms.clock.advance(5)
    summed_up = rooms(UpdateSession(id=made.id, summary="It flew."), OTHER)
    changed = {"summary": "It flew.", "version": 2, "actor": "other"}
    now = to_time(rooms.clock.now())
    assert plain(summed_up) == plain(msgspec.structs.replace(made, **changed, updated_at=now, active_at=now))

    bare = rooms(
        UpdateSession(id=made.id, project=None, summary=None, max_context_messages=None, metadata=None, tags=())
    )
    assert (bare.title, bare.project, bare.summary, bare.max_context_messages) == ("t", None, None, None)
    assert (plain(bare.metadata), bare.tags, bare.version) == (None, (), 3)


def test_an_update_to_what_is_so_already_changes_nothing(rooms: Rooms) -> None:
    made = rooms(CreateSession(title="t", metadata={"a": 1}, tags=("x",)))
    rooms.clock.advance(5)
    same = rooms(UpdateSession(id=made.id, title="t", metadata={"a": 1}, tags=("x", "x")))
    assert plain(same) == plain(made)
    assert [method for method, _, _ in rooms.changes()] == ["session.create"]


def test_a_tag_that_is_taken_away_finds_the_session_no_more(rooms: Rooms) -> None:
    made = rooms(CreateSession(tags=("x", "y")))
    rooms(UpdateSession(id=made.id, tags=("y", "z")))
    assert [len(rooms(ListSessions(tag=tag)).items) for tag in ("x", "y", "z")] == [0, 1, 1]


def test_a_closed_session_takes_no_message_until_it_is_reopened(rooms: Rooms) -> None:
    made = rooms(CreateSession(title="t"))
    closed = rooms(CloseSession(id=made.id, summary="done"))
    assert (closed.status, closed.summary, closed.closed_at, closed.version) == (
        "closed",
        "done",
        to_time(rooms.clock.now()),
        2,
    )
    with pytest.raises(Conflict) as refusal:
        rooms(SendMessage(session_id=made.id, content="hello"))
    assert "session.reopen" in refusal.value.hint
    reopened = rooms(ReopenSession(id=made.id))
    assert (reopened.status, reopened.closed_at, reopened.summary) == ("active", None, "done")
    assert rooms(SendMessage(session_id=made.id, content="hello")).number == 1


def test_closing_what_is_closed_and_reopening_what_is_open_changes_nothing(rooms: Rooms) -> None:
    made = rooms(CreateSession(title="t"))
    assert plain(rooms(ReopenSession(id=made.id))) == plain(made)
    closed = rooms(CloseSession(id=made.id))
    rooms.clock.advance(1)
    assert plain(rooms(CloseSession(id=made.id))) == plain(closed)
    archived = rooms(CloseSession(id=made.id, archive=True))
    assert (archived.status, archived.closed_at, archived.version) == ("archived", closed.closed_at, 3)
    assert rooms(CloseSession(id=made.id)).status == "archived"
    assert len(rooms.changes()) == 3


def test_a_change_of_another_version_is_refused_with_the_present_one(rooms: Rooms) -> None:
    made = rooms(CreateSession(title="t"))
    rooms(UpdateSession(id=made.id, title="newer"))
    with pytest.raises(Conflict) as refusal:
        rooms(UpdateSession(id=made.id, title="u", if_version=1))
    assert refusal.value.data["version"] == 2
    with pytest.raises(Conflict):
        rooms(CloseSession(id=made.id, if_version=1))
    with pytest.raises(Conflict):
        rooms(ReopenSession(id=made.id, if_version=1))
    with pytest.raises(Conflict):
        rooms(DeleteSession(id=made.id, if_version=1))
    assert rooms(GetSession(id=made.id)).title == "newer"


def test_what_is_not_there_is_not_found(rooms: Rooms) -> None:
    with pytest.raises(NotFound):
        rooms(GetSession(id=MISSING))
    with pytest.raises(NotFound):
        rooms(UpdateSession(id=MISSING, title="t"))
    with pytest.raises(NotFound):
        rooms(CloseSession(id=MISSING))
    with pytest.raises(NotFound):
        rooms(ReopenSession(id=MISSING))
    with pytest.raises(NotFound):
        rooms(DeleteSession(id=MISSING))
    with pytest.raises(NotFound):
        rooms(CreateSession(parent_id=MISSING))


def test_metadata_that_is_too_large_is_refused_by_name(rooms: Rooms) -> None:
    with pytest.raises(TooLarge) as refusal:
        rooms(CreateSession(metadata="x" * VALUE_BYTES))
    assert refusal.value.data["field"] == "metadata"
    made = rooms(CreateSession())
    with pytest.raises(TooLarge):
        rooms(UpdateSession(id=made.id, metadata="x" * VALUE_BYTES))
    assert rooms(GetSession(id=made.id)).version == 1


def test_no_session_becomes_its_own_ancestor(rooms: Rooms) -> None:
    line = [rooms(CreateSession(title="0"))]
    for number in range(1, 4):
        line.append(rooms(CreateSession(title=str(number), parent_id=line[-1].id)))
    for place in (0, 1, 3):
        with pytest.raises(Conflict) as refusal:
            rooms(UpdateSession(id=line[0].id, parent_id=line[place].id))
        assert refusal.value.data["field"] == "parent_id"
    # Nor past one that is in the trash: it may come back.
    rooms(DeleteSession(id=line[1].id))
    with pytest.raises(Conflict):
        rooms(UpdateSession(id=line[0].id, parent_id=line[3].id))
    moved = rooms(UpdateSession(id=line[3].id, parent_id=line[0].id))
    assert moved.parent_id == line[0].id


def test_a_line_of_descent_has_an_end(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "DEEPEST", 3)
    last = rooms(CreateSession())
    for _ in range(2):
        last = rooms(CreateSession(parent_id=last.id))
    with pytest.raises(QuotaExceeded) as refusal:
        rooms(CreateSession(parent_id=last.id))
    assert (refusal.value.data["field"], refusal.value.data["limit"]) == ("parent_id", 3)
    other = rooms(CreateSession())
    with pytest.raises(QuotaExceeded):
        rooms(UpdateSession(id=other.id, parent_id=last.id))


def test_there_are_no_more_sessions_than_the_settings_allow(rooms: Rooms) -> None:
    rooms.config = config.Config(sessions=config.Sessions(max_sessions=2))
    first = rooms(CreateSession())
    rooms(CreateSession())
    rooms(DeleteSession(id=first.id))
    with pytest.raises(QuotaExceeded) as refusal:
        rooms(CreateSession())
    assert refusal.value.data["limit"] == 2
    assert "trash" in refusal.value.hint
    # Only what is there counts, however many were ever begun.
    rooms.writer.execute("DELETE FROM session WHERE id = ?", (first.id,))
    assert rooms(CreateSession()).status == "active"


def test_a_deleted_session_is_shown_nowhere_and_comes_back_whole(rooms: Rooms) -> None:
    made = rooms(CreateSession(title="Kite", tags=("x",), metadata={"a": 1}, project="p"))
    child = rooms(CreateSession(title="child", parent_id=made.id))
    for number in range(3):
        rooms(SendMessage(session_id=made.id, content=f"m{number}"))
    before = rooms(GetSession(id=made.id))
    rooms.clock.advance(60)
    assert rooms(DeleteSession(id=made.id)).label == "Kite"

    with pytest.raises(NotFound):
        rooms(GetSession(id=made.id))
    with pytest.raises(NotFound):
        rooms(ListMessages(session_id=made.id))
    with pytest.raises(NotFound):
        rooms(SendMessage(session_id=made.id, content="more"))
    assert [one.id for one in rooms(ListSessions()).items] == [child.id]
    assert rooms(ListSessions(tag="x")).items == rooms(ListSessions(project="p")).items == []
    assert rooms(GetSession(id=child.id)).parent_id == made.id

    [gone] = rooms(ListTrash()).items
    assert (gone.entity, gone.entity_id, gone.label) == ("session", made.id, "Kite")
    rooms(RestoreTrash(id=gone.id), OTHER)
    now = to_time(rooms.clock.now())
    after = msgspec.structs.replace(before, version=before.version + 1, updated_at=now, active_at=now, actor="other")
    assert plain(rooms(GetSession(id=made.id))) == plain(after)
    assert [one.content for one in rooms(ListMessages(session_id=made.id)).items] == ["m2", "m1", "m0"]
    assert [one.id for one in rooms(ListSessions(tag="x")).items] == [made.id]
    assert rooms(SendMessage(session_id=made.id, content="more")).number == 4
    assert rooms.changes()[-2] == ("trash.restore", "session", "Kite")
