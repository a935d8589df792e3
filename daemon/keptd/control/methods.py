"""Handlers of daemon.* and rpc.discover."""

from __future__ import annotations

import os
from typing import Any

from kept.wire import PROTOCOL_VERSION, Actor, Page, Read, Write
from kept.wire.daemon import (
    Activity,
    Clients,
    ConnectedClient,
    CountActivity,
    DaemonStatus,
    Discover,
    Hello,
    Ping,
    Pong,
    Reload,
    Reloaded,
    Restart,
    Restarting,
    Status,
    Stop,
    Stopping,
    Welcome,
)

from .. import VERSION
from ..clock import to_time
from ..rpc.control import ControlCtx
from ..rpc.methods import serves
from ..rpc.openrpc import document
from ..rpc.peer import Peer


@serves
def hello(ctx: ControlCtx, call: Hello) -> Welcome:
    peer = ctx.peer
    # Who has said that it is an agent stays one.
    kind = "agent" if peer.actor.kind == "agent" else call.kind
    peer.actor = Actor(
        client=call.client,
        uid=peer.uid,
        pid=peer.pid,
        version=call.version,
        user=call.user,
        project=call.project,
        session=call.session,
        kind=kind,
    )
    return Welcome(name="keptd", version=VERSION, protocol=PROTOCOL_VERSION, pid=os.getpid(), actor=peer.actor)


@serves
def ping(ctx: ControlCtx, _call: Ping) -> Pong:
    return Pong(time=to_time(ctx.clock.now()))


@serves
def status(ctx: ControlCtx, _call: Status) -> DaemonStatus:
    return ctx.daemon.status()


@serves
def clients(ctx: ControlCtx, _call: Clients) -> Page[ConnectedClient]:
    return Page(items=[_connected(peer) for peer in ctx.daemon.peers()])


def _connected(peer: Peer) -> ConnectedClient:
    actor = peer.actor
    return ConnectedClient(
        client=actor.client,
        pid=peer.pid,
        user=actor.user,
        project=actor.project,
        session=actor.session,
        connected_at=to_time(peer.connected_at),
        requests=peer.requests,
        in_flight=peer.in_flight,
        queued_bytes=peer.waiting_bytes,
        received_bytes=peer.received_bytes,
        sent_bytes=peer.sent_bytes,
        subscriptions=len(peer.subscriptions),
    )


@serves
def activity(ctx: ControlCtx, _call: CountActivity) -> Activity:
    methods = ctx.timings()
    calls = {method.method: method.calls for method in methods}
    reads = sum(calls.get(call.method, 0) for call in ctx.calls if issubclass(call, Read))
    writes = sum(calls.get(call.method, 0) for call in ctx.calls if issubclass(call, Write))
    return Activity(reads=reads, writes=writes, controls=sum(calls.values()) - reads - writes, methods=methods)


@serves
def reload(ctx: ControlCtx, _call: Reload) -> Reloaded:
    return ctx.daemon.reload()


@serves
def stop(ctx: ControlCtx, _call: Stop) -> Stopping:
    ctx.daemon.stop()
    return Stopping(pid=os.getpid())


@serves
def restart(ctx: ControlCtx, _call: Restart) -> Restarting:
    ctx.daemon.restart()
    return Restarting(pid=os.getpid())


@serves
def discover(ctx: ControlCtx, _call: Discover) -> dict[str, Any]:
    return document(ctx.calls)
