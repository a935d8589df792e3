"""Handlers of session.tree, session.context and session.stats: what a session belongs to, goes on with, and holds."""

from __future__ import annotations

from kept.wire.message import ContextOfSession, SessionContext
from kept.wire.session import SessionStats, SessionTree, StatsOfSession, TreeOfSession

from ..domain import ReadCtx
from ..rpc.methods import serves
from . import attendance, continuing, counts, tree


@serves(heavy=True)
def tree_of_session(ctx: ReadCtx, call: TreeOfSession) -> SessionTree:
    """A look-up for each session that is shown."""
    return tree.tree(ctx.db, call.id, call.limit)


@serves(heavy=True)
def context_of_session(ctx: ReadCtx, call: ContextOfSession) -> SessionContext:
    """Reads the messages that fit, and no more."""
    return continuing.context(ctx.db, call)


@serves(heavy=True)
def stats_of_session(ctx: ReadCtx, call: StatsOfSession) -> SessionStats:
    """From the counts that are kept; only children are counted."""
    return counts.stats(ctx.db, call.id, attendance.ticks(ctx.clock.monotonic()), ctx.config.sessions)
