"""How large a session should be and may be: warned of in time, told once, refused past the most."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kept.wire.errors import NotFound, QuotaExceeded
from kept.wire.message import NewMessage, SendMessage
from kept.wire.session import CreateSession, GetSession, StatsOfSession
from keptd.config import Config, Sessions
from keptd.sessions import attendance, limits
from keptd.sessions.limits import Size
from tests.rooms import Rooms

SMALL = Sessions(recommended_messages=10, recommended_bytes=1000, max_messages=20, max_bytes=2000)


@pytest.fixture
def small(rooms: Rooms) -> Rooms:
    rooms.config = Config(sessions=SMALL)
    return rooms


def say(rooms: Rooms, session_id: str, count: int, size: int = 1) -> str | None:
    """Each takes four bytes more, for its metadata."""
    said = (NewMessage(role="user", content="x" * (size - 4 if size > 4 else 0)),) * count
    return rooms(SendMessage(session_id=session_id, messages=said)).warning


def told(rooms: Rooms) -> list[str]:
    return [label for method, _, label in rooms.changes() if method == "session.near_limit"]


def test_each_mark_is_told_once_when_it_is_passed(small: Rooms) -> None:
    session = small(CreateSession(title="Kite"))
    warnings = [say(small, session.id, 1) for _ in range(20)]
    assert told(small) == [
        "8 messages: 80 % of the recommended 10: Kite",
        "10 messages: 100 % of the recommended 10: Kite",
        "18 messages: 90 % of the most that a session may have, 20: Kite",
    ]
    assert [number for number, warning in enumerate(warnings, 1) if warning is None] == list(range(1, 8))
    assert warnings[10] is not None
    assert warnings[10].startswith("11 messages: 110 % of the recommended 10. Begin another session")


def test_several_marks_that_one_call_passes_are_each_told(small: Rooms) -> None:
    session = small(CreateSession(title="Kite"))
    say(small, session.id, 19)
    assert len(told(small)) == 3


def test_stats_warn_of_the_gravest_of_each_kind_with_the_next_step(small: Rooms) -> None:
    session = small(CreateSession(title="Kite"))
    assert small(StatsOfSession(id=session.id)).warnings == ()
    say(small, session.id, 9, 205)
    found = small(StatsOfSession(id=session.id)).warnings
    assert [(one.field, one.level, one.size, one.limit) for one in found] == [
        ("messages", "near_recommended", 9, 10),
        ("bytes", "near_maximum", 1845, 2000),
    ]
    assert all("parent_id" in one.hint for one in found)


@pytest.mark.parametrize(
    ("count", "size", "field", "limit"), [(21, 1, "messages", 20), (1, 2001, "bytes", 2000)], ids=["messages", "bytes"]
)
def test_past_the_most_nothing_is_written(small: Rooms, count: int, size: int, field: str, limit: int) -> None:
    session = small(CreateSession(title="Kite"))
    with pytest.raises(QuotaExceeded) as refusal:
        small(
            SendMessage(
                session_id=session.id, messages=(NewMessage(role="user", content="x" * max(size - 4, 0)),) * count
            )
        )
    assert (refusal.value.data["field"], refusal.value.data["limit"]) == (field, limit)
    assert f"sessions.max_{field}" in refusal.value.hint
    assert small(GetSession(id=session.id)).messages == 0
    assert len(small.changes()) == 1


def test_up_to_the_most_everything_is_taken(small: Rooms) -> None:
    session = small(CreateSession(title="Kite"))
    say(small, session.id, 20, 100)
    assert small(GetSession(id=session.id)).bytes == 2000
    with pytest.raises(QuotaExceeded):
        small(SendMessage(session_id=session.id, content=""))


def test_stats_tell_who_spoke_and_when(rooms: Rooms) -> None:
    session = rooms(CreateSession(title="Kite"))
    rooms(CreateSession(parent_id=session.id))
    roles = ("user", "assistant", "assistant", "tool")
    rooms(SendMessage(session_id=session.id, content="first"))
    rooms.clock.advance(60)
    said = tuple(NewMessage(role=role, content="m") for role in roles)  # type: ignore[arg-type]
    rooms(SendMessage(session_id=session.id, messages=said))
    stats = rooms(StatsOfSession(id=session.id))
    assert (stats.by_role.user, stats.by_role.assistant, stats.by_role.system, stats.by_role.tool) == (2, 2, 0, 1)
    assert stats.first_message_at is not None
    assert stats.last_message_at is not None
    assert (stats.last_message_at - stats.first_message_at).total_seconds() == 60
    assert (stats.messages, stats.children, stats.attached_now) == (5, 1, 0)


def test_attached_time_includes_those_that_are_there_now(rooms: Rooms) -> None:
    session = rooms(CreateSession(title="Kite"))
    [(seq,)] = rooms.writer.execute("SELECT seq FROM session")
    rooms.writer.execute(
        "INSERT INTO session_attachment (session, connection, client, pid, since, ticks) "
        "VALUES (?, 1, 'nvim', 7, ?, ?)",
        (seq, rooms.clock.now(), attendance.ticks(rooms.clock.monotonic())),
    )
    rooms.writer.execute("UPDATE session SET attached_us = 5000000, attachments = 3")
    rooms.clock.advance(60)
    stats = rooms(StatsOfSession(id=session.id))
    assert (stats.attached_now, stats.attachments, stats.attached_seconds) == (1, 3, 65)


def test_a_session_that_is_not_there_has_no_stats(rooms: Rooms) -> None:
    with pytest.raises(NotFound):
        rooms(StatsOfSession(id="missing"))


SIZES = st.lists(st.builds(Size, st.integers(0, 3), st.integers(0, 300)), max_size=30)


@given(SIZES)
def test_however_a_session_grows_no_mark_is_told_twice_or_left_out(steps: list[Size]) -> None:
    size, seen = Size(0, 0), []
    for step in steps:
        after = Size(size.messages + step.messages, size.bytes + step.bytes)
        seen += [(one.field, one.level) for one in limits.passed(size, after, SMALL)]
        size = after
    assert len(seen) == len(set(seen))
    assert set(seen) == {(one.field, one.level) for one in limits.passed(Size(0, 0), size, SMALL)}
    gravest = {one.field: one.level for one in limits.warnings(size, SMALL)}
    assert gravest == dict(sorted(seen, key=lambda one: list(_LEVELS).index(one[1])))


_LEVELS = ("near_recommended", "past_recommended", "near_maximum")
