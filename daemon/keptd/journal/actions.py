"""The table `action`: what was done. A row is never changed; old ones move to the archives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import apsw
import msgspec
from msgspec import Raw

from kept.wire import Page
from kept.wire.journal import Action, ActionId, ListActions, LogAction

from ..clock import to_time
from ..store.ids import new_id
from ..store.pages import Order, page
from ..store.values import encode_value
from . import archive
from .listing import END, Filter, Row, Table, at_hand, count_at_hand, newest

TABLE = Table("action", "seq, id, action, details, project, session_id, created_at, actor")

_ORDER = Order("action.list", int)

_encode = msgspec.json.Encoder().encode


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
    """A page, newest first, from the table and behind its oldest row from the archives.

    It may end early, with a cursor, where it has looked through many archived ones that don't fit. Raises
    `InvalidParams` naming `cursor`.
    """
    (before,) = _ORDER.after(call.cursor) or (END,)
    walk = archive.Walk(archive.folder_of(db), call.project, call.since)

    def rows() -> Iterator[Row]:
        yield from newest(db, TABLE, Filter(project=call.project, since=call.since), before, call.limit + 1)
        yield from walk.below(min(before, _oldest(db)))

    found = page(rows(), call.limit, _action, lambda row: _ORDER.cursor(row[0]))
    if found.next_cursor is None and walk.left_at is not None:
        return Page(items=found.items, next_cursor=_ORDER.cursor(walk.left_at))
    return found


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
    """Up to `limit` actions after the sequence `seq`, archived ones as well, oldest first, each with its sequence."""
    oldest = _oldest(db)
    rows = archive.after(archive.folder_of(db), seq, oldest, limit) if seq + 1 < oldest else []
    if not rows:
        rows = db.execute(
            f"SELECT {TABLE.columns} FROM action WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit)
        ).fetchall()
    return [(row[0], _action(row)) for row in rows]


class Moved(NamedTuple):
    """What went into a month's archive: how many actions, the last of them at the place `last`."""

    month: str
    actions: int
    last: int


def move_out(db: apsw.Connection, before: int, tell: Callable[[int], None]) -> list[Moved]:
    """Write all actions from before a time (microseconds) into their months' archives; `forget` may follow.

    In one read transaction of `db`. The newest action always stays. `tell` takes how many of a month are written.
    Raises OSError and `DamagedArchive`; what is in an archive by then is still in the table.
    """
    folder = archive.folder_of(db)
    archive.cut(
        folder, _oldest(db), lambda found: bool(db.execute("SELECT 1 FROM action WHERE id = ?", (found,)).fetchone())
    )
    rows = db.execute(
        f"SELECT strftime('%Y-%m', latest_at / 1000000, 'unixepoch'), {TABLE.columns} FROM action "
        "WHERE seq < (SELECT max(seq) FROM action) AND seq < ifnull((SELECT seq FROM action INDEXED BY action_by_time "
        "WHERE latest_at >= ? ORDER BY latest_at, seq LIMIT 1), ?) ORDER BY seq",
        (before, END),
    )
    return [_append(folder, month, of_month, tell) for month, of_month in groupby(rows, key=lambda row: str(row[0]))]


def _append(folder: Path, month: str, rows: Iterator[Row], tell: Callable[[int], None]) -> Moved:
    last = count = 0

    def lines() -> Iterator[bytes]:
        nonlocal last, count
        for _, *row in rows:
            last, count = row[0], count + 1
            tell(count)
            yield _encode({"seq": last, "action": _action(tuple(row))})

    archive.append(folder, month, lines())
    return Moved(month, count, last)


def forget(db: apsw.Connection, last: int, limit: int) -> int:
    """Remove up to `limit` of the oldest actions, up to the place `last`, that are in an archive; how many."""
    db.execute(
        "DELETE FROM action WHERE seq IN (SELECT seq FROM action WHERE seq <= ? ORDER BY seq LIMIT ?)", (last, limit)
    )
    return int(db.changes())


def _oldest(db: apsw.Connection) -> int:
    """The place of the oldest in the table; `END` where it is empty."""
    [(seq,)] = db.execute("SELECT ifnull(min(seq), ?) FROM action", (END,))
    return int(seq)


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
