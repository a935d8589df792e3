"""What a session is continued with: its newest messages, and what came of its parent."""

from __future__ import annotations

import apsw
import msgspec

from kept.wire.message import ContextOfSession, Message, ParentSummary, SessionContext
from kept.wire.session import SessionId

from ..store.pages import PAGE_BYTES
from ..tokens import tokens_of
from . import lists, store
from .rows import MessageRow, SessionRow, message

MOST = 10_000
"""Messages in one context, whatever is asked for."""

_encode = msgspec.json.Encoder().encode


def context(db: apsw.Connection, call: ContextOfSession) -> SessionContext:
    """The context of a session that is here. Raises `NotFound`. More than one SELECT: run it in a snapshot."""
    found = store.find(db, call.id)
    parent = _parent(db, found, call.budget_tokens) if call.with_summary else None
    spent = 0 if parent is None else parent.tokens
    wanted = min(call.max_messages or found.max_context_messages or MOST, MOST)
    rows = db.execute(*lists.between_query(found.seq, 1, found.messages, MOST, oldest_first=False))
    taken: list[Message] = []
    too_large: list[int] = []
    size = 0
    for row in map(MessageRow._make, rows):
        if len(taken) == wanted:
            break
        cost = row.tokens
        if call.budget_tokens is not None and spent + cost > call.budget_tokens:
            if cost <= call.budget_tokens:
                break
            too_large.append(row.number)
            continue
        one = message(row, found.id)
        size += len(_encode(one))
        if size > PAGE_BYTES:
            break
        spent += cost
        taken.append(one)
    return SessionContext(
        session_id=SessionId(found.id),
        title=found.title,
        parent=parent,
        messages=tuple(reversed(taken)),
        tokens=spent,
        left_out=found.messages - len(taken),
        too_large=tuple(reversed(too_large)),
    )


def _parent(db: apsw.Connection, session: SessionRow, budget: int | None) -> ParentSummary | None:
    """What came of the parent, where that is here, has a summary, and fits."""
    found = None if session.parent_id is None else store.look(db, session.parent_id, "here")
    if found is None or found.summary is None:
        return None
    tokens = tokens_of(f"{found.label}: {found.summary}")
    if budget is not None and tokens > budget:
        return None
    return ParentSummary(session_id=SessionId(found.id), title=found.title, summary=found.summary, tokens=tokens)
