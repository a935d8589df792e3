"""The sessions: found, begun, changed, moved to the trash and back. Messages are `messages`'s, lists are `lists`'s."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import apsw

from kept.wire.errors import Conflict, NotFound
from kept.wire.session import Attendee, Session

from ..clock import to_time
from .rows import SESSION, SessionRow, decode_tags, session
from .schema import SESSION_TEXT

_BY_ID = f"SELECT {SESSION} FROM session AS s WHERE s.id = ? AND s.place = ?"
_ATTACHED = (
    "SELECT session, client, pid, user, since FROM session_attachment "
    "WHERE session IN (SELECT value FROM json_each(?)) ORDER BY seq"
)
_INSERT = (
    "INSERT INTO session (id, title, parent_id, project, status, summary, max_context_messages, metadata, tags, "
    "active_at, created_at, updated_at, actor) VALUES (?, ?, ?, ?, 'active', NULL, ?, ?, ?, ?, ?, ?, ?)"
)
_REPLACE = (
    "UPDATE session SET title = ?, parent_id = ?, project = ?, status = ?, summary = ?, max_context_messages = ?, "
    "metadata = ?, tags = ?, active_at = ?, updated_at = ?, closed_at = ?, version = ?, actor = ? WHERE seq = ?"
)
_ANCESTOR = """
    WITH RECURSIVE up (id, parent_id) AS (
        SELECT id, parent_id FROM session WHERE id = :start
        UNION SELECT s.id, s.parent_id FROM up JOIN session AS s ON s.id = up.parent_id
    ) SELECT 1 FROM up WHERE id = :wanted
"""

DEEPEST = 1000
"""Sessions in one line of descent. Past it a session can't have children."""


def find(db: apsw.Connection, session_id: str, place: str = "here") -> SessionRow:
    """The row of a session. Raises `NotFound`."""
    for row in db.execute(_BY_ID, (session_id, place)):
        return SessionRow._make(row)
    raise NotFound("there is no such session", hint="session.list shows those that there are.")


def get(db: apsw.Connection, session_id: str) -> Session:
    """A session, with who is there. Raises `NotFound`."""
    return shown(db, find(db, session_id))


def shown(db: apsw.Connection, row: SessionRow) -> Session:
    """The wire's session of a row."""
    return session(row, attached(db, [row.seq]).get(row.seq, ()))


def attached(db: apsw.Connection, sessions: Iterable[int]) -> dict[int, list[Attendee]]:
    """Who is attached to which of the sessions, those who came first first."""
    found: dict[int, list[Attendee]] = {}
    wanted = f"[{','.join(map(str, sessions))}]"
    for seq, client, pid, user, since in db.execute(_ATTACHED, (wanted,)):
        found.setdefault(seq, []).append(Attendee(client=client, pid=pid, user=user, since=to_time(since)))
    return found


def insert(db: apsw.Connection, row: SessionRow) -> SessionRow:
    """Begin a session. `row.seq` is not used: the session gets the next."""
    db.execute(
        _INSERT,
        (
            row.id,
            row.title,
            row.parent_id,
            row.project,
            row.max_context_messages,
            row.metadata,
            row.tags,
            row.active_at,
            row.created_at,
            row.updated_at,
            row.actor,
        ),
    )
    begun = row._replace(seq=db.last_insert_rowid())
    index(db, begun)
    return begun


def replace(db: apsw.Connection, former: SessionRow, row: SessionRow) -> None:
    """Change what is said about a session; its messages and their counts stay."""
    db.execute(
        _REPLACE,
        (
            row.title,
            row.parent_id,
            row.project,
            row.status,
            row.summary,
            row.max_context_messages,
            row.metadata,
            row.tags,
            row.active_at,
            row.updated_at,
            row.closed_at,
            row.version,
            row.actor,
            row.seq,
        ),
    )
    if (former.title, former.summary, former.tags, former.project) != (row.title, row.summary, row.tags, row.project):
        unindex(db, former)
        index(db, row)


def retitle(db: apsw.Connection, row: SessionRow, title: str) -> None:
    """Let a session be found by the title that it took from what was said in it."""
    SESSION_TEXT.remove(db, row.seq)
    _index_text(db, row._replace(title=title))


def move(db: apsw.Connection, row: SessionRow, place: str) -> None:
    """Put a session into another place, with all that is in it."""
    db.execute("UPDATE session SET place = ? WHERE seq = ?", (place, row.seq))
    if place == "here":
        index(db, row)
    else:
        unindex(db, row)


def check_parent(db: apsw.Connection, parent_id: str, child_id: str | None = None) -> None:
    """Raises `NotFound` where there is no such session, and `Conflict` where `child_id` is among its ancestors, or is
    the session itself."""
    find(db, parent_id)
    if child_id is not None and db.execute(_ANCESTOR, {"start": parent_id, "wanted": child_id}).fetchone():
        raise Conflict(
            "parent_id is the session itself, or descends from it",
            hint="Choose a session that doesn't descend from this one; session.tree shows them.",
            field="parent_id",
        )


def reindex(db: apsw.Connection) -> None:
    """Make the tags and the index of titles anew."""
    db.execute("DELETE FROM session_tag")
    SESSION_TEXT.clear(db)
    for row in _all_here(db):
        index(db, row)


def index_all(db: apsw.Connection) -> None:
    """Put every session that is here into the index of titles, which is empty."""
    for row in _all_here(db):
        _index_text(db, row)


def index(db: apsw.Connection, row: SessionRow) -> None:
    """Let a session be found by its tags and by its words."""
    tags = decode_tags(row.tags)
    if tags:
        db.executemany("INSERT INTO session_tag VALUES (?, ?)", [(tag, row.seq) for tag in tags])
    _index_text(db, row)


def unindex(db: apsw.Connection, row: SessionRow) -> None:
    """Let a session be found no more."""
    for tag in decode_tags(row.tags):
        db.execute("DELETE FROM session_tag WHERE tag = ? AND session = ?", (tag, row.seq))
    SESSION_TEXT.remove(db, row.seq)


def _index_text(db: apsw.Connection, row: SessionRow) -> None:
    facets = () if row.project is None else (project_facet(row.project),)
    SESSION_TEXT.add(db, row.seq, (row.title, row.summary or "", " ".join(decode_tags(row.tags))), facets)


def _all_here(db: apsw.Connection) -> Iterable[SessionRow]:
    rows: Iterable[tuple[Any, ...]] = db.execute(f"SELECT {SESSION} FROM session AS s WHERE s.place = 'here'")
    return map(SessionRow._make, rows)


def project_facet(project: str) -> str:
    """What tells in an index that a session belongs to a project."""
    return f"project={project}"
