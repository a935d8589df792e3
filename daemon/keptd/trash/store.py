"""The table `trash`: snapshots of what was deleted. Other rooms put theirs in with `put`."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import apsw
import msgspec

from kept.wire import Page
from kept.wire.errors import NotFound
from kept.wire.trash import ListTrash, Trashed, TrashId

from ..clock import DAY, Clock, to_time
from ..config import Trash
from ..store import ages
from ..store.ids import new_id
from ..store.pages import Order, page

_END = 2**63 - 1
_COLUMNS = "seq, id, entity, entity_id, label, deleted_at, purge_at, actor"
_ORDER = Order("trash.list", int)

_encode = msgspec.json.Encoder().encode


class Deleted(NamedTuple):
    """What a room puts into the trash: the type of the entity, its id, a name for people, and what it was, as
    anything that JSON can hold."""

    entity: str
    entity_id: str
    label: str
    snapshot: Any


class Gone(NamedTuple):
    """What left the trash for good: the type of the entity and its id."""

    entity: str
    entity_id: str


class Removed(NamedTuple):
    """An entry of the trash with all that was in it; `snapshot` is JSON."""

    shown: Trashed
    snapshot: str


class Stay(NamedTuple):
    """When something came into the trash, by the wall clock, and until when it stays, by counted time (`store.ages`);
    both in microseconds."""

    at: int
    until: int


def stay(db: apsw.Connection, clock: Clock, keep_days: int) -> Stay:
    """For what is deleted now."""
    return Stay(clock.now(), ages.now(db, clock) + keep_days * DAY)


def put(db: apsw.Connection, what: Deleted, stay: Stay, actor: str) -> None:
    """Keep what is being deleted."""
    db.execute(
        "INSERT INTO trash (id, entity, entity_id, label, snapshot, deleted_at, purge_at, actor) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            new_id(),
            what.entity,
            what.entity_id,
            what.label,
            _encode(what.snapshot).decode(),
            stay.at,
            stay.until,
            actor,
        ),
    )


def listed(db: apsw.Connection, call: ListTrash, ahead: int) -> Page[Trashed]:
    """A page, newest first; the wall clock is `ahead` of the count by so many microseconds.

    Raises `InvalidParams` naming `cursor`.
    """
    (before,) = _ORDER.after(call.cursor) or (_END,)
    sql, bindings = list_query(call.entity, before, call.limit + 1)
    return page(
        db.execute(sql, bindings), call.limit, partial(_trashed, ahead=ahead), lambda row: _ORDER.cursor(row[0])
    )


def list_query(entity: str | None, before: int, limit: int) -> tuple[str, dict[str, Any]]:
    """The statement of `listed` and its bindings."""
    narrow = "entity = :entity AND " if entity is not None else ""
    return (
        f"SELECT {_COLUMNS} FROM trash WHERE {narrow}seq < :before ORDER BY seq DESC LIMIT :limit",
        {"entity": entity, "before": before, "limit": limit},
    )


def take(db: apsw.Connection, trash_id: str, ahead: int) -> Removed:
    """Take one out; `ahead` as in `listed`. Raises `NotFound`."""
    rows = db.execute(f"DELETE FROM trash WHERE id = ? RETURNING {_COLUMNS}, snapshot", (trash_id,)).fetchall()
    if not rows:
        raise NotFound("there is no such thing in the trash", hint="trash.list shows what can be restored.")
    return Removed(_trashed(rows[0], ahead), str(rows[0][-1]))


def empty(db: apsw.Connection, before: int | None) -> list[Gone]:
    """Remove all, or what was deleted before a time (microseconds); what it was."""
    if before is None:
        rows = db.execute("DELETE FROM trash RETURNING entity, entity_id")
    else:
        rows = db.execute("DELETE FROM trash WHERE deleted_at < ? RETURNING entity, entity_id", (before,))
    return list(map(Gone._make, rows))


def purge(db: apsw.Connection, counted: int, limit: int) -> list[Gone]:
    """Remove up to `limit` of those whose time has come when so much is counted; what they were."""
    rows = db.execute(
        "DELETE FROM trash WHERE seq IN (SELECT seq FROM trash WHERE purge_at <= ? ORDER BY purge_at LIMIT ?) "
        "RETURNING entity, entity_id",
        (counted, limit),
    )
    return list(map(Gone._make, rows))


def derive(db: apsw.Connection) -> None:
    """Where a recovery lost the count of time, go on from when the oldest entry came: none leaves early."""
    if ages.last(db) is not None:
        return
    for (until,) in db.execute("SELECT min(purge_at) FROM trash HAVING min(purge_at) IS NOT NULL"):
        ages.resume(db, int(until) - Trash().keep_days * DAY)


def held(db: apsw.Connection, entity: str) -> list[str]:
    """The ids of all entities of a type that are in the trash."""
    return [str(entity_id) for (entity_id,) in db.execute("SELECT entity_id FROM trash WHERE entity = ?", (entity,))]


def _trashed(row: tuple[Any, ...], ahead: int) -> Trashed:
    return Trashed(
        id=TrashId(row[1]),
        entity=row[2],
        entity_id=row[3],
        label=row[4],
        deleted_at=to_time(row[5]),
        purge_at=to_time(row[6] + ahead),
        actor=row[7],
    )
