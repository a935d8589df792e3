"""Who is in which session: come, gone, and what is left of those who never said that they went.

A stay is measured by the monotonic clock, so that neither a clock that is set nor a machine that sleeps falsifies it.
Where that clock is of no use, because the daemon was killed, a stay counts up to the last change in the log (the last
sign of life that is on disk), or not at all where that is older than the stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import apsw

from kept.wire import Actor
from kept.wire.errors import QuotaExceeded
from kept.wire.event import DATABASE

from ..clock import SECOND
from .rows import SessionRow

MOST = 100
"""Sessions that one connection may be in."""

_ROW = "a.seq, a.session, a.connection, a.client, a.pid, a.user, a.since, a.ticks"
_THERE = "SELECT 1 FROM session_attachment WHERE session = ? AND connection = ?"
_COUNT = "SELECT count(*) FROM session_attachment WHERE connection = ?"
_COME = (
    "INSERT INTO session_attachment (session, connection, client, pid, user, since, ticks) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_ACTIVE = "UPDATE session SET active_at = max(active_at, ?) WHERE seq = ?"
_ADD = (
    "UPDATE session SET attached_us = attached_us + ?, attachments = attachments + 1, "
    "active_at = max(active_at, ?) WHERE seq = ?"
)
_LAST_SIGN = "SELECT at FROM change WHERE entity <> ? ORDER BY seq DESC LIMIT 1"


class Stay(NamedTuple):
    """A row of `session_attachment`; `since` is in microseconds since 1970, `ticks` in those of the monotonic clock."""

    seq: int
    session: int
    connection: int
    client: str
    pid: int
    user: str | None
    since: int
    ticks: int


class Left(NamedTuple):
    """A stay that ended when the daemon could not see it, and until when it counts, in microseconds since 1970."""

    session_id: str
    label: str
    stay: Stay
    until: int


def ticks(monotonic: float) -> int:
    """The monotonic clock in whole microseconds."""
    return int(monotonic * SECOND)


def come(db: apsw.Connection, session: SessionRow, connection: int, who: Actor, now: int, at_ticks: int) -> bool:
    """Attach; False where the connection is there already. Raises `QuotaExceeded`."""
    if db.execute(_THERE, (session.seq, connection)).fetchone():
        return False
    [(count,)] = db.execute(_COUNT, (connection,))
    if count >= MOST:
        raise QuotaExceeded(
            f"this connection is attached to {MOST} sessions",
            hint="Detach from one with session.detach, or open another connection.",
            limit=MOST,
        )
    db.execute(_COME, (session.seq, connection, who.client, who.pid, who.user, now, at_ticks))
    db.execute(_ACTIVE, (now, session.seq))
    return True


def go(db: apsw.Connection, session: SessionRow, connection: int, now: int, at_ticks: int) -> bool:
    """Detach; False where the connection was not there."""
    stays = _stays(db, "a.session = ? AND a.connection = ?", (session.seq, connection))
    _end(db, stays, now, at_ticks)
    return bool(stays)


def go_all(db: apsw.Connection, session: SessionRow, now: int, at_ticks: int) -> int:
    """Detach everybody from a session; how many they were."""
    stays = _stays(db, "a.session = ?", (session.seq,))
    _end(db, stays, now, at_ticks)
    return len(stays)


def vanish(db: apsw.Connection, connection: int, now: int, at_ticks: int) -> list[tuple[str, str]]:
    """Detach a connection from all sessions; their ids and names."""
    stays = _stays(db, "a.connection = ?", (connection,))
    left = [_named(db, stay) for stay in stays]
    _end(db, stays, now, at_ticks)
    return [found for found in left if found is not None]


def settle(db: apsw.Connection, live: Iterable[Stay] = ()) -> list[Left]:
    """Detach everybody who is not among `live`, as of the last sign of life; those who were in a session that there
    is."""
    there = set(live)
    gone = [stay for stay in _stays(db) if stay not in there]
    row = db.execute(_LAST_SIGN, (DATABASE,)).fetchone()
    last = int(row[0]) if row else 0
    left = []
    for stay in gone:
        until = max(last, stay.since)
        named = _named(db, stay)
        _remove(db, stay, until - stay.since, until)
        if named is not None:
            left.append(Left(*named, stay, until))
    return left


def succession(db: apsw.Connection) -> Callable[[apsw.Connection], None]:
    """Who is attached in a database whose place another takes; what is returned has the other say the same, as far as
    it has the sessions, and nobody else attached."""
    stays = _stays(db)
    ids = {
        stay.seq: str(id_)
        for stay in stays
        for (id_,) in db.execute("SELECT id FROM session WHERE seq = ?", (stay[1],))
    }

    def carry(successor: apsw.Connection) -> None:
        settle(successor, stays)
        successor.execute("DELETE FROM session_attachment")
        for stay in stays:
            successor.execute(
                "INSERT INTO session_attachment (seq, session, connection, client, pid, user, since, ticks) "
                "SELECT ?, seq, ?, ?, ?, ?, ?, ? FROM session WHERE id = ? AND place = 'here'",
                (stay.seq, *stay[2:], ids.get(stay.seq)),
            )

    return carry


def _stays(db: apsw.Connection, where: str = "true", given: tuple[int, ...] = ()) -> list[Stay]:
    rows = db.execute(f"SELECT {_ROW} FROM session_attachment AS a WHERE {where} ORDER BY a.seq", given)
    return [Stay._make(row) for row in rows]


def _named(db: apsw.Connection, stay: Stay) -> tuple[str, str] | None:
    for id_, title in db.execute("SELECT id, title FROM session WHERE seq = ?", (stay.session,)):
        return str(id_), str(title) or str(id_)
    return None


def _end(db: apsw.Connection, stays: Iterable[Stay], now: int, at_ticks: int) -> None:
    for stay in stays:
        _remove(db, stay, max(0, at_ticks - stay.ticks), now)


def _remove(db: apsw.Connection, stay: Stay, stayed: int, at: int) -> None:
    db.execute("DELETE FROM session_attachment WHERE seq = ?", (stay.seq,))
    db.execute(_ADD, (stayed, at, stay.session))
