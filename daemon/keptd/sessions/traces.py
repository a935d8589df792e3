"""What is said of a session outside of the room's own tables: labels in the change log, results in receipts.

When a session is removed for good, so is what its title was, and what was said in it. What stays is that something
happened: when, by whom, and to which id. Single words stay in the text indexes' files until `maintenance.optimize`
merges them, once a day; backups that were made before have all of it.
"""

from __future__ import annotations

from typing import Any

import apsw

from ..store import changes, receipts

_MANY = 100_000
_REMOVED = "SELECT id FROM session_gone WHERE id NOT IN (SELECT id FROM session)"


def remove(db: apsw.Connection, session_id: str, limit: int) -> bool:
    """Remove up to `limit` changes' labels, and as many receipts' results; whether there may be more."""
    labels = changes.anonymize(db, session_id, limit)
    results = receipts.empty(db, session_id, limit)
    return max(labels, results) == limit


def rename(db: apsw.Connection, former: str, session_id: str) -> None:
    """Let what is said of a session follow it to another id."""
    changes.rename(db, former, session_id)
    receipts.rename(db, former, session_id)


def settle(db: apsw.Connection) -> None:
    """After a recovery: remove what a backup has brought back of sessions that were removed for good.

    One whose row is merely lost is not among them: what is said of it may be all that is left.
    """
    found: list[tuple[Any, ...]] = db.execute(_REMOVED).fetchall()
    for (session_id,) in found:
        while remove(db, session_id, _MANY):
            continue
