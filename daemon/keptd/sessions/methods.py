"""Handlers of session.*: check, ask the store, record the change."""

from __future__ import annotations

import msgspec

from kept.wire import Done, Page
from kept.wire.errors import Conflict
from kept.wire.session import (
    CloseSession,
    CreateSession,
    DeleteSession,
    GetSession,
    ListSessions,
    ReopenSession,
    Session,
    UpdateSession,
)

from ..domain import ReadCtx, WriteCtx
from ..rpc.methods import serves
from ..store.versions import check_version
from ..trash import store as trash
from . import attendance, lists, rules, store
from .rows import SessionRow

_decode_id = msgspec.json.Decoder(str).decode


@serves
def create_session(ctx: WriteCtx, call: CreateSession) -> Session:
    if call.parent_id is not None:
        store.check_parent(ctx.db, call.parent_id)
    store.check_room(ctx.db, ctx.config.sessions.max_sessions)
    row = store.insert(ctx.db, rules.begun(call, ctx.clock.now(), ctx.caller.client))
    ctx.changes.add("session", row.id, row.label)
    return store.shown(ctx.db, row)


@serves
def get_session(ctx: ReadCtx, call: GetSession) -> Session:
    return store.get(ctx.db, call.id)


@serves(heavy=lists.heavy)
def list_sessions(ctx: ReadCtx, call: ListSessions) -> Page[Session]:
    return lists.sessions(ctx.db, call)


@serves
def update_session(ctx: WriteCtx, call: UpdateSession) -> Session:
    """Setting a session to just what it is changes nothing."""
    present = store.find(ctx.db, call.id)
    check_version("session", present.version, call.if_version)
    if isinstance(call.parent_id, str):
        store.check_parent(ctx.db, call.parent_id, call.id)
    return _replaced(ctx, present, rules.updated(present, call, ctx.clock.now(), ctx.caller.client))


@serves
def close_session(ctx: WriteCtx, call: CloseSession) -> Session:
    """Closing what is closed changes nothing."""
    present = store.find(ctx.db, call.id)
    check_version("session", present.version, call.if_version)
    return _replaced(ctx, present, rules.closed(present, call, ctx.clock.now(), ctx.caller.client))


@serves
def reopen_session(ctx: WriteCtx, call: ReopenSession) -> Session:
    """Reopening what is open changes nothing."""
    present = store.find(ctx.db, call.id)
    check_version("session", present.version, call.if_version)
    return _replaced(ctx, present, rules.reopened(present, ctx.clock.now(), ctx.caller.client))


@serves
def delete_session(ctx: WriteCtx, call: DeleteSession) -> Done:
    """The rows stay; only lists, searches and look-ups pass over them from now on. Nobody is in what nobody can see."""
    present = store.find(ctx.db, call.id)
    check_version("session", present.version, call.if_version)
    now = ctx.clock.now()
    attendance.go_all(ctx.db, present, now, attendance.ticks(ctx.clock.monotonic()))
    store.discard(ctx.db, present, trash.stay(ctx.db, ctx.clock, ctx.config.trash.keep_days), ctx.caller.client)
    ctx.changes.add("session", present.id, present.label)
    return Done(id=present.id, label=present.label)


def restore_session(ctx: WriteCtx, snapshot: str) -> None:
    """Bring a session back from the trash, as its next version. Raises `Conflict` where it is not there any more."""
    kept = store.look(ctx.db, _decode_id(snapshot), "trash")
    if kept is None:
        raise Conflict("nothing of this session is left", hint="backup.list shows what there was before.")
    back = rules.touched(kept, ctx.clock.now(), ctx.caller.client)
    store.move(ctx.db, kept, "here")
    store.replace(ctx.db, kept, back)
    ctx.changes.add("session", back.id, back.label)


def purge_session(ctx: WriteCtx, session_id: str) -> None:
    """Let a session go for good. Its messages, which may be a million, are removed by the job `session.remove`."""
    kept = store.look(ctx.db, session_id, "trash")
    if kept is not None:
        store.move(ctx.db, kept, "going")
        ctx.changes.add("session", kept.id, kept.label)


def _replaced(ctx: WriteCtx, present: SessionRow, wanted: SessionRow | None) -> Session:
    if wanted is None:
        ctx.changes.session = present.id
        return store.shown(ctx.db, present)
    store.replace(ctx.db, present, wanted)
    ctx.changes.add("session", wanted.id, wanted.label)
    return store.shown(ctx.db, wanted)
