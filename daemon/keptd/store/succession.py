"""Succession: what a database must take over from the one whose place it takes, so that those who follow it, and those
who repeat a write, are not misled.

- Sequences go on: no number that was ever given is given again, so that a place in the change log, a cursor or a mirror
  of a table stays right.
- Receipts go along: a write that was acknowledged before, and is repeated because its reply was lost, gets its first
  result and changes nothing. To go back was to undo it; it must not be done again by a retry that knows nothing of
  that.
- The count of time goes on from the last look here, so that nothing in the trash has less time left than it had
  (`ages`).
- Tables that mean something on this machine alone stay as they are: a job that was paused is not resumed by going back,
  and one that has run is not due again. Those that say something of the connections of now, such as who is attached,
  say the same of what comes (`Domain.succession`).
- A list of what happened goes on (`Domain.going_on`): who saw a secret has seen it. What was taken back since,
  such as a right to see one, stays so.
- A row in the change log, past all that were there, says what happened.
"""

from __future__ import annotations

from collections.abc import Iterable

import apsw

from kept.wire import Actor
from kept.wire.event import DATABASE

from ..domain import Domain
from . import ages, receipts
from .changes import ChangeLog


def succeed(
    predecessor: apsw.Connection,
    successor: apsw.Connection,
    rooms: Iterable[Domain],
    log: tuple[int, Actor, str],
    entity_id: str,
) -> int:
    """Make `successor`, which has the same schema, ready to take the place of `predecessor`, in one transaction.

    `log` is when (microseconds since 1970), by whom and with which method; returns the sequence of the change.
    """
    with successor:
        for table, seq in predecessor.execute("SELECT name, seq FROM sqlite_sequence"):
            _go_on(successor, str(table), int(seq))
        receipts.carry(predecessor, successor)
        _carry(predecessor, successor, ages.LOOK)
        for room in rooms:
            if room.going_on is not None:
                room.going_on(predecessor)(successor)
            if room.succession is not None:
                room.succession(predecessor)(successor)
                continue
            for table in room.local_tables:
                _carry(predecessor, successor, table)
        changes = ChangeLog(successor, *log)
        changes.add(DATABASE, entity_id, entity_id)
    return changes.last_seq


def _carry(predecessor: apsw.Connection, successor: apsw.Connection, table: str) -> None:
    listed = successor.execute("SELECT name FROM pragma_table_info(?) ORDER BY cid", (table,)).fetchall()
    columns = ", ".join(str(name) for (name,) in listed)
    successor.execute(f"DELETE FROM {table}")
    rows = predecessor.execute(f"SELECT {columns} FROM {table}")
    successor.executemany(f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(listed))})", rows)


def _go_on(db: apsw.Connection, table: str, seq: int) -> None:
    db.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", (seq, table))
    if not db.changes():
        db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, seq))
