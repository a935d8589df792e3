"""What a session is continued with: the newest messages that fit, whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kept.wire.errors import NotFound
from kept.wire.message import ContextOfSession, NewMessage, SendMessage, SessionContext
from kept.wire.session import CreateSession, DeleteSession, UpdateSession
from keptd.sessions import continuing
from keptd.sessions.rows import message_tokens
from keptd.tokens import BYTES_PER_TOKEN, tokens_of
from tests.rooms import Rooms


def say(rooms: Rooms, session_id: str, *contents: str) -> None:
    said = tuple(NewMessage(role="user", content=content) for content in contents)
    rooms(SendMessage(session_id=session_id, messages=said))


def numbers(context: SessionContext) -> list[int]:
    return [one.number for one in context.messages]


def test_without_limits_it_is_all_of_a_session_oldest_first(rooms: Rooms) -> None:
    session = rooms(CreateSession(title="t"))
    say(rooms, session.id, "one", "two", "three")
    context = rooms(ContextOfSession(id=session.id))
    assert [one.content for one in context.messages] == ["one", "two", "three"]
    assert context.tokens == sum(tokens_of(f"user: {content}") for content in ("one", "two", "three"))
    assert (context.left_out, context.too_large, context.parent, context.title) == (0, (), None, "t")


def test_the_sessions_own_number_holds_unless_another_is_asked_for(rooms: Rooms) -> None:
    session = rooms(CreateSession(title="t", max_context_messages=2))
    say(rooms, session.id, "1", "2", "3", "4")
    own = rooms(ContextOfSession(id=session.id))
    assert (numbers(own), own.left_out) == ([3, 4], 2)
    assert numbers(rooms(ContextOfSession(id=session.id, max_messages=3))) == [2, 3, 4]
    assert numbers(rooms(ContextOfSession(id=session.id, max_messages=1))) == [4]


def test_a_budget_takes_the_newest_and_ends_before_the_first_that_does_not_fit(rooms: Rooms) -> None:
    session = rooms(CreateSession(title="t"))
    # A hundred bytes with "user: " and the end: 25 tokens each.
    say(rooms, session.id, "a", "b" * 93, "c" * 193, "d" * 93, "e" * 93)
    context = rooms(ContextOfSession(id=session.id, budget_tokens=100))
    assert (numbers(context), context.tokens, context.left_out) == ([3, 4, 5], 100, 2)
    # The first would fit, but not without a gap.
    roomier = rooms(ContextOfSession(id=session.id, budget_tokens=110))
    assert (numbers(roomier), roomier.too_large) == ([3, 4, 5], ())


def test_a_message_larger_than_the_budget_is_passed_over_and_named(rooms: Rooms) -> None:
    session = rooms(CreateSession(title="t"))
    say(rooms, session.id, "old", "x" * 1000, "new", "y" * 1000)
    context = rooms(ContextOfSession(id=session.id, budget_tokens=100))
    assert (numbers(context), context.too_large, context.left_out) == ([1, 3], (2, 4), 2)


def test_what_came_of_the_parent_stands_in_front_and_counts(rooms: Rooms) -> None:
    parent = rooms(CreateSession(title="before"))
    session = rooms(CreateSession(title="t", parent_id=parent.id))
    say(rooms, session.id, "b" * 193, "c" * 193)
    assert rooms(ContextOfSession(id=session.id, with_summary=True)).parent is None

    rooms(UpdateSession(id=parent.id, summary="It flew."))
    assert rooms(ContextOfSession(id=session.id)).parent is None
    context = rooms(ContextOfSession(id=session.id, with_summary=True, budget_tokens=100))
    assert context.parent is not None
    assert (context.parent.title, context.parent.summary) == ("before", "It flew.")
    assert context.parent.tokens == tokens_of("before: It flew.")
    assert (numbers(context), context.tokens) == ([2], 50 + context.parent.tokens)

    rooms(UpdateSession(id=parent.id, summary="s" * 400))
    long = rooms(ContextOfSession(id=session.id, with_summary=True, budget_tokens=100))
    assert (long.parent, numbers(long)) == (None, [1, 2])
    rooms(DeleteSession(id=parent.id))
    assert rooms(ContextOfSession(id=session.id, with_summary=True)).parent is None


def test_it_never_passes_what_a_reply_can_carry(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    session = rooms(CreateSession(title="t"))
    say(rooms, session.id, *("x" * 400 for _ in range(5)))
    monkeypatch.setattr(continuing, "PAGE_BYTES", 1800)
    context = rooms(ContextOfSession(id=session.id))
    assert (numbers(context), context.left_out) == ([4, 5], 3)
    monkeypatch.setattr(continuing, "MOST", 1)
    assert numbers(rooms(ContextOfSession(id=session.id, max_messages=3))) == [5]


def test_a_session_that_is_not_there_has_no_context(rooms: Rooms) -> None:
    with pytest.raises(NotFound):
        rooms(ContextOfSession(id="missing"))


@given(st.sampled_from(["user", "tool"]), st.none() | st.text(min_size=1), st.text())
def test_a_messages_tokens_are_never_less_than_a_quarter_of_its_bytes(
    role: str, speaker: str | None, content: str
) -> None:
    shown = f"{speaker or role}: {content}\n".encode()
    assert message_tokens(role, speaker, content) == -(-len(shown) // BYTES_PER_TOKEN)
