"""What the room does by itself: it removes what left the trash, and puts idle sessions away where that is asked for."""

from __future__ import annotations

from ..clock import DAY
from ..domain import JobCtx, WriteCtx
from ..jobs.declare import job
from ..store import ages
from ..store.background import cut_log, sweep
from . import messages, rules, store, traces

BYTES = 4 * 1024 * 1024
"""Bytes of messages removed in one write: they are overwritten, and nobody else should wait for long."""

BYTES_WHEN_FULL = 128 * 1024
"""The same while the disk is full: what a step writes to the log must fit into the little that was held back, however
small `storage.ballast_bytes` is, or it eats that up and nothing can make room any more."""

SESSION_BYTES = 32 * 1024
"""What a session without messages counts for: it stands in a page of each of its indexes, so that it takes about as
long as this many bytes of messages."""

TRACES = 100
"""How much of what is said of a session elsewhere is removed in one write, when it has no messages any more."""


@job("session.remove", setting="session_remove", timeout=3600)
async def remove_sessions(ctx: JobCtx) -> str:
    """Remove for good the sessions that left the trash, a few messages at a time."""
    rows = await sweep(ctx, "session.remove", remove_some)
    if not rows:
        return "nothing was to be removed"
    left = "" if await cut_log(ctx.store, ctx.clock) else "; the log still has them, since something reads it"
    return f"{rows} sessions and messages removed{left}"


def remove_some(ctx: WriteCtx, limit: int) -> int:
    """One step of the sweep: messages of one session after the other, and with the last of each, itself; as many as
    `limit` and the bytes of a step allow, but at least one."""
    room = BYTES_WHEN_FULL if ctx.full else BYTES
    done, begun = 0, False
    while done < limit and (room > 0 or not begun):
        found = store.going(ctx.db)
        if found is None:
            break
        removed = messages.remove(ctx.db, found.seq, limit - done, room, at_least=0 if begun else 1)
        done += removed.rows
        room -= removed.bytes
        # With each message goes what is said of it elsewhere; in the end, what is said of the session.
        more = traces.remove(ctx.db, found.id, max(removed.rows, TRACES))
        if not removed.is_all:
            break
        if more:
            room -= SESSION_BYTES
        elif (room > 0 or not begun) and done < limit:
            store.erase(ctx.db, found)
            ctx.changes.add("session", found.id, number=found.seq)
            done += 1
            room -= SESSION_BYTES + len(found.metadata) + len(found.summary or "")
        begun = True
    return done or int(begun)


@job("session.archive", setting="session_archive", timeout=600)
async def archive_sessions(ctx: JobCtx) -> str:
    """Put sessions away that nobody used for sessions.archive_after_days."""
    if not ctx.config.sessions.archive_after_days:
        return "sessions.archive_after_days is 0: never"
    archived = await sweep(ctx, "session.archive", archive_some)
    return f"{archived} sessions archived" if archived else "no session was idle for so long"


def archive_some(ctx: WriteCtx, limit: int) -> int:
    """One step of the sweep; each session is a change. It makes no room, so it waits while the disk is full."""
    if ctx.full:
        return 0
    now = ctx.clock.now()
    idle = store.idle(ctx.db, ages.before(ctx.db, ctx.clock, ctx.config.sessions.archive_after_days * DAY), limit)
    for row in idle:
        store.replace(ctx.db, row, rules.archived(row, now, ctx.caller.client))
        ctx.changes.add("session", row.id, row.label)
    return len(idle)
