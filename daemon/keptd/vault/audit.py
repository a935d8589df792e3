"""The audit list: who did what to which entry, and how it went. Owns the table `vault_audit`.

It holds ids, never a name or a value, and can be read while the vault is locked. A change, a refusal and an unlock are
in it when they are answered. The answer to a mere look waits for no commit (`audit_queue`): what a killed daemon leaves
out is the looks of its last moments. On a full disk looks and refusals go on and leave nothing but a line in the log;
so does an unlock that not even the room that is held back for a full disk can take.

It is bounded for each action by itself: who lists or searches without end pushes out older lists and searches, and
neither a secret that was told nor a wrong password.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import apsw

from kept.wire import Actor, Page
from kept.wire.vault import Access

from ..clock import to_time
from ..domain import Carry
from ..store.pages import Order, page

ORDER = Order("vault.audit", int)

_COLUMNS = "seq, at, action, entry_id, outcome, client, kind, uid, pid"

_ACTIONS = """
    WITH RECURSIVE each(action) AS (
        SELECT min(action) FROM vault_audit
        UNION ALL
        SELECT (SELECT min(action) FROM vault_audit WHERE action > each.action) FROM each WHERE each.action IS NOT NULL
    )
    SELECT action FROM each WHERE action IS NOT NULL
"""
"""Each once, with one look at the index for each."""

_FIRST_BEHIND = "SELECT seq FROM vault_audit WHERE action = ? ORDER BY seq DESC LIMIT 1 OFFSET ?"
_FORGET = (
    "DELETE FROM vault_audit WHERE seq IN "
    "(SELECT seq FROM vault_audit WHERE action = ? AND seq <= ? ORDER BY seq LIMIT ?)"
)


class Note(NamedTuple):
    """What is written down; `revision` is what a change made of the entry (0: it is gone) or, without one, the counter
    that the vault had then."""

    action: str
    entry_id: str | None = None
    outcome: str = "ok"
    revision: int | None = None


def add(db: apsw.Connection, now: int, caller: Actor, note: Note) -> None:
    """Write one down."""
    db.execute(
        "INSERT INTO vault_audit (at, action, entry_id, revision, outcome, client, kind, uid, pid) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            now,
            note.action,
            note.entry_id,
            note.revision,
            note.outcome,
            caller.client,
            caller.kind,
            caller.uid,
            caller.pid,
        ),
    )


def listed(
    db: apsw.Connection, entry_id: str | None, action: str | None, limit: int, cursor: str | None
) -> Page[Access]:
    """A page, newest first. Raises `InvalidParams` naming `cursor`."""
    position = ORDER.after(cursor)
    given: list[Any] = [] if position is None else list(position)
    where = ["seq < ?"] if position is not None else []
    if entry_id is not None:
        where.append("entry_id = ?")
        given.append(entry_id)
    if action is not None:
        # Of one entry there are few: its index serves, and leaves the order to that of the rows.
        where.append("+action = ?" if entry_id is not None else "action = ?")
        given.append(action)
    sql = f"SELECT {_COLUMNS} FROM vault_audit WHERE {' AND '.join(where) or 'TRUE'} ORDER BY seq DESC LIMIT ?"
    return page(db.execute(sql, (*given, limit + 1)), limit, _access, _cursor)


class Last(NamedTuple):
    """What the list tells last of what is stored, as far as it goes back: the vault's counter (0 where it tells none),
    and each entry's revision (0 for one that is gone)."""

    counter: int
    revisions: dict[str, int]


def last(db: apsw.Connection) -> Last:
    """Reads the list from one end to the other."""
    rows = db.execute(
        "SELECT CAST(entry_id AS BLOB), revision FROM vault_audit WHERE revision IS NOT NULL ORDER BY seq"
    )
    newest: dict[bytes | None, int] = dict(rows)
    counter = newest.pop(None, 0)
    # An id that somebody changed may be no text any more; none of these is looked up by such a one.
    return Last(counter, {str(one, "utf-8", "backslashreplace"): at for one, at in newest.items() if one is not None})


def begin_anew(db: apsw.Connection) -> None:
    """There is another vault, or one that was made to fit again: what the list tells of revisions and counters was
    about one that is lost."""
    db.execute("UPDATE vault_audit SET revision = NULL WHERE revision IS NOT NULL")


def going_on(db: apsw.Connection) -> Carry:
    """What the list has, for a database that takes the place of this one, be it a backup or an import: to go back
    undoes changes, and not that somebody saw a secret. A line that is there already isn't written again; one whose
    number another has gets a new one. Revisions stay behind, since those that they tell of may not be stored there."""
    before = _lines(db)

    def carry(successor: apsw.Connection) -> None:
        there = _lines(successor)
        successor.executemany(
            f"INSERT INTO vault_audit ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            ((None if seq in there else seq, *line) for seq, line in before.items() if there.get(seq) != line),
        )

    return carry


def _lines(db: apsw.Connection) -> dict[int, tuple[Any, ...]]:
    return {seq: tuple(line) for seq, *line in db.execute(f"SELECT {_COLUMNS} FROM vault_audit ORDER BY seq")}


def trim(db: apsw.Connection, before: int, rows: int, limit: int) -> int:
    """Forget up to `limit` of what is from before a time (microseconds since 1970), or behind the newest `rows` of its
    action; how many. Of what is too old it ends at the first that isn't, so that the clock's having been set keeps some
    longer."""
    db.execute(
        "DELETE FROM vault_audit WHERE seq IN "
        "(SELECT seq FROM (SELECT seq, at FROM vault_audit ORDER BY seq LIMIT ?1) WHERE at < ?2)",
        (limit, before),
    )
    gone = db.changes()
    for (action,) in db.execute(_ACTIONS).fetchall():
        newest = db.execute(_FIRST_BEHIND, (action, rows)).fetchone()
        if newest is not None:
            db.execute(_FORGET, (action, newest[0], limit - gone))
            gone += db.changes()
    return gone


def _access(row: Sequence[Any]) -> Access:
    seq, at, action, entry_id, outcome, client, kind, uid, pid = row
    return Access(
        seq=seq,
        at=to_time(at),
        action=action,
        entry_id=entry_id,
        outcome=outcome,
        client=client,
        kind=kind,
        uid=uid,
        pid=pid,
    )


def _cursor(row: Sequence[Any]) -> str:
    return ORDER.cursor(int(row[0]))
