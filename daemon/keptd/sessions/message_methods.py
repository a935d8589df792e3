"""Handlers of message.*: check, ask the store, record the change."""

from __future__ import annotations

import msgspec

from kept.wire import Page
from kept.wire.message import GetMessage, ListMessages, Message, MessageId, SendMessage, Sent

from ..domain import ReadCtx, WriteCtx
from ..rpc.methods import serves
from ..store.pages import is_long
from . import limits, lists, messages, rules, store
from .rows import message


@serves
def send_message(ctx: WriteCtx, call: SendMessage) -> Sent:
    """All of them, or none, each with a change of its own in the log."""
    session = store.find(ctx.db, call.session_id)
    rules.check_open(session)
    new = rules.new_messages(call)
    before, after = limits.size_of(session), limits.size_of(session, new)
    limits.check(after, ctx.config.sessions)
    title = session.title or rules.title_of(one.content for one in new)
    said = messages.add(ctx.db, session, new, ctx.clock.now(), ctx.caller.client, title)
    if title != session.title:
        store.entitle(ctx.db, session, title)
    for one in said:
        ctx.changes.add("message", one.id, title or session.id, session=session.id, number=one.number)
    for passed in limits.passed(before, after, ctx.config.sessions):
        ctx.changes.add("session", session.id, f"{passed.text}: {title or session.id}", limits.NEAR_LIMIT)
    last = msgspec.structs.asdict(message(said[-1], session.id))
    warning = limits.told(limits.warnings(after, ctx.config.sessions))
    return Sent(**last, ids=tuple(MessageId(one.id) for one in said), warning=warning)


@serves
def get_message(ctx: ReadCtx, call: GetMessage) -> Message:
    """Two look-ups by an index, in one SELECT."""
    return messages.get(ctx.db, call.id)


@serves(heavy=is_long)
def list_messages(ctx: ReadCtx, call: ListMessages) -> Page[Message]:
    """One look into the index, at any depth."""
    return lists.messages(ctx.db, call)
