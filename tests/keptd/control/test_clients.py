"""daemon.clients and daemon.activity: who is connected, and what was asked."""

from __future__ import annotations

import os
from typing import Any

import pytest

from keptd.rpc.peer import program_name
from tests.harness import Daemon, Peer, notification, request

pytestmark = pytest.mark.anyio


async def clients(peer: Peer) -> list[dict[str, Any]]:
    page = await peer.result("daemon.clients")
    assert page["next_cursor"] is None
    return list(page["items"])


async def test_clients_are_listed_as_they_came_with_what_they_said_of_themselves(daemon: Daemon, peer: Peer) -> None:
    (alone,) = await clients(peer)
    assert (alone["client"], alone["pid"]) == (program_name(os.getpid()), os.getpid())
    assert alone["connected_at"] == "2026-01-01T00:00:00Z"
    daemon.clock.advance(5)
    other = await daemon.connect()
    await other.result("daemon.hello", client="editor", user="ann", project="kept", session="s1")
    first, second = await clients(peer)
    assert first["client"] == alone["client"]
    named = {name: second[name] for name in ("client", "user", "project", "session", "connected_at")}
    assert named == {
        "client": "editor",
        "user": "ann",
        "project": "kept",
        "session": "s1",
        "connected_at": "2026-01-01T00:00:05Z",
    }


async def test_a_clients_requests_are_counted_also_where_they_are_refused(daemon: Daemon, peer: Peer) -> None:
    other = await daemon.connect()
    await other.result("memory.set", key="k", value=1)
    await other.refusal("memory.get", key="none")
    await other.refusal("no.such")
    await other.send(notification("daemon.ping"))
    await other.result("event.subscribe")
    _, counted = await clients(peer)
    assert (counted["requests"], counted["subscriptions"], counted["in_flight"]) == (5, 1, 0)


async def test_what_a_client_waits_for_is_told(daemon: Daemon, peer: Peer) -> None:
    other = await daemon.connect()
    await other.is_served()
    lines = [request(number, "memory.set", key=f"k{number}", value="x" * 500) for number in range(3)]
    with daemon.clock.holding("writer"):
        await other.send(*lines)
        await daemon.until("the requests", lambda: daemon.served()[1].in_flight == 3)
        _, waiting = await clients(peer)
    assert waiting["queued_bytes"] == sum(map(len, lines))
    for _ in lines:
        assert "result" in await other.receive()
    _, served = await clients(peer)
    assert (served["in_flight"], served["queued_bytes"], served["requests"]) == (0, 0, 4)


async def test_bytes_are_counted_both_ways_and_stay_counted_when_a_client_has_gone(daemon: Daemon, peer: Peer) -> None:
    other = await daemon.connect()
    line = request(1, "memory.get", key="none")
    await other.send(line)
    await other.receive()
    _, counted = await clients(peer)
    assert counted["received_bytes"] == len(line) + 1
    assert counted["sent_bytes"] > 50
    await other.close()
    await daemon.until("the end of the connection", lambda: len(daemon.served()) == 1)
    (left,) = daemon.served()
    server = daemon.supervisor._server
    assert server.received_bytes - left.received_bytes == counted["received_bytes"]
    assert server.sent_bytes - left.sent_bytes == counted["sent_bytes"]
    status = await peer.result("daemon.status")
    assert status["received_bytes"] == server.received_bytes
    assert counted["sent_bytes"] < status["sent_bytes"] < server.sent_bytes


async def test_activity_counts_by_kind_and_by_method(daemon: Daemon, peer: Peer) -> None:
    for number in range(3):
        await peer.result("memory.set", key="k", value=number)
    await peer.result("memory.get", key="k")
    await peer.result("memory.search", query="k")
    await peer.result("daemon.ping")
    activity = await peer.result("daemon.activity")
    assert (activity["reads"], activity["writes"], activity["controls"]) == (2, 3, 1)
    calls = {method["method"]: method["calls"] for method in activity["methods"]}
    assert calls == {"memory.set": 3, "memory.get": 1, "memory.search": 1, "daemon.ping": 1}
    assert (await peer.result("daemon.activity"))["controls"] == 2
