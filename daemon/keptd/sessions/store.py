"""The sessions: found, begun, changed, moved to the trash and back. Messages are `messages`'s, lists are `lists`'s."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import apsw

from kept.wire.errors import Conflict, NotFound, QuotaExceeded
from kept.wire.session import Attendee, Session

from ..clock import to_time
from ..trash import store as trash
from .rows import SESSION, SessionRow, decode_tags, session
from .schema import SESSION_TEXT

_BY_ID = f"SELECT {SESSION} FROM session AS s WHERE s.id = ? AND s.place = ?"
_ATTACHED = (
    "SELECT session, client, pid, user, since FROM session_attachment "
    "WHERE session IN (SELECT value FROM json_each(?)) ORDER BY seq"
)
_INSERT = (
    f"INSERT INTO session ({', '.join(SessionRow._fields[1:])}, place, extra) "
    f"VALUES ({', '.join('?' * (len(SessionRow._fields) + 1))})"
)
_REPLACE = (
    "UPDATE session SET title = ?, parent_id = ?, project = ?, status = ?, summary = ?, max_context_messages = ?, "
    "metadata = ?, tags = ?, active_at = ?, updated_at = ?, closed_at = ?, version = ?, actor = ? WHERE seq = ?"
)
_LAST_SAID = (
    "SELECT coalesce(m.speaker, m.actor), substr(m.content, 1, 1000) FROM session AS s "
    "CROSS JOIN message AS m ON m.session = s.seq AND m.number = s.messages WHERE s.id = ?"
)
_ANCESTORS = """
    WITH RECURSIVE up (id, parent_id) AS (
        SELECT id, parent_id FROM session WHERE id = :start
        UNION SELECT s.id, s.parent_id FROM up JOIN session AS s ON s.id = up.parent_id
        LIMIT :limit
    ) SELECT id FROM up
"""
IDLE = f"""
    SELECT {SESSION} FROM session AS s INDEXED BY session_by_status
    WHERE s.place = 'here' AND s.status IN ('active', 'closed') AND s.active_at < ?
    AND NOT EXISTS (SELECT 1 FROM session_attachment AS a WHERE a.session = s.seq) LIMIT ?
