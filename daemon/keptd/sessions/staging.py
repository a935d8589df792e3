"""An import on its way: sessions that nobody sees yet, filled in small writes, and shown all at once.

A session that is staged has an id of its own until it is shown, so that what becomes of its former id is decided in the
one commit in which it counts. What an import leaves behind is `going`, to be removed like what left the trash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import apsw
import msgspec

from kept.wire.errors import Conflict, KeptError
from kept.wire.session import SessionId
from kept.wire.session_move import ImportedSession

from ..store.ids import new_id
from ..trash import store as trash
from . import attendance, messages, store, traces
from .document import Extra, decode_extra, encode_extra
from .incoming import Incoming
from .rows import SESSION, MessageRow, SessionRow

_STAGED = f"SELECT {SESSION} FROM session AS s WHERE s.seq = ? AND s.place = 'staged'"
_WHOSE = "SELECT m.seq, s.place FROM message AS m LEFT JOIN session AS s ON s.seq = m.session WHERE m.id = ?"
_HERE = "SELECT id FROM session WHERE place = 'here' AND id IN (SELECT value FROM json_each(?))"


class Arrival(NamedTuple):
    """A session of a document: the row in which it is staged, 0 for one that was left out; and what it was there."""

    seq: int
    former_id: str | None
    parent_id: str | None


class Log(NamedTuple):
    """Who imports, and when (microseconds, and by the monotonic clock), into whose change log; and how long what is
    replaced stays in the trash."""

    at: int
    ticks: int
    actor: str
    add: Callable[[str, str, str], None]
    stay: trash.Stay


class Published(NamedTuple):
    """What became of each arrival, in order, and what could not be as the document says."""

    sessions: tuple[ImportedSession, ...]
    warnings: tuple[str, ...]


def present(db: apsw.Connection, ids: str) -> frozenset[str]:
    """Which of the ids, a JSON array, are those of sessions that are here."""
    return frozenset(str(found) for (found,) in db.execute(_HERE, (ids,)))


def begin(db: apsw.Connection, row: SessionRow, extra: Extra) -> int:
    """Put a session into its place, without messages; its `seq`."""
    return store.put(db, row, "staged", encode_extra(extra))


def fill(db: apsw.Connection, seq: int, batch: Sequence[Incoming], at: int, actor: str) -> None:
    """Add messages to a session that is staged. `at` and `actor` are for those that don't say. Raises `Conflict` where
    the session is not staged any more."""
    session = _staged(db, seq)
    last_at = at
    for number, one in enumerate(batch, session.messages + 1):
        last_at = at if one.created_at is None else one.created_at
        row = MessageRow(0, _free_message_id(db, one.id), number, *one.new, last_at, one.actor or actor)
        messages.put(db, seq, row, one.extra)
    messages.count(db, seq, [one.new for one in batch], last_at, session.active_at, session.title)


def _staged(db: apsw.Connection, seq: int) -> SessionRow:
    for row in db.execute(_STAGED, (seq,)):
        return SessionRow._make(row)
    raise Conflict("what was imported so far has been removed", hint="Nothing was imported. Import it again.")


def _free_message_id(db: apsw.Connection, wanted: str | None) -> str:
    """The id that is wanted, if it is free, else a new one. What is on its way out gives its id up."""
    if wanted is None:
        return new_id()
    for seq, place in db.execute(_WHOSE, (wanted,)).fetchall():
        if place != "going":
            return new_id()
        db.execute("UPDATE message SET id = ? WHERE seq = ?", (new_id(), seq))
    return wanted


def leave(db: apsw.Connection, staged_ids: Iterable[str]) -> None:
    """Give up what is still staged of these."""
    db.executemany(
        "UPDATE session SET place = 'going' WHERE id = ? AND place = 'staged'", [(id_,) for id_ in staged_ids]
    )


def leave_all(db: apsw.Connection) -> None:
    """Give up everything that is staged: at the start nobody imports."""
    db.execute("UPDATE session SET place = 'going' WHERE place = 'staged'")


def publish(db: apsw.Connection, arrivals: Sequence[Arrival], on_conflict: str, log: Log) -> Published:
    """Show what is staged, all of it. Raises `Conflict` where something isn't staged any more."""
    warnings: list[str] = []
    done = [_place(db, arrival, on_conflict, log, warnings) for arrival in arrivals]
    ids = {one.former_id: str(one.id) for one in done if one.former_id is not None}
    shown = [(arrival, one) for arrival, one in zip(arrivals, done, strict=True) if one.action != "skipped"]
    for _, one in shown:
        db.execute("UPDATE session SET place = 'here', parent_id = NULL WHERE id = ?", (one.id,))
        row = _titled(db, store.find(db, one.id))
        store.index(db, row)
        log.add("session", row.id, row.label)
    parents = [_parent(db, arrival, one, ids, warnings) for arrival, one in shown]
    new = {one.id for _, one in shown}
    for (arrival, one), parent in zip(shown, parents, strict=True):
        if parent is not None and parent not in new:
            _check_descent(db, arrival, one, parent, warnings)
    return Published(tuple(done), tuple(warnings))


