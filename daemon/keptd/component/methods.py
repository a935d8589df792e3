"""component.*: what is checked before the store is asked, and what the change log is told."""

from __future__ import annotations

from kept.wire import Done, Page
from kept.wire.component import (
    Component,
    DeleteComponent,
    GetComponent,
    ListComponents,
    Overall,
    OverallComponents,
    SetComponent,
)
from kept.wire.errors import Denied

from ..domain import ReadCtx, WriteCtx
from ..rpc.methods import serves
from ..store.pages import is_long
from ..trash import store as trash
from . import rules, store


@serves
def set_component(ctx: WriteCtx, call: SetComponent) -> Component:
    """Report on a component that is not the daemon's own."""
    _refuse_own(call.name)
    component = store.put(ctx.db, call, ctx.clock.now(), ctx.caller.client)
    ctx.changes.add("component", component.id, component.name)
    return component


@serves
def get_component(ctx: ReadCtx, call: GetComponent) -> Component:
    """What is stored, or what the daemon says of itself."""
    if rules.own(call.name):
        return rules.reported(ctx.self_reports(), call.name)
    return store.get(ctx.db, call.name)


@serves(heavy=is_long)
def list_components(ctx: ReadCtx, call: ListComponents) -> Page[Component]:
    """One SELECT; the daemon's own parts are merged in."""
    return store.listed(ctx.db, ctx.self_reports(), call)


@serves
def delete_component(ctx: WriteCtx, call: DeleteComponent) -> Done:
    """Move a component that is not the daemon's own to the trash; where the disk is full, let it go."""
    _refuse_own(call.name)
    gone = store.delete(ctx.db, call)
    if not ctx.full:
        deleted = trash.Deleted("component", gone.id, gone.name, gone)
        trash.put(ctx.db, deleted, trash.stay(ctx.db, ctx.clock, ctx.config.trash.keep_days), ctx.caller.client)
    ctx.changes.add("component", gone.id, gone.name)
    return Done(id=gone.id, label=gone.name)


def restore_component(ctx: WriteCtx, stored: str) -> None:
    """From the trash: all that it was, under its next version."""
    component = store.restore(ctx.db, stored, ctx.clock.now(), ctx.caller.client)
    ctx.changes.add("component", component.id, component.name)


@serves(heavy=True)
def overall_components(ctx: ReadCtx, _call: OverallComponents) -> Overall:
    """Totals over all components: heavy."""
    return store.overall(ctx.db, ctx.self_reports())


def _refuse_own(name: str) -> None:
    if rules.own(name):
        raise Denied(
            f"names that start with {rules.OWN_PREFIX} are the daemon's own",
            hint="Choose another name.",
            field="name",
        )
