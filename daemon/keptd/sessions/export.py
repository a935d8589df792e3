"""`session.export`: one part of a session, or of a tree of them, as text. All of its SQL.

Nothing is remembered between two parts: the cursor has all of it. Messages are never changed and only come at the end,
so that the number which a session had when its beginning was written is where its messages end. The sessions of a tree
are those of the first part: where it is another tree meanwhile, the next part is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import apsw

from kept.wire.errors import Conflict, TooLarge
from kept.wire.session_move import SESSIONS_AT_ONCE, ExportPart, ExportSession

from ..store.pages import Order
from . import document, store
from .document import Extra, decode_extra
from .prose import Markdown, Plain
from .rows import MESSAGE, SESSION, MessageRow, SessionRow

PART_BYTES = 2 * 1024 * 1024
"""Bytes after which a part ends. A message is never cut, so that one may be longer, by the longest message there is."""

_MARK_BYTES = 8

# By depth, so that a parent comes before its children; within it in the order in which they were begun.
_TREE = f"""
    WITH RECURSIVE down (seq, id, depth) AS (
        SELECT seq, id, 0 FROM session WHERE id = :id AND place = 'here'
        UNION SELECT s.seq, s.id, down.depth + 1 FROM down
        CROSS JOIN session AS s INDEXED BY session_by_parent ON s.parent_id = down.id
        WHERE s.place = 'here' AND s.seq <= :last AND down.depth < {store.DEEPEST}
    ) SELECT seq FROM down ORDER BY depth, seq LIMIT {SESSIONS_AT_ONCE + 1}
"""
_TOTAL = "SELECT ifnull(sum(messages), 0) FROM session WHERE seq IN (SELECT value FROM json_each(?))"
_SESSION = f"SELECT {SESSION}, s.extra FROM session AS s WHERE s.seq = ? AND s.place = 'here'"
_MESSAGES = (
    f"SELECT {MESSAGE}, m.extra FROM message AS m WHERE m.session = ? AND m.number BETWEEN ? AND ? ORDER BY m.number"
)


class Form(Protocol):
    """How an export is written: what stands before, between and behind the messages."""

    def beginning(self, exported_at: int, extra: Extra, /) -> bytes:
        """Before everything."""
        ...

    def head(self, row: SessionRow, extra: Extra, /, *, first: bool) -> bytes:
        """Before a session's messages; `first` of all sessions."""
        ...

    def message(self, row: MessageRow, extra: str | None, /, *, first: bool) -> bytes:
        """A message; `first` of its session."""
        ...

    def tail(self, extra: Extra, /) -> bytes:
        """Behind a session's messages."""
        ...

    def ending(self) -> bytes:
        """Behind everything."""
        ...


class Json:
    """The form that can be imported: one JSON document, with a message on each line."""

    def beginning(self, exported_at: int, extra: Extra) -> bytes:
        """What the document says of itself."""
        return document.beginning(exported_at, extra)

    def head(self, row: SessionRow, extra: Extra, *, first: bool) -> bytes:
        """The session's own fields."""
        return (b"" if first else b",\n") + document.session_head(row, extra)

    def message(self, row: MessageRow, extra: str | None, *, first: bool) -> bytes:
        """A line."""
        return (b"\n" if first else b",\n") + document.message_line(row, extra)

    def tail(self, extra: Extra) -> bytes:
        """The end of the session."""
        return document.session_tail(extra)

    def ending(self) -> bytes:
        """The end of the document."""
        return document.ENDING


FORMS: Mapping[str, Form] = {"json": Json(), "markdown": Markdown(), "txt": Plain()}


