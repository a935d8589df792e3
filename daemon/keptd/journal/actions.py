"""The table `action`: what was done. A row is never changed."""

from __future__ import annotations

import apsw
from msgspec import Raw

from kept.wire import Page
from kept.wire.journal import Action, ActionId, ListActions, LogAction

from ..clock import to_time
from ..store.ids import new_id
from ..store.pages import Order, page
from ..store.values import encode_value
from .listing import END, Filter, Row, Table, at_hand, count_at_hand, newest

TABLE = Table("action", "seq, id, action, details, project, session_id, created_at, actor")

_ORDER = Order("action.list", int)


def log(db: apsw.Connection, call: LogAction, at: int, actor: str) -> Action:
    """Record it. Raises `TooLarge` naming `details`."""
    (row,) = db.execute(
        "INSERT INTO action (id, action, details, project, session_id, created_at, latest_at, actor) "
        "VALUES (:id, :action, :details, :project, :session_id, :at, "
        f"{TABLE.latest}, :actor) "
        f"RETURNING {TABLE.columns}",
        {
            "id": new_id(),
            "action": call.action,
            "details": encode_value("details", call.details),
            "project": call.project,
            "session_id": call.session_id,
            "at": at,
            "actor": actor,
        },
    )
    return _action(row)


def listed(db: apsw.Connection, call: ListActions) -> Page[Action]:
    """A page, newest first. Raises `InvalidParams` naming `cursor`."""
    (before,) = _ORDER.after(call.cursor) or (END,)
    rows = newest(db, TABLE, Filter(project=call.project, since=call.since), before, call.limit + 1)
    return page(rows, call.limit, _action, lambda row: _ORDER.cursor(row[0]))


def recent(db: apsw.Connection, project: str | None, limit: int) -> list[Action]:
    """The newest of the project and of none."""
    return [_action(row) for row in at_hand(db, TABLE, project, None, limit)]


def count(db: apsw.Connection, project: str | None, limit: int) -> int:
    """How many there are of the project and of none, counted up to `limit`."""
    return count_at_hand(db, TABLE, project, None, limit)


def last(db: apsw.Connection) -> int:
    """The highest sequence that an action was ever given; 0 where there was none."""
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'action'").fetchone()
    return int(row[0]) if row is not None else 0


def id_at(db: apsw.Connection, seq: int) -> ActionId | None:
    """The id of the action with that sequence; None where there is none in the table."""
    row = db.execute("SELECT id FROM action WHERE seq = ?", (seq,)).fetchone()
    return ActionId(row[0]) if row is not None else None


def after(db: apsw.Connection, seq: int, limit: int) -> list[tuple[int, Action]]:
    """Up to `limit` actions after the sequence `seq`, oldest first, each with its sequence."""
    rows = db.execute(f"SELECT {TABLE.columns} FROM action WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit))
    return [(row[0], _action(row)) for row in rows]


def _action(row: Row) -> Action:
    return Action(
        id=ActionId(row[1]),
        action=row[2],
        details=Raw(row[3]),
        project=row[4],
        session_id=row[5],
        created_at=to_time(row[6]),
        actor=row[7],
    )