def _titled(db: apsw.Connection, row: SessionRow) -> SessionRow:
    """A session that the document gives no title takes it from its messages, as one in which somebody speaks."""
    title = row.title or messages.title(db, row.seq)
    if title == row.title:
        return row
    db.execute("UPDATE session SET title = ? WHERE seq = ?", (title, row.seq))
    return row._replace(title=title)


def _place(db: apsw.Connection, arrival: Arrival, on_conflict: str, log: Log, warnings: list[str]) -> ImportedSession:
    """Decide under which id a session is to be shown, and make the id free."""
    wanted = arrival.former_id
    if not arrival.seq:
        if _place_of(db, wanted) != "here":
            raise Conflict(
                "a session that was to be skipped, because it was here, has been deleted meanwhile",
                hint="Nothing was imported. Import it again.",
            )
        return ImportedSession(id=SessionId(wanted or ""), former_id=wanted, action="skipped", messages=0)
    row = _staged(db, arrival.seq)
    place = _place_of(db, wanted)
    action = "created"
    if wanted is None or (place == "here" and on_conflict == "new_id"):
        wanted = row.id
    elif place == "here" and on_conflict == "skip":
        leave(db, (row.id,))
        return ImportedSession(id=SessionId(wanted), former_id=wanted, action="skipped", messages=0)
    elif place == "here":
        _replace(db, wanted, log)
        action = "replaced"
    elif place == "trash":
        warnings.append(f"{wanted} has a new id, {row.id}, because a session in the trash has that id")
        wanted = row.id
    elif place is not None:
        _rename(db, wanted)
    db.execute("UPDATE session SET id = ? WHERE seq = ?", (wanted, arrival.seq))
    return ImportedSession(id=SessionId(wanted), former_id=arrival.former_id, action=action, messages=row.messages)


def _place_of(db: apsw.Connection, session_id: str | None) -> str | None:
    for (place,) in db.execute("SELECT place FROM session WHERE id = ?", (session_id,)):
        return str(place)
    return None


def _rename(db: apsw.Connection, session_id: str) -> str:
    """Give a session another id, so that this one is free."""
    renamed = new_id()
    db.execute("UPDATE session SET id = ? WHERE id = ?", (renamed, session_id))
    traces.rename(db, session_id, renamed)
    return renamed


def _replace(db: apsw.Connection, session_id: str, log: Log) -> None:
    """To the trash with the session that is here, under another id: from there it can be restored beside the new."""
    former = store.find(db, session_id)
    renamed = _rename(db, session_id)
    attendance.go_all(db, former, log.at, log.ticks)
    store.discard(db, former._replace(id=renamed), log.stay, log.actor)


def _parent(
    db: apsw.Connection, arrival: Arrival, one: ImportedSession, ids: dict[str, str], warnings: list[str]
) -> str | None:
    """Give a session its parent, whose id may be another now; that id. One that isn't here is remembered."""
    if arrival.parent_id is None:
        return None
    parent = ids.get(arrival.parent_id, arrival.parent_id)
    if _place_of(db, parent) != "here":
        _orphan(db, arrival)
        warnings.append(f"{one.id} has no parent: {arrival.parent_id} is not in the document, and not here")
        return None
    db.execute("UPDATE session SET parent_id = ? WHERE seq = ?", (parent, arrival.seq))
    return parent


def _check_descent(
    db: apsw.Connection, arrival: Arrival, one: ImportedSession, parent: str, warnings: list[str]
) -> None:
    """A parent that was here before may descend from what has just come, or have too many ancestors."""
    try:
        store.check_parent(db, parent, one.id)
    except KeptError as refusal:
        _orphan(db, arrival)
        warnings.append(f"{one.id} has no parent: {refusal.message}")


def _orphan(db: apsw.Connection, arrival: Arrival) -> None:
    """Let a session have no parent, and remember which it had, for the next export."""
    rows: list[tuple[Any, ...]] = db.execute("SELECT extra FROM session WHERE seq = ?", (arrival.seq,)).fetchall()
    [(stored,)] = rows
    extra = encode_extra(msgspec.structs.replace(decode_extra(stored), parent_id=arrival.parent_id))
    db.execute("UPDATE session SET parent_id = NULL, extra = ? WHERE seq = ?", (extra, arrival.seq))
