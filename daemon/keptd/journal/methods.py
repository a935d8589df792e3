"""action.*, decision.*, error.*: what the store is asked, and what the change log is told."""

from __future__ import annotations

from kept.wire import Page
from kept.wire.journal import (
    Action,
    AddDecision,
    Decision,
    FoundDecision,
    GetDecision,
    ListActions,
    ListDecisions,
    ListErrors,
    LogAction,
    RecordedError,
    RecordError,
    ResolveDecision,
    ResolveError,
    SearchDecisions,
)

from ..domain import ReadCtx, WriteCtx
from ..rpc.methods import serves
from ..store.pages import is_long
from . import store


def _heavy(call: ListDecisions | ListErrors) -> bool:
    """A list since a time passes over the rows that were made while the clock was set back, however many they are."""
    return call.since is not None or is_long(call)


@serves
def log_action(ctx: WriteCtx, call: LogAction) -> Action:
    """One row, never changed."""
    action = store.log_action(ctx.db, call, ctx.clock.now(), ctx.caller.client)
    ctx.changes.add("action", action.id, action.action)
    return action


@serves(heavy=True)
def list_actions(ctx: ReadCtx, call: ListActions) -> Page[Action]:
    """The table, and behind its oldest row the archives: heavy."""
    return store.list_actions(ctx.db, call)


@serves
def add_decision(ctx: WriteCtx, call: AddDecision) -> Decision:
    """The new row, and the mark on the older one that it supersedes: two changes."""
    now = ctx.clock.now()
    decision = store.add_decision(ctx.db, call, now, ctx.caller.client)
    ctx.changes.add("decision", decision.id, decision.decision)
    if call.supersedes is not None:
        older = store.supersede_decision(ctx.db, call.supersedes, decision.id, now)
        ctx.changes.add("decision", older.id, older.decision)
    return decision


@serves
def resolve_decision(ctx: WriteCtx, call: ResolveDecision) -> Decision:
    """Set the outcome; a former one is kept."""
    decision = store.resolve_decision(ctx.db, call, ctx.clock.now(), ctx.caller.client)
    ctx.changes.add("decision", decision.id, decision.decision)
    return decision


@serves
def get_decision(ctx: ReadCtx, call: GetDecision) -> Decision:
    """One SELECT."""
    return store.get_decision(ctx.db, call.id)


@serves(heavy=_heavy)
def list_decisions(ctx: ReadCtx, call: ListDecisions) -> Page[Decision]:
    """One SELECT."""
    return store.list_decisions(ctx.db, call)


@serves(heavy=True)
def search_decisions(ctx: ReadCtx, call: SearchDecisions) -> Page[FoundDecision]:
    """The index first, then a row for each hit shown: heavy."""
    return store.search_decisions(ctx.db, call)


@serves
def record_error(ctx: WriteCtx, call: RecordError) -> RecordedError:
    """One row, unresolved."""
    error = store.record_error(ctx.db, call, ctx.clock.now(), ctx.caller.client)
    ctx.changes.add("error", error.id, error.error)
    return error


@serves
def resolve_error(ctx: WriteCtx, call: ResolveError) -> RecordedError:
    """Set the resolution; a former one is kept."""
    error = store.resolve_error(ctx.db, call, ctx.clock.now(), ctx.caller.client)
    ctx.changes.add("error", error.id, error.error)
    return error


@serves(heavy=_heavy)
def list_errors(ctx: ReadCtx, call: ListErrors) -> Page[RecordedError]:
    """One SELECT."""
    return store.list_errors(ctx.db, call)
