"""Handlers of trash.*: bring back, or remove for good."""

from __future__ import annotations

from kept.wire import Page
from kept.wire.errors import Conflict, InvalidParams
from kept.wire.trash import Emptied, EmptyTrash, ListTrash, RestoreTrash, Trashed

from ..clock import to_micros
from ..domain import ReadCtx, WriteCtx
from ..rpc.methods import serves
from ..store import ages
from . import store
from .purge import let_go


@serves
def list_trash(ctx: ReadCtx, call: ListTrash) -> Page[Trashed]:
    """One SELECT, and a row that says how far the clock is ahead."""
    return store.listed(ctx.db, call, ages.ahead(ctx.db, ctx.clock))


@serves
def restore_trash(ctx: WriteCtx, call: RestoreTrash) -> Trashed:
    """The room that it came from brings it back, and records the change."""
    removed = store.take(ctx.db, call.id, ages.ahead(ctx.db, ctx.clock))
    restore = ctx.restorers.get(removed.shown.entity)
    if restore is None:
        raise Conflict(
            f"this version knows no way to restore a {removed.shown.entity}",
            hint="It stays in the trash; a newer version may know.",
        )
    restore(ctx, removed.snapshot)
    return removed.shown


@serves
def empty_trash(ctx: WriteCtx, call: EmptyTrash) -> Emptied:
    """One change of the trash in the log, however many were removed; a room that lets go of rows adds its own."""
    if call.id is not None:
        if call.before is not None:
            raise InvalidParams("id and before exclude each other", hint="Send one of them, or none.", field="before")
        removed = store.take(ctx.db, call.id, ages.ahead(ctx.db, ctx.clock)).shown
        let_go(ctx, [store.Gone(removed.entity, removed.entity_id)])
        ctx.changes.add("trash", removed.id, "1 removed")
        return Emptied(removed=1)
    gone = store.empty(ctx.db, None if call.before is None else to_micros(call.before))
    let_go(ctx, gone)
    if gone:
        ctx.changes.add("trash", "", f"{len(gone)} removed")
    return Emptied(removed=len(gone))
