"""The messages: said, found by id, removed with their session. Lists are `lists`'s."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import apsw

from kept.wire.errors import NotFound
from kept.wire.message import Message

from ..clock import to_time
from ..store.ids import new_id
from .rows import MESSAGE, MessageRow, New, SessionRow, message
from .rules import title_of
from .schema import MESSAGE_TEXT

_INSERT = (
    f"INSERT INTO message ({', '.join(MessageRow._fields[1:])}, session, extra) "
    f"VALUES ({', '.join('?' * (len(MessageRow._fields) + 1))})"
)
_COUNT = (
    "UPDATE session SET messages = messages + ?, bytes = bytes + ?, tokens = tokens + ?, said_user = said_user + ?, "
    "said_assistant = said_assistant + ?, said_system = said_system + ?, said_tool = said_tool + ?, "
    "last_message_at = ?, active_at = ?, title = ? WHERE seq = ?"
)
_GET = (
    f"SELECT s.id, {MESSAGE} FROM message AS m JOIN session AS s ON s.seq = m.session "
    "WHERE m.id = ? AND s.place = 'here'"
)
# The size of a text is in the head of its row: its pages aren't read.
_LAST = (
    "SELECT seq, octet_length(content) + octet_length(metadata) FROM message "
    "WHERE session = ? ORDER BY number DESC LIMIT ?"
)
_ALL = "SELECT seq, session, role, speaker, content, created_at FROM message ORDER BY seq"


def add(
    db: apsw.Connection, session: SessionRow, new: Sequence[New], at: int, actor: str, title: str
) -> list[MessageRow]:
    """Say something, in order, at the end of a session, which takes `title`. `at` is in microseconds.

    A title that differs is not in the index of titles yet: see `store.entitle`.
    """
    said = [
        put(db, session.seq, MessageRow(0, new_id(), number, *one, at, actor))
        for number, one in enumerate(new, session.messages + 1)
    ]
    count(db, session.seq, new, at, at, title)
    return said


def put(db: apsw.Connection, session: int, row: MessageRow, extra: str | None = None) -> MessageRow:
    """Add a message, without counting it; the row with the `seq` that it gets, whatever `row.seq` is."""
    db.execute(_INSERT, (*row[1:], session, extra))
    row = row._replace(seq=db.last_insert_rowid())
    index(db, row.seq, session, row.role, row.speaker, row.content, row.created_at)
    return row


def count(db: apsw.Connection, session: int, new: Sequence[New], last_at: int, active_at: int, title: str) -> None:
    """Add messages that were put into a session, the last of them at `last_at`, to what its row says of it."""
    size, tokens = sum(one.bytes for one in new), sum(one.tokens for one in new)
    roles = Counter(one.role for one in new)
    by_role = (roles["user"], roles["assistant"], roles["system"], roles["tool"])
    db.execute(_COUNT, (len(new), size, tokens, *by_role, last_at, active_at, title, session))


def title(db: apsw.Connection, session: int) -> str:
    """The title that a session takes from what was said in it; empty where nothing has text."""
    contents = db.execute("SELECT content FROM message WHERE session = ? ORDER BY number", (session,))
    return title_of(str(content) for (content,) in contents)


def get(db: apsw.Connection, message_id: str) -> Message:
    """A message of a session that is here. Raises `NotFound`."""
    for session_id, *row in db.execute(_GET, (message_id,)):
        return message(MessageRow._make(row), str(session_id))
    raise NotFound("there is no such message", hint="message.list shows those of a session.")


def index(db: apsw.Connection, seq: int, session: int, role: str, speaker: str | None, content: str, at: int) -> None:
    """Let a message be found by its words."""
    MESSAGE_TEXT.add(db, seq, (speaker or "", content), facets(session, role, speaker, at))


def index_all(db: apsw.Connection) -> None:
    """Put every message into the text index, which is empty."""
    for row in db.execute(_ALL):
        index(db, *row)


def facets(session: int, role: str, speaker: str | None, at: int) -> Iterable[str]:
    """What a search can narrow messages by: their session, role, month, and speaker."""
    always = (session_facet(session), role_facet(role), month_facet(at))
    return always if speaker is None else (*always, speaker_facet(speaker))


def session_facet(session: int) -> str:
    """What tells that a message is of the session with this `seq`."""
    return f"session={session}"


def role_facet(role: str) -> str:
    """What tells a message's role."""
    return f"role={role}"


def speaker_facet(speaker: str) -> str:
    """What tells who speaks, in capitals or not."""
    return f"speaker={speaker.casefold()}"


def month_facet(at: int) -> str:
    """What tells in which month (UTC) a message was sent, for a time in microseconds."""
    moment = to_time(at)
    return month_name(moment.year, moment.month)


def month_name(year: int, month: int) -> str:
    """What tells that a message was sent in this month."""
    return f"month={year:04}-{month:02}"


class Removed(NamedTuple):
    """How many messages went, how many bytes they took, and whether the session has none left."""

    rows: int
    bytes: int
    is_all: bool


def remove(db: apsw.Connection, session: int, limit: int, most_bytes: int, at_least: int = 1) -> Removed:
    """Remove up to `limit` messages of a session for good, newest first.

    Fewer, but `at_least` so many, where they take more than `most_bytes`.
    """
    rows: list[tuple[Any, ...]] = db.execute(_LAST, (session, limit + 1)).fetchall()
    size = count = 0
    for seq, own in rows[:limit]:
        if count >= at_least and size + own > most_bytes:
            break
        size += own
        MESSAGE_TEXT.remove(db, seq)
        db.execute("DELETE FROM message WHERE seq = ?", (seq,))
        count += 1
    return Removed(count, size, is_all=count == len(rows))
