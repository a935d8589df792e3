"""Handlers of daemon.* and rpc.discover."""

from __future__ import annotations

import os
from typing import Any

from kept.wire import PROTOCOL_VERSION, Actor
from kept.wire.daemon import (
    DaemonStatus,
    Discover,
    Hello,
    Ping,
    Pong,
    Reload,
    Reloaded,
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


@serves
def hello(ctx: ControlCtx, call: Hello) -> Welcome:
    peer = ctx.peer
    peer.actor = Actor(
        client=call.client,
        uid=peer.uid,
        pid=peer.pid,
        version=call.version,
        user=call.user,
        project=call.project,
        session=call.session,
    )
    return Welcome(name="keptd", version=VERSION, protocol=PROTOCOL_VERSION, pid=os.getpid(), actor=peer.actor)


@serves
def ping(ctx: ControlCtx, _call: Ping) -> Pong:
    return Pong(time=to_time(ctx.clock.now()))


@serves
def status(ctx: ControlCtx, _call: Status) -> DaemonStatus:
    return ctx.daemon.status()


@serves
def reload(ctx: ControlCtx, _call: Reload) -> Reloaded:
    return ctx.daemon.reload()


@serves
def stop(ctx: ControlCtx, _call: Stop) -> Stopping:
    ctx.daemon.stop()
    return Stopping(pid=os.getpid())


@serves
def discover(ctx: ControlCtx, _call: Discover) -> dict[str, Any]:
    return document(ctx.calls)