"""

GOING = f"SELECT {SESSION} FROM session AS s INDEXED BY session_by_status WHERE s.place = 'going' LIMIT 1"
SHOWN = "place = 'here'"
"""What is so of a session that is shown, and found by its words."""

LOOKED_AT = 100
"""Sessions among which those are looked for that have something to tell."""

TRASHED = "session"
"""The entity under which a session is in the trash."""

DEEPEST = 1000
"""Sessions in one line of descent: so many are looked at, so that none is its own ancestor."""


def look(db: apsw.Connection, session_id: str, place: str) -> SessionRow | None:
    """The row of a session in this place, if it is there."""
    for row in db.execute(_BY_ID, (session_id, place)):
        return SessionRow._make(row)
    return None


def find(db: apsw.Connection, session_id: str, place: str = "here") -> SessionRow:
    """The row of a session. Raises `NotFound`."""
    found = look(db, session_id, place)
    if found is not None:
        return found
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
    begun = row._replace(seq=put(db, row, "here"))
    index(db, begun)
    return begun


def put(db: apsw.Connection, row: SessionRow, place: str, extra: str | None = None) -> int:
    """Add a session, which is not found by its words yet; the `seq` that it gets, whatever `row.seq` is."""
    db.execute(_INSERT, (*row[1:], place, extra))
    return db.last_insert_rowid()


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


def move(db: apsw.Connection, row: SessionRow, place: str) -> None:
    """Put a session into another place, with all that is in it."""
    db.execute("UPDATE session SET place = ? WHERE seq = ?", (place, row.seq))
    if place == "here":
        index(db, row)
    elif place == "trash":
        unindex(db, row)


def discard(db: apsw.Connection, row: SessionRow, stay: trash.Stay, actor: str) -> None:
    """Put a session into the trash."""
    move(db, row, "trash")
    trash.put(db, trashed(row.id, row.label), stay, actor)


def trashed(session_id: str, label: str) -> trash.Deleted:
    """A session as the trash has it: its snapshot is its id, since its rows stay where they are."""
    return trash.Deleted(TRASHED, session_id, label, session_id)


def going(db: apsw.Connection) -> SessionRow | None:
    """A session that is being removed for good, if one is."""
    for row in db.execute(GOING):
        return SessionRow._make(row)
    return None


def erase(db: apsw.Connection, row: SessionRow) -> None:
    """Remove a session that has no messages any more, and note that it was."""
    db.execute("DELETE FROM session_attachment WHERE session = ?", (row.seq,))
    db.execute("DELETE FROM session WHERE seq = ?", (row.seq,))
    db.execute("INSERT OR IGNORE INTO session_gone VALUES (?, ?)", (row.seq, row.id))


def idle(db: apsw.Connection, before: int, limit: int) -> list[SessionRow]:
    """Up to `limit` sessions that are not archived, that nobody used since `before` (microseconds), and that nobody is
    attached to."""
    rows: Iterable[tuple[Any, ...]] = db.execute(IDLE, (before, limit))
    return list(map(SessionRow._make, rows))


def entitle(db: apsw.Connection, former: SessionRow, title: str) -> None:
    """Let a session be found by the title that it took from its first message, which is no change of its version."""
    SESSION_TEXT.remove(db, former.seq)
    _index_text(db, former._replace(title=title))


def check_room(db: apsw.Connection, limit: int, more: int = 1) -> None:
    """Raises `QuotaExceeded` where there would be more than `limit` sessions with so many more.

    They are counted only where so many were ever begun: a count reads as many entries of an index.
    """
    [(begun,)] = db.execute("SELECT ifnull(max(seq), 0) FROM session")
    if begun + more <= limit:
        return
    [(count,)] = db.execute("SELECT count(*) FROM session")
    if count + more > limit:
        raise QuotaExceeded(
            f"there are {count} sessions already, those in the trash included",
            hint="Delete some and empty the trash, or raise sessions.max_sessions in config.toml.",
            limit=limit,
        )


def check_parent(db: apsw.Connection, parent_id: str, child_id: str | None = None) -> None:
    """Raises `NotFound` where there is no such session, `Conflict` where `child_id` is among its ancestors, or is the
    session itself, and `QuotaExceeded` where it has too many ancestors to have children."""
    find(db, parent_id)
    line = [found for (found,) in db.execute(_ANCESTORS, {"start": parent_id, "limit": DEEPEST})]
    if child_id in line:
        raise Conflict(
            "parent_id is the session itself, or descends from it",
            hint="Choose a session that doesn't descend from this one; session.tree shows them.",
            field="parent_id",
        )
    if len(line) == DEEPEST:
        raise QuotaExceeded(
            f"parent_id has {DEEPEST - 1} ancestors or more",
            hint="Choose one of its ancestors; session.tree shows them.",
            field="parent_id",
            limit=DEEPEST,
        )


def derive(db: apsw.Connection) -> None:
    """Make the tags anew."""
    db.execute("DELETE FROM session_tag")
    for row in _all_here(db):
        _index_tags(db, row)


def index_all(db: apsw.Connection) -> None:
    """Put every session that is here into the index of titles, which is empty."""
    for row in _all_here(db):
        _index_text(db, row)


def index(db: apsw.Connection, row: SessionRow) -> None:
    """Let a session be found by its tags and by its words."""
    _index_tags(db, row)
    _index_text(db, row)


def unindex(db: apsw.Connection, row: SessionRow) -> None:
    """Let a session be found no more."""
    for tag in decode_tags(row.tags):
        db.execute("DELETE FROM session_tag WHERE tag = ? AND session = ?", (tag, row.seq))
    SESSION_TEXT.remove(db, row.seq)


def _index_tags(db: apsw.Connection, row: SessionRow) -> None:
    tags = decode_tags(row.tags)
    if tags:
        db.executemany("INSERT INTO session_tag VALUES (?, ?)", [(tag, row.seq) for tag in tags])


def _index_text(db: apsw.Connection, row: SessionRow) -> None:
    facets = () if row.project is None else (project_facet(row.project),)
    SESSION_TEXT.add(db, row.seq, (row.title, row.summary or "", " ".join(decode_tags(row.tags))), facets)


def _all_here(db: apsw.Connection) -> Iterable[SessionRow]:
    rows: Iterable[tuple[Any, ...]] = db.execute(f"SELECT {SESSION} FROM session AS s WHERE {SHOWN}")
    return map(SessionRow._make, rows)


def project_facet(project: str) -> str:
    """What tells in an index that a session belongs to a project."""
    return f"project={project}"


def latest(db: apsw.Connection, project: str | None, limit: int, without: Collection[str] = ()) -> list[Session]:
    """The open and closed sessions that were last active and have something to tell: up to `limit`, of a project and
    of none, or of all; not those with the ids `without`, which are few.

    Without who is there. Of the `LOOKED_AT` newest, so that any number in which nothing was said costs no more.
    """
    sql, given = latest_query(project, limit + len(without))
    rows = [SessionRow._make(row) for row in db.execute(sql, given)]
    return [session(row, ()) for row in rows if row.id not in without][:limit]


def latest_query(project: str | None, limit: int) -> tuple[str, dict[str, Any]]:
    """The statement of `latest`, and its bindings."""
    if project is None:
        scopes = ["INDEXED BY session_by_status WHERE"]
    else:
        by_project = "INDEXED BY session_by_project WHERE project"
        scopes = [f"{by_project} = :project AND", f"{by_project} IS NULL AND"]
    arms = [
        f"SELECT active_at, seq FROM session {scope} place = 'here' AND status = '{status}'"
        for scope in scopes
        for status in ("active", "closed")
    ]
    merged = " UNION ALL ".join(arms) + " ORDER BY active_at DESC, seq DESC LIMIT :looked_at"
    sql = (
        f"SELECT {SESSION} FROM ({merged}) AS found CROSS JOIN session AS s ON s.seq = found.seq "
        "WHERE s.messages > 0 OR s.summary IS NOT NULL ORDER BY found.active_at DESC, found.seq DESC LIMIT :limit"
    )
    return sql, {"project": project, "looked_at": LOOKED_AT, "limit": limit}


def last_said(db: apsw.Connection, session_id: str) -> tuple[str, str] | None:
    """Who spoke last in a session (the speaker, else the client), and the beginning of what was said."""
    for who, beginning in db.execute(_LAST_SAID, (session_id,)):
        return str(who), str(beginning)
    return None