def part(db: apsw.Connection, call: ExportSession, now: int) -> ExportPart:
    """One part. Raises `NotFound`, `InvalidParams` naming `cursor`, and `Conflict` where the tree has changed. More
    than one SELECT: run it in a snapshot."""
    # How far sessions are looked for, which those are, the one that is being written, its messages, the next of them.
    order = Order(f"session.export {call.format}", int, str, int, int, int, int, int)
    position = order.after(call.cursor)
    root = store.find(db, call.id)
    last = _last(db) if position is None else int(position[0])
    seqs = _line(db, call, last) if call.tree else [root.seq]
    mark = hashlib.sha256(f"{call.tree} {seqs}".encode()).hexdigest()[:_MARK_BYTES]
    if position is None:
        position = (last, mark, 0, 0, 0, 0, _total(db, seqs))
    if position[1] != mark:
        raise Conflict("the sessions that are to be exported are others now", hint="Begin the export again.")
    writing = _Writing(db, FORMS[call.format], seqs)
    if call.cursor is None:
        writing.begin(now)
    at, upto, number, done = writing.run(*position[2:6])
    total = max(position[6], done)
    text = b"".join(writing.pieces).decode()
    if at == len(seqs):
        return ExportPart(text=text, next_cursor=None, done=done, total=done)
    return ExportPart(
        text=text, next_cursor=order.cursor(last, mark, at, upto, number, done, total), done=done, total=total
    )


class _Writing:
    """One part in the making."""

    def __init__(self, db: apsw.Connection, form: Form, seqs: list[int]) -> None:
        self.pieces: list[bytes] = []
        self._db = db
        self._form = form
        self._seqs = seqs
        self._size = 0

    def begin(self, now: int) -> None:
        """What stands before everything."""
        _, extra = self._session(self._seqs[0])
        self._put(self._form.beginning(now, extra))

    def run(self, at: int, upto: int, number: int, done: int) -> tuple[int, int, int, int]:
        """Go on with the session `at`, whose messages end with `upto`; 0 for `number`, the next, where its head is yet
        to be written. Gives where the next part goes on."""
        while at < len(self._seqs):
            row, extra = self._session(self._seqs[at])
            if not number:
                upto, number = row.messages, 1
                if not self._put(self._form.head(row, extra, first=at == 0)):
                    return at, 0, 0, done
            for *columns, message_extra in self._db.execute(_MESSAGES, (row.seq, number, upto)):
                said = MessageRow._make(columns)
                if not self._put(self._form.message(said, message_extra, first=number == 1)):
                    return at, upto, number, done
                number += 1
                done += 1
            self._add(self._form.tail(extra))
            at, upto, number = at + 1, 0, 0
        self._add(self._form.ending())
        return at, upto, number, done

    def _session(self, seq: int) -> tuple[SessionRow, Extra]:
        for row in self._db.execute(_SESSION, (seq,)):
            return SessionRow._make(row[:-1]), decode_extra(row[-1])
        raise Conflict("a session that is to be exported has gone", hint="Begin the export again.")

    def _put(self, piece: bytes) -> bool:
        """Add something, unless the part is full and this would not be its first."""
        if self._size and self._size + len(piece) > PART_BYTES:
            return False
        self._add(piece)
        return True

    def _add(self, piece: bytes) -> None:
        self.pieces.append(piece)
        self._size += len(piece)


def _last(db: apsw.Connection) -> int:
    return _number(db, "SELECT ifnull(max(seq), 0) FROM session", ())


def _line(db: apsw.Connection, call: ExportSession, last: int) -> list[int]:
    """A session and all that descend from it."""
    rows: Iterable[tuple[Any, ...]] = db.execute(_TREE, {"id": call.id, "last": last})
    seqs = [int(seq) for (seq,) in rows]
    if len(seqs) > SESSIONS_AT_ONCE:
        raise TooLarge(
            f"more than {SESSIONS_AT_ONCE} sessions descend from this one",
            hint="Export its children one by one: session.list with parent_id gives them.",
            limit=SESSIONS_AT_ONCE,
        )
    return seqs


def _total(db: apsw.Connection, seqs: list[int]) -> int:
    return _number(db, _TOTAL, (f"[{','.join(map(str, seqs))}]",))


def _number(db: apsw.Connection, sql: str, bindings: tuple[str, ...]) -> int:
    rows: list[tuple[Any, ...]] = db.execute(sql, bindings).fetchall()
    [(number,)] = rows
    return int(number)
