"""The lists: which index serves which filters. All of the SQL of `session.list` and `message.list`.

Sessions in order of activity merge one walk of an index for each status. Those with a tag, and the children of a
session, come in the order in which they were begun. Messages have numbers without a gap, so that a page at any depth
begins with one look into the index.
"""

from __future__ import annotations

from typing import Any, get_args

import apsw

from kept.wire import Page
from kept.wire.message import ListMessages, Message
from kept.wire.session import ListSessions, Session, Status

from ..store.pages import Order, is_long, page
from . import store
from .rows import MESSAGE, SESSION, MessageRow, SessionRow, message, session

ACTIVE = Order("session.list active", int, int)
BEGUN = Order("session.list begun", int)
NEWEST = Order("message.list newest", int)
OLDEST = Order("message.list oldest", int)

UNASKED = ("active", "closed")
"""The statuses that a list shows unless it is asked for one."""

_STATUSES: tuple[str, ...] = get_args(Status)
_LAST = 2**63 - 1


def heavy(call: ListSessions) -> bool:
    """Whether a list may pass over many sessions, because it has more filters than one index serves, or is long."""
    return is_long(call) or call.tag is not None or call.parent_id is not None


def sessions(db: apsw.Connection, call: ListSessions) -> Page[Session]:
    """A page. Raises `InvalidParams` naming `cursor`. More than one SELECT: run it in a snapshot."""
    by_activity = call.tag is None and call.parent_id is None
    sql, given = (active_query if by_activity else begun_query)(call)
    rows = [SessionRow._make(row) for row in db.execute(sql, given)]
    there = store.attached(db, [row.seq for row in rows])

    def build(row: SessionRow) -> Session:
        return session(row, there.get(row.seq, ()))

    def cursor(row: SessionRow) -> str:
        return ACTIVE.cursor(row.active_at, row.seq) if by_activity else BEGUN.cursor(row.seq)

    return page(rows, call.limit, build, cursor)


def active_query(call: ListSessions) -> tuple[str, dict[str, Any]]:
    """The statement of a list in order of activity, and its bindings."""
    active_at, seq = ACTIVE.after(call.cursor) or (_LAST, _LAST)
    index = "session_by_status" if call.project is None else "session_by_project"
    narrow = "" if call.project is None else "project = :project AND "
    arms = [
        f"SELECT active_at, seq FROM session INDEXED BY {index} "
        f"WHERE {narrow}place = 'here' AND status = '{status}' AND (active_at, seq) < (:active_at, :seq)"
        for status in _wanted(call)
    ]
    merged = " UNION ALL ".join(arms) + " ORDER BY active_at DESC, seq DESC LIMIT :limit"
    sql = (
        f"SELECT {SESSION} FROM ({merged}) AS found CROSS JOIN session AS s ON s.seq = found.seq "
        "ORDER BY found.active_at DESC, found.seq DESC"
    )
    return sql, {"active_at": active_at, "seq": seq, "project": call.project, "limit": call.limit + 1}


def begun_query(call: ListSessions) -> tuple[str, dict[str, Any]]:
    """The statement of a list in the order in which sessions were begun, and its bindings."""
    (seq,) = BEGUN.after(call.cursor) or (_LAST,)
    statuses = ", ".join(f"'{status}'" for status in _wanted(call))
    where = ["s.place = 'here'", f"s.status IN ({statuses})"]
    if call.project is not None:
        where.append("s.project = :project")
    if call.tag is None:
        source, by = "session AS s INDEXED BY session_by_parent", "s.seq"
        where.append("s.parent_id = :parent_id")
    else:
        source, by = "session_tag AS t CROSS JOIN session AS s ON s.seq = t.session", "t.session"
        where.append("t.tag = :tag")
        if call.parent_id is not None:
            where.append("s.parent_id = :parent_id")
    return (
        f"SELECT {SESSION} FROM {source} WHERE {' AND '.join(where)} AND {by} < :seq ORDER BY {by} DESC LIMIT :limit",
        {
            "seq": seq,
            "project": call.project,
            "parent_id": call.parent_id,
            "tag": call.tag,
            "limit": call.limit + 1,
        },
    )


def _wanted(call: ListSessions) -> tuple[str, ...]:
    return UNASKED if call.status is None else tuple(status for status in _STATUSES if status == call.status)


def messages(db: apsw.Connection, call: ListMessages) -> Page[Message]:
    """A page of a session that is here. Raises `NotFound`, and `InvalidParams` naming `cursor`."""
    found = store.find(db, call.session_id)
    oldest_first = call.order == "oldest" or (call.order is None and call.after is not None)
    first, last = (call.after or 0) + 1, found.messages if call.before is None else call.before - 1
    order = OLDEST if oldest_first else NEWEST
    position = order.after(call.cursor)
    # A cursor is sent with the parameters of its first page, which has passed over the offset already.
    if oldest_first:
        first = first + call.offset if position is None else max(first, position[0] + 1)
    else:
        last = min(last, found.messages) - call.offset if position is None else min(last, position[0] - 1)
    sql, given = between_query(found.seq, first, last, call.limit + 1, oldest_first=oldest_first)
    rows = [MessageRow._make(row) for row in db.execute(sql, given)]
    return page(rows, call.limit, lambda row: message(row, found.id), lambda row: order.cursor(row.number))


def between_query(
    session_seq: int, first: int, last: int, limit: int, *, oldest_first: bool
) -> tuple[str, tuple[int, ...]]:
    """The statement that finds up to `limit` messages with numbers from `first` to `last`, in either order, and its
    bindings."""
    direction = "ASC" if oldest_first else "DESC"
    sql = (
        f"SELECT {MESSAGE} FROM message AS m WHERE m.session = ? AND m.number BETWEEN ? AND ? "
        f"ORDER BY m.number {direction} LIMIT ?"
    )
    return sql, (session_seq, first, last, limit)
