"""Messages: said in order, found by id, never changed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kept.wire import VALUE_BYTES
from kept.wire.errors import InvalidParams, NotFound, TooLarge
from kept.wire.message import GetMessage, ListMessages, Message, NewMessage, SendMessage
from kept.wire.session import TITLE_CHARACTERS, CreateSession, GetSession, UpdateSession
from keptd.clock import to_time
from keptd.sessions import rules
from keptd.sessions.schema import SESSION_TEXT
from tests.rooms import Rooms


def plain(value: object) -> object:
    return msgspec.json.decode(msgspec.json.encode(value))


def titled(rooms: Rooms, word: str) -> list[int]:
    """The sessions whose title, summary or tags have a word, as the index has it."""
    return [hit.rowid for hit in SESSION_TEXT.search(rooms.reader, word)]


def test_a_message_is_what_was_said(rooms: Rooms) -> None:
    session = rooms(CreateSession(title="t"))
    sent = rooms(
        SendMessage(session_id=session.id, role="tool", content="grün\n", speaker="grep", metadata={"exit": 0})
    )
    found = rooms(GetMessage(id=sent.id))
    assert (found.session_id, found.number, found.role, found.speaker) == (session.id, 1, "tool", "grep")
    assert (found.content, plain(found.metadata), found.actor) == ("grün\n", {"exit": 0}, "tester")
    assert found.created_at == to_time(rooms.clock.now())
    shown = {name: getattr(sent, name) for name in Message.__struct_fields__}
    assert plain(shown) == plain(found)
    assert (sent.ids, sent.warning) == ((sent.id,), None)


def test_several_messages_are_one_step_and_the_reply_is_the_last_of_them(rooms: Rooms) -> None:
    session = rooms(CreateSession(title="t"))
    rooms(SendMessage(session_id=session.id, content="before"))
    several = tuple(NewMessage(role="assistant", content=f"m{number}", metadata=number) for number in range(5))
    sent = rooms(SendMessage(session_id=session.id, messages=several))
    assert (sent.number, sent.content, plain(sent.metadata), len(sent.ids)) == (6, "m4", 4, 5)
    found = [rooms(GetMessage(id=one)) for one in sent.ids]
    assert [(one.number, one.content) for one in found] == [(number + 2, f"m{number}") for number in range(5)]
    assert sent.ids[-1] == sent.id
    assert rooms.changes()[1:] == [("message.send", "message", "t")] * 6


def test_what_is_said_counts_in_its_session(rooms: Rooms) -> None:
    session = rooms(CreateSession(title="t"))
    rooms.clock.advance(3)
    rooms(SendMessage(session_id=session.id, content="äß", metadata={"é": 1}))
    after = rooms(GetSession(id=session.id))
    assert (after.messages, after.bytes) == (1, 4 + len('{"é":1}'.encode()))
    assert after.last_message_at == after.active_at == to_time(rooms.clock.now())
    assert after.version == session.version


@pytest.mark.parametrize(
    ("given_", "field"),
    [
        ({}, "content"),
        ({"content": "c", "messages": (NewMessage(role="user", content="m"),)}, "content"),
        ({"speaker": "s", "messages": (NewMessage(role="user", content="m"),)}, "speaker"),
        ({"metadata": 0, "messages": (NewMessage(role="user", content="m"),)}, "metadata"),
    ],
    ids=["nothing", "content", "speaker", "metadata"],
)
def test_a_call_says_one_thing_or_a_list_of_them(rooms: Rooms, given_: dict[str, object], field: str) -> None:
    session = rooms(CreateSession())
    with pytest.raises(InvalidParams) as refusal:
        rooms(msgspec.convert({"session_id": session.id, **given_}, SendMessage, from_attributes=True))
    assert refusal.value.data["field"] == field
    with pytest.raises(InvalidParams):
        rooms(SendMessage(session_id=session.id))
    assert rooms(GetSession(id=session.id)).messages == 0


def test_one_message_that_is_too_large_keeps_all_from_being_said(rooms: Rooms) -> None:
    session = rooms(CreateSession())
    good, bad = NewMessage(role="user", content="m"), NewMessage(role="user", content="m", metadata="x" * VALUE_BYTES)
    with pytest.raises(TooLarge) as refusal:
        rooms(SendMessage(session_id=session.id, messages=(good, bad)))
    assert refusal.value.data["field"] == "messages[1].metadata"
    assert rooms(ListMessages(session_id=session.id)).items == []
    assert (rooms(GetSession(id=session.id)).title, titled(rooms, "m")) == ("", [])


def test_what_is_not_there_is_not_found(rooms: Rooms) -> None:
    with pytest.raises(NotFound):
        rooms(SendMessage(session_id="missing", content="c"))
    with pytest.raises(NotFound):
        rooms(GetMessage(id="missing"))
    with pytest.raises(NotFound):
        rooms(ListMessages(session_id="missing"))


def test_a_session_without_a_title_takes_it_from_its_first_words_and_is_found_by_it(rooms: Rooms) -> None:
    session = rooms(CreateSession(tags=("aloft",)))
    rooms(SendMessage(session_id=session.id, content=" \n\t\n"))
    assert rooms(GetSession(id=session.id)).title == ""
    said = (NewMessage(role="user", content=""), NewMessage(role="user", content="\n  Kites\tfly  high\nand far"))
    rooms(SendMessage(session_id=session.id, messages=said))
    after = rooms(GetSession(id=session.id))
    assert (after.title, after.version) == ("Kites fly high", 1)
    assert [len(titled(rooms, word)) for word in ("kites", "aloft", "far")] == [1, 1, 0]
    rooms(SendMessage(session_id=session.id, content="Another line"))
    assert rooms(GetSession(id=session.id)).title == "Kites fly high"
    rooms(UpdateSession(id=session.id, title="Boats"))
    assert [len(titled(rooms, word)) for word in ("kites", "boats", "aloft")] == [0, 1, 1]


@given(st.text(max_size=3 * TITLE_CHARACTERS))
def test_a_title_taken_from_a_text_is_one_that_could_be_given(content: str) -> None:
    title = rules.title_from(content)
    if title:
        assert msgspec.convert({"title": title}, CreateSession).title == title
    else:
        assert not any(letter.isprintable() and not letter.isspace() for letter in content)


@pytest.mark.parametrize(
    "beside", [{"role": "user"}, {"role": "tool"}, {"content": ""}, {"speaker": "Ann"}, {"metadata": False}]
)
def test_what_several_messages_would_leave_unsaid_is_refused_by_name(rooms: Rooms, beside: dict[str, Any]) -> None:
    session = rooms(CreateSession())
    several = (NewMessage(role="user", content="m"),)
    with pytest.raises(InvalidParams) as refusal:
        rooms(SendMessage(session_id=session.id, messages=several, **beside))
    [field] = beside
    assert refusal.value.data["field"] == field
    assert refusal.value.message == f"messages and {field} exclude each other"
    assert rooms(GetSession(id=session.id)).messages == 0


def test_who_speaks_is_the_user_where_that_is_left_out(rooms: Rooms) -> None:
    session = rooms(CreateSession())
    assert rooms(SendMessage(session_id=session.id, content="m")).role == "user"
