"""The messages: said, found by id, removed with their session. Lists are `lists`'s."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import apsw

from kept.wire.errors import NotFound
from kept.wire.message import Message

from ..clock import to_time
from ..store.ids import new_id
from .rows import MESSAGE, New, SessionRow, message
from .schema import MESSAGE_TEXT

_INSERT = (
    "INSERT INTO message (id, session, number, role, speaker, content, metadata, created_at, actor) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_COUNT = (
    "UPDATE session SET messages = messages + ?, bytes = bytes + ?, last_message_at = ?, active_at = ?, title = ? "
    "WHERE seq = ?"
)
_GET = (
    f"SELECT s.id, {MESSAGE} FROM message AS m JOIN session AS s ON s.seq = m.session "
    "WHERE m.id = ? AND s.place = 'here'"
)
_ALL = "SELECT seq, session, role, speaker, content, created_at FROM message ORDER BY seq"


class Said(NamedTuple):
    """A message that was added, and its rowid."""

    seq: int
    id: str
    number: int


def add(db: apsw.Connection, session: SessionRow, new: Sequence[New], at: int, actor: str, title: str) -> list[Said]:
    """Say something, in order, at the end of a session, which takes `title`. `at` is in microseconds."""
    said: list[Said] = []
    for number, one in enumerate(new, session.messages + 1):
        id_ = new_id()
        db.execute(_INSERT, (id_, session.seq, number, one.role, one.speaker, one.content, one.metadata, at, actor))
        seq = db.last_insert_rowid()
        index(db, seq, session.seq, one.role, one.speaker, one.content, at)
        said.append(Said(seq, id_, number))
    count(db, session.seq, new, at, at, title)
    return said


def count(db: apsw.Connection, session: int, new: Sequence[New], last_at: int, active_at: int, title: str) -> None:
    """Add messages that were put into a session, the last of them at `last_at`, to what its row says of it."""
    db.execute(_COUNT, (len(new), sum(one.bytes for one in new), last_at, active_at, title, session))


def get(db: apsw.Connection, message_id: str) -> Message:
    """A message of a session that is here. Raises `NotFound`."""
    for session_id, *row in db.execute(_GET, (message_id,)):
        return message(tuple(row), str(session_id))
    raise NotFound("there is no such message", hint="message.list shows those of a session.")


def index(db: apsw.Connection, seq: int, session: int, role: str, speaker: str | None, content: str, at: int) -> None:
    """Let a message be found by its words."""
    MESSAGE_TEXT.add(db, seq, (speaker or "", content), facets(session, role, at))


def index_all(db: apsw.Connection) -> None:
    """Put every message into the text index, which is empty."""
    for row in db.execute(_ALL):
        index(db, *row)


def reindex(db: apsw.Connection) -> None:
    """Make the text index anew."""
    MESSAGE_TEXT.clear(db)
    index_all(db)


def facets(session: int, role: str, at: int) -> Iterable[str]:
    """What a search can narrow messages by: their session, role and month."""
    return (session_facet(session), role_facet(role), month_facet(at))


def session_facet(session: int) -> str:
    """What tells that a message is of the session with this `seq`."""
    return f"session={session}"


def role_facet(role: str) -> str:
    """What tells a message's role."""
    return f"role={role}"


def month_facet(at: int) -> str:
    """What tells in which month (UTC) a message was sent, for a time in microseconds."""
    return f"month={to_time(at):%Y-%m}"


def remove(db: apsw.Connection, session: int, limit: int) -> int:
    """Remove up to `limit` messages of a session for good, newest first; how many."""
    rows: list[tuple[Any, ...]] = db.execute(
        "SELECT seq FROM message WHERE session = ? ORDER BY number DESC LIMIT ?", (session, limit)
    ).fetchall()
    for (seq,) in rows:
        MESSAGE_TEXT.remove(db, seq)
        db.execute("DELETE FROM message WHERE seq = ?", (seq,))
    return len(rows)
