"""Calls that answer after messages on their progress, and a look beside the daemon."""

from __future__ import annotations

from typing import Any

import apsw

from kept.wire.errors import KeptError, from_wire
from keptd.store import checksums
from tests.harness import Daemon, Peer, request


def database(daemon: Daemon) -> apsw.Connection:
    """The daemon's database beside it: `with database(daemon) as db` is one transaction, which waits for its turn."""
    db = apsw.Connection(daemon.paths.database, vfs=checksums.VFS)
    db.set_busy_timeout(5000)
    return db


async def work(peer: Peer, method: str, /, **params: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The reply, and the messages on its progress that came before it."""
    await peer.send(request("work", method, **params))
    told = []
    while "method" in (message := await peer.receive()):
        assert message["method"] == "$/progress"
        told.append(message["params"])
    return message, told


async def done(peer: Peer, method: str, /, **params: Any) -> Any:
    """The result."""
    reply, _ = await work(peer, method, **params)
    assert "result" in reply, reply
    return reply["result"]


async def refused(peer: Peer, method: str, /, **params: Any) -> type[KeptError]:
    """The class of the refusal."""
    reply, _ = await work(peer, method, **params)
    return refusal(reply)


def refusal(reply: dict[str, Any]) -> type[KeptError]:
    """The class of the refusal that a reply holds."""
    assert "error" in reply, reply
    return type(from_wire(reply["error"]))
