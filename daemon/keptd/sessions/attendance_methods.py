"""Handlers of session.attach and session.detach, and who is detached without having said so: at the end of a
connection, and what the last run of the daemon left behind."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

import apsw
import structlog

from kept.wire import Actor
from kept.wire.errors import KeptError
from kept.wire.session import AttachSession, DetachSession, Session

from ..clock import Clock
from ..rpc.control import ControlCtx
from ..rpc.methods import serves
from ..rpc.peer import Peer
from ..store import Store
from ..store.background import write
from ..store.changes import ChangeLog
from ..store.writer import Written
from . import attendance, store
from .rows import SessionRow

log = structlog.get_logger(__name__)

ENDING = "sessions"


@serves
async def attach_session(ctx: ControlCtx, call: AttachSession) -> Session:
    """The end is registered before it begins: the writer takes one after the other, whatever becomes of the caller."""
    peer = ctx.peer
    peer.endings.add(ENDING, partial(_vanished, ctx.store, ctx.clock, peer))

    def come(db: apsw.Connection, session: SessionRow, now: int, at_ticks: int) -> bool:
        return attendance.come(db, session, peer.number, peer.actor, now, at_ticks)

    return await _change(ctx, call, come, frees_space=False)


@serves
async def detach_session(ctx: ControlCtx, call: DetachSession) -> Session:
    """Whether it was there or not, it isn't afterwards."""
    peer = ctx.peer

    def go(db: apsw.Connection, session: SessionRow, now: int, at_ticks: int) -> bool:
        return attendance.go(db, session, peer.number, now, at_ticks)

    return await _change(ctx, call, go, frees_space=True)


async def _change(
    ctx: ControlCtx,
    call: AttachSession | DetachSession,
    step: Callable[[apsw.Connection, SessionRow, int, int], bool],
    *,
    frees_space: bool,
) -> Session:
    """Have the writer take a step, which tells whether it changed anything; the session as it is then. Raises
    `NotFound`, and what `step` raises."""
    found: list[Session] = []

    def run(db: apsw.Connection) -> Written:
        now = ctx.clock.now()
        changes = ChangeLog(db, now, ctx.peer.actor, call.method)
        session = store.find(db, call.id)
        if step(db, session, now, attendance.ticks(ctx.clock.monotonic())):
            changes.add("session", session.id, session.label)
        found[:] = [store.get(db, call.id)]
        return Written(b"", changes.last_seq)

    await write(ctx.store, ctx.clock, run, frees_space=frees_space)
    return found[0]


async def _vanished(kept: Store, clock: Clock, peer: Peer) -> None:
    """The connection has ended: it is in no session any more. Raises `KeptError`."""
    at_ticks = attendance.ticks(clock.monotonic())

    def run(db: apsw.Connection) -> Written:
        now = clock.now()
        changes = ChangeLog(db, now, peer.actor, DetachSession.method)
        for session_id, label in attendance.vanish(db, peer.number, now, at_ticks):
            changes.add("session", session_id, label)
        return Written(b"", changes.last_seq)

    await write(kept, clock, run)


async def settle(kept: Store, clock: Clock) -> None:
    """At the start: nobody is there yet. What the disk refuses is left to the next start."""
    try:
        await write(kept, clock, _settle)
    except KeptError as refusal:
        log.warning("who was attached at the last end is still shown", reason=refusal.type)


def _settle(db: apsw.Connection) -> Written:
    seq = 0
    for left in attendance.settle(db):
        stay = left.stay
        who = Actor(client=stay.client, uid=os.getuid(), pid=stay.pid, user=stay.user)
        changes = ChangeLog(db, left.until, who, DetachSession.method)
        changes.add("session", left.session_id, left.label)
        seq = changes.last_seq
    return Written(b"", seq)
