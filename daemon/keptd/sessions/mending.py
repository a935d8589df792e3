"""Setting right what no longer fits together, in a database that was put together again after damage.

Messages without their session get a new one, unless theirs had been removed for good. A session from a backup has what
was said since: its counts, its activity and the title that it takes from its messages are made right. Numbers become
dense, and what the trash holds is in its place.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import apsw

from ..clock import DAY
from ..config import Trash
from ..store import ages, changes
from ..store.changes import Recorded
from ..store.ids import new_id
from ..trash import store as trash
from . import counts, messages, store, traces
from .rules import title_from

_ORPHANED = """
    SELECT m.session, m.content, m.created_at
    FROM (SELECT session, min(number) AS number FROM message GROUP BY session) AS first
    CROSS JOIN message AS m ON m.session = first.session AND m.number = first.number
    WHERE NOT EXISTS (SELECT 1 FROM session AS s WHERE s.seq = first.session)
"""
_ADOPT = (
    "INSERT INTO session (seq, id, title, status, metadata, tags, active_at, created_at, updated_at, actor) "
    "SELECT :seq, :id, :title, 'active', 'null', '[]', max(created_at), :at, :at, 'keptd' FROM message "
    "WHERE session = :seq"
)
_GONE = """
    INSERT OR IGNORE INTO session_gone
    SELECT number, entity_id FROM change WHERE method = 'session.remove' AND number IS NOT NULL
"""
_GAPS = "SELECT session FROM message GROUP BY session HAVING max(number) <> count(*)"


def mend(db: apsw.Connection) -> None:
    """Set everything right but the indexes."""
    # Each of the two may be older than the other.
    db.execute(_GONE)
    db.execute("DELETE FROM message WHERE session IN (SELECT seq FROM session_gone)")
    db.execute("DELETE FROM session WHERE seq IN (SELECT seq FROM session_gone)")
    traces.settle(db)
    orphaned: list[tuple[Any, ...]] = db.execute(_ORPHANED).fetchall()
    for seq, content, at in orphaned:
        db.execute(_ADOPT, {"seq": seq, "id": new_id(), "title": title_from(content), "at": at})
    with_gaps: list[tuple[Any, ...]] = db.execute(_GAPS).fetchall()
    for (seq,) in with_gaps:
        _number(db, seq)
    all_of_them: list[tuple[Any, ...]] = db.execute("SELECT seq FROM session").fetchall()
    for (seq,) in all_of_them:
        counts.recount(db, seq)
    db.execute("UPDATE session SET active_at = last_message_at WHERE last_message_at > active_at")
    untitled: list[tuple[Any, ...]] = db.execute("SELECT seq FROM session WHERE title = '' AND messages").fetchall()
    for (seq,) in untitled:
        _entitle(db, seq)
    _place(db)


def _number(db: apsw.Connection, session: int) -> None:
    """Close the gaps in the numbers of a session."""
    rows = db.execute("SELECT seq, number FROM message WHERE session = ? ORDER BY number", (session,)).fetchall()
    for number, (seq, present) in enumerate(rows, 1):
        if present != number:
            db.execute("UPDATE message SET number = ? WHERE seq = ?", (number, seq))


def _entitle(db: apsw.Connection, session: int) -> None:
    """Give a session the title that it takes from what was said first."""
    db.execute("UPDATE session SET title = ? WHERE seq = ?", (messages.title(db, session), session))


def _place(db: apsw.Connection) -> None:
    """Put sessions where the trash and the change log say that they are, since each may be older than the other.

    One that the trash has lost is put into it anew: there it can be restored, or be let go.
    """
    held = set(trash.held(db, store.TRASHED))
    emptied = changes.recorded(db, "trash.empty", "session")
    # An import may have given the id of one that was let go to another since.
    imported = changes.recorded(db, "session.import", "session")
    again = {one for one, at in imported.items() if one in emptied and at.seq > emptied[one].seq}
    _put(db, "going", emptied.keys() - held - again)
    _put(db, "trash", held)
    restored = changes.recorded(db, "trash.restore", "session")
    deleted = changes.recorded(db, "session.delete", "session")
    unknown = Recorded(0, changes.last_at(db))
    left: list[tuple[Any, ...]] = db.execute("SELECT id, title, actor FROM session WHERE place = 'trash'").fetchall()
    for session_id, title, actor in left:
        went = deleted.get(session_id, unknown)
        if session_id in held:
            continue
        if session_id in restored and restored[session_id].seq > went.seq:
            _put(db, "here", [session_id])
        else:
            gone = store.trashed(session_id, title or session_id)
            until = max(ages.last(db) or 0, went.at) + Trash().keep_days * DAY
            trash.put(db, gone, trash.Stay(went.at, until), actor)


def _put(db: apsw.Connection, place: str, session_ids: Iterable[str]) -> None:
    db.executemany(
        "UPDATE session SET place = ? WHERE id = ? AND place <> 'staged'", [(place, one) for one in session_ids]
    )
