"""The change log: one row for every change, written in the transaction that made it, read in order of sequence.

Owns the table `change`. A row names who, when, which method and which entity; it can be shown
to any subscriber. It holds no value: a label is the entity's key or name, or the first words of what was done, decided
or went wrong. Like the names of the actor, it has been looked through for credentials on its way in.

`session` is the session that a change is about, and `number` the message's place in it. When a session is removed for
good, its rows lose both with their labels: that something happened stays, what it was called does not. The change that
says so has no label, and as its number the session's own in its table, for a recovery.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import apsw
import msgspec

from kept.wire import Actor
from kept.wire.catalog import events, methods_of
from kept.wire.event import Change

from ..clock import to_time
from .migrations import Migration

MIGRATIONS = (
    Migration(
        "001_change",
        """
        CREATE TABLE change (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            at INTEGER NOT NULL,
            actor TEXT NOT NULL,
            method TEXT NOT NULL,
            entity TEXT NOT NULL,
            entity_id TEXT NOT NULL,
            label TEXT NOT NULL
        ) STRICT;
        CREATE INDEX change_by_entity ON change (entity, seq);
        CREATE INDEX change_by_method ON change (method, seq);
        """,
    ),
    Migration(
        "002_session",
        """
        ALTER TABLE change ADD COLUMN session TEXT;
        ALTER TABLE change ADD COLUMN number INTEGER;
        CREATE INDEX change_by_session ON change (session, seq) WHERE session IS NOT NULL;
        UPDATE change SET session = entity_id WHERE entity = 'session';
        UPDATE change SET label = '' WHERE entity = 'message';
        """,
    ),
)

SESSION = "session"
"""The entity whose changes, and those of what is in it, can be followed alone: by the topic `session:` with its id."""

LABEL_LENGTH = 80

RECOVERY = "recovery"
"""What stands as the method of a change that a recovery made: the database went on with the same line of time."""

_ROW = "seq, at, actor, method, entity, entity_id, label, session, number"
_encode = msgspec.json.Encoder().encode
_decode_actor = msgspec.json.Decoder(Actor).decode


class ChangeLog:
    """Where one request records what it changes; belongs to its savepoint."""

    __slots__ = ("_at", "_db", "_method", "_who", "last_seq", "session")

    def __init__(self, db: apsw.Connection, at: int, actor: Actor, method: str) -> None:
        self._db = db
        self._at = at
        self._who = _encode(actor).decode()
        self._method = method
        self.last_seq = 0
        self.session: str | None = None
        """The session that the result speaks of: that of the last change that is about one, unless a handler that
        changes nothing sets it."""

    def add(
        self,
        entity: str,
        entity_id: str,
        label: str = "",
        notice: str | None = None,
        *,
        session: str | None = None,
        number: int | None = None,
    ) -> None:
        """Record a change of one entity. `label` is a short name for people, cut at 80 characters.

        `notice` stands in the place of the method: one of those that the call declares. `session` is the id of the
        session that the entity is in, and `number` its place there; a session is in itself.
        """
        method = notice or self._method
        about = entity_id if entity == SESSION else session
        if about is not None:
            self.session = about
        self._db.execute(
            "INSERT INTO change (at, actor, method, entity, entity_id, label, session, number) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (self._at, self._who, method, entity, entity_id, label[:LABEL_LENGTH], about, number),
        )
        self.last_seq = self._db.last_insert_rowid()


def anonymize(db: apsw.Connection, session: str, limit: int) -> int:
    """Take from up to `limit` changes that are about a session what they say of it; how many. One that says nothing
    stays as it is."""
    db.execute(
        "UPDATE change SET session = NULL, number = NULL, label = '' WHERE seq IN "
        "(SELECT seq FROM change WHERE session = ? AND label <> '' LIMIT ?)",
        (session, limit),
    )
    return db.changes()


def rename(db: apsw.Connection, former: str, session: str) -> None:
    """What is said of a session belongs to it under its new id."""
    db.execute("UPDATE change SET session = ? WHERE session = ?", (session, former))


def last_at(db: apsw.Connection) -> int:
    """When the newest change was made, in microseconds since 1970; 0 where there is none."""
    row = db.execute("SELECT at FROM change ORDER BY seq DESC LIMIT 1").fetchone()
    return int(row[0]) if row else 0


def last_seq(db: apsw.Connection) -> int:
    """The newest sequence; 0 in an empty log."""
    row = db.execute("SELECT max(seq) FROM change").fetchone()
    return int(row[0] or 0) if row else 0


def after(db: apsw.Connection, seq: int, topics: Sequence[str] | None, limit: int) -> list[Change]:
    """Up to `limit` changes after `seq`, oldest first. A topic is an entity type; a method or an event where it has a
    dot; or one session where it has a colon."""
    if topics is None:
        rows = db.execute(f"SELECT {_ROW} FROM change WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit))
        return [_change(row) for row in rows]
    wanted = list(dict.fromkeys(name for topic in topics for name in _stored(topic)))
    if not wanted:
        return []
    # Each part comes from its index in order, so that SQLite merges them and stops at the limit.
    parts = [f"SELECT seq FROM change WHERE {_column(topic)} = ? AND seq > ?" for topic in wanted]
    rows = db.execute(
        f"SELECT {_ROW} FROM change WHERE seq IN ({' UNION '.join(parts)} ORDER BY seq LIMIT ?) ORDER BY seq",
        (*(value for topic in wanted for value in (_value(topic), seq)), limit),
    )
    return [_change(row) for row in rows]


def has(db: apsw.Connection, topic: str) -> bool:
    """Whether any change is of this topic, as one of an earlier version may be."""
    return (
        db.execute(f"SELECT 1 FROM change WHERE {_column(topic)} = ? LIMIT 1", (_value(topic),)).fetchone() is not None
    )


class Recorded(NamedTuple):
    """Where in the log something last happened, and when, in microseconds."""

    seq: int
    at: int


def recorded(db: apsw.Connection, method: str, entity: str) -> dict[str, Recorded]:
    """The entities of a type that a method changed, by their ids."""
    rows: Iterable[tuple[Any, ...]] = db.execute(
        "SELECT entity_id, seq, at FROM change WHERE method = ? AND entity = ? ORDER BY seq", (method, entity)
    )
    return {str(entity_id): Recorded(seq, at) for entity_id, seq, at in rows}


def _stored(topic: str) -> tuple[str, ...]:
    """What stands in the log for a topic: the methods of an event, else the topic itself."""
    return methods_of(topic) or (topic,)


def _column(topic: str) -> str:
    return SESSION if ":" in topic else "method" if "." in topic else "entity"


def _value(topic: str) -> str:
    return topic.rpartition(":")[2]


def _change(row: tuple[int, int, str, str, str, str, str, str | None, int | None]) -> Change:
    return Change(
        seq=row[0],
        at=to_time(row[1]),
        actor=_decode_actor(row[2]),
        method=row[3],
        entity=row[4],
        entity_id=row[5],
        label=row[6],
        event=events().get(row[3]),
        session_id=row[7],
        number=None if row[4] == SESSION else row[8],
    )
