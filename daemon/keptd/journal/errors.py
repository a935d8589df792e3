"""The table `error`: what went wrong. Only its resolution changes; former ones are kept."""

from __future__ import annotations

import apsw
from msgspec import Raw

from kept.wire import Page
from kept.wire.journal import ErrorId, ListErrors, RecordedError, RecordError, ResolveError

from ..clock import to_time
from ..store.ids import new_id
from ..store.pages import Order, page
from ..store.values import encode_value
from .listing import END, Filter, Row, Table, at_hand, count_at_hand, newest
from .resolving import resolve as resolve_row
from .rules import former

TABLE = Table(
    "error",
    "seq, id, error, context, resolution, former_resolutions, project, session_id, created_at, updated_at, version, "
    "actor, status",
)

_ORDER = Order("error.list", int)


def record(db: apsw.Connection, call: RecordError, at: int, actor: str) -> RecordedError:
    """Record it. Raises `TooLarge` naming `context`."""
    (row,) = db.execute(
        "INSERT INTO error (id, error, context, project, session_id, created_at, latest_at, updated_at, actor) "
        "VALUES (:id, :error, :context, :project, :session_id, :at, "
        f"{TABLE.latest}, :at, :actor) "
        f"RETURNING {TABLE.columns}",
        {
            "id": new_id(),
            "error": call.error,
            "context": encode_value("context", call.context),
            "project": call.project,
            "session_id": call.session_id,
            "at": at,
            "actor": actor,
        },
    )
    return _error(row)


def resolve(db: apsw.Connection, call: ResolveError, at: int, actor: str) -> RecordedError:
    """Set the resolution; a former one goes to its history. Raises `NotFound`, or `Conflict` on another version."""
    row = resolve_row(db, TABLE, "resolution", call.id, call.resolution, if_version=call.if_version, at=at, actor=actor)
    return _error(row)


def listed(db: apsw.Connection, call: ListErrors) -> Page[RecordedError]:
    """A page, newest first. Raises `InvalidParams` naming `cursor`."""
    (before,) = _ORDER.after(call.cursor) or (END,)
    narrow = Filter(project=call.project, status=call.status, since=call.since)
    rows = newest(db, TABLE, narrow, before, call.limit + 1)
    return page(rows, call.limit, _error, lambda row: _ORDER.cursor(row[0]))


def unresolved(db: apsw.Connection, project: str | None, limit: int) -> list[RecordedError]:
    """The newest unresolved ones of the project and of none."""
    return [_error(row) for row in at_hand(db, TABLE, project, "open", limit)]


def count_unresolved(db: apsw.Connection, project: str | None, limit: int) -> int:
    """How many unresolved ones there are of the project and of none, counted up to `limit`."""
    return count_at_hand(db, TABLE, project, "open", limit)


def _error(row: Row) -> RecordedError:
    return RecordedError(
        id=ErrorId(row[1]),
        status=row[12],
        error=row[2],
        context=Raw(row[3]),
        resolution=row[4],
        former_resolutions=former(row[5]),
        project=row[6],
        session_id=row[7],
        created_at=to_time(row[8]),
        updated_at=to_time(row[9]),
        version=row[10],
        actor=row[11],
    )
