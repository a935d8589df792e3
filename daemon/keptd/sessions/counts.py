"""How much is in a session: what is kept with it, and how that is made right from its messages."""

from __future__ import annotations

import apsw

from kept.wire.session import SaidByRole, SessionId, SessionStats

from ..clock import SECOND, to_time
from ..config import Sessions
from ..tokens import BYTES_PER_TOKEN
from . import limits, store

# The sizes as `rows.New` has them: of texts in bytes, which are in the head of a row, so that its pages aren't read.
_RECOUNT = f"""
    UPDATE session SET (messages, bytes, tokens, said_user, said_assistant, said_system, said_tool, last_message_at) = (
        SELECT count(*), ifnull(sum(octet_length(content) + octet_length(metadata)), 0),
            ifnull(sum((octet_length(ifnull(speaker, role)) + octet_length(content) + 2 + 1 + {BYTES_PER_TOKEN - 1})
                / {BYTES_PER_TOKEN}), 0),
            count(*) FILTER (WHERE role = 'user'), count(*) FILTER (WHERE role = 'assistant'),
            count(*) FILTER (WHERE role = 'system'), count(*) FILTER (WHERE role = 'tool'), max(created_at)
        FROM message WHERE session = :seq
    ) WHERE seq = :seq
"""
_COUNTS = "SELECT tokens, said_user, said_assistant, said_system, said_tool FROM session WHERE seq = ?"
ENDS = "SELECT created_at FROM message WHERE session = ? AND number IN (1, ?) ORDER BY number"
CHILDREN = "SELECT count(*) FROM session INDEXED BY session_by_parent WHERE parent_id = ? AND place = 'here'"
PRESENT = "SELECT count(*), ifnull(sum(max(0, ? - ticks)), 0) FROM session_attachment WHERE session = ?"


def recount(db: apsw.Connection, session: int) -> None:
    """Make the counts of a session right, by reading the heads of all its messages."""
    db.execute(_RECOUNT, {"seq": session})


def stats(db: apsw.Connection, session_id: str, at_ticks: int, settings: Sessions) -> SessionStats:
    """How much is in a session that is here; `at_ticks` is the monotonic clock in microseconds, by which stays are
    measured. Raises `NotFound`. More than one SELECT: run it in a snapshot."""
    row = store.find(db, session_id)
    [(tokens, *by_role)] = db.execute(_COUNTS, (row.seq,))
    ends = [to_time(at) for (at,) in db.execute(ENDS, (row.seq, row.messages))]
    [(there, stayed)] = db.execute(PRESENT, (at_ticks, row.seq))
    [(children,)] = db.execute(CHILDREN, (row.id,))
    return SessionStats(
        id=SessionId(row.id),
        title=row.title,
        messages=row.messages,
        by_role=SaidByRole(**dict(zip(SaidByRole.__struct_fields__, by_role, strict=True))),
        bytes=row.bytes,
        tokens=tokens,
        first_message_at=ends[0] if ends else None,
        last_message_at=ends[-1] if ends else None,
        attached_now=there,
        attachments=row.attachments,
        attached_seconds=(row.attached_us + stayed) // SECOND,
        children=children,
        warnings=limits.warnings(limits.size_of(row), settings),
    )
