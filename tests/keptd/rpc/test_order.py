"""Order, cancelling, deadlines and progress: what a pipelining client can rely on."""

from __future__ import annotations

from typing import Any

import pytest

from keptd.store import readers
from tests.harness import Daemon, Peer, notification, request, running

pytestmark = pytest.mark.anyio

CANCELLED = (-32800, "cancelled")
TIMEOUT = (-32010, "timeout")


HEAVY = {"tag": "all", "category": "none", "scope": "nowhere"}
"""A list that passes over every entry and finds none."""


@pytest.fixture
async def entries(monkeypatch: pytest.MonkeyPatch, peer: Peer) -> None:
    """Entries to pass over, and a store that looks at its deadline often enough for so few."""
    await fill(monkeypatch, peer)


async def fill(monkeypatch: pytest.MonkeyPatch, peer: Peer) -> None:
    monkeypatch.setattr(readers, "_STEPS", 100)
    count = 200
    await peer.send(*(request(n, "memory.set", key=f"k{n}", value=1, tags=["all"]) for n in range(count)))
    for _ in range(count):
        assert "result" in await peer.receive()


async def test_a_thousand_pipelined_writes_to_one_key_end_with_the_last(peer: Peer) -> None:
    for start in range(0, 1000, 250):
        await peer.send(*(request(n, "memory.set", key="k", value=n) for n in range(start, start + 250)))
        assert [(await peer.receive())["id"] for _ in range(250)] == list(range(start, start + 250))
    entry = await peer.result("memory.get", key="k")
    assert (entry["value"], entry["version"]) == (999, 1000)


async def test_writes_of_a_batch_are_applied_in_its_order(peer: Peer) -> None:
    writes = [request(n, "memory.set", key="k", value=n) for n in range(100)]
    await peer.send(b"[" + b",".join(writes) + b"]", request("read", "memory.get", key="k"))
    replies = [await peer.receive(), await peer.receive()]
    batch = next(reply for reply in replies if isinstance(reply, list))
    assert [(reply["id"], reply["result"]["version"]) for reply in batch] == [(n, n + 1) for n in range(100)]
    assert (await peer.result("memory.get", key="k"))["value"] == 99


async def test_a_read_that_is_answered_at_once_overtakes_a_heavy_one(daemon: Daemon, peer: Peer) -> None:
    with daemon.clock.holding("reader"):
        await peer.send(request("heavy", "memory.search", query="words"), request("light", "memory.list"))
        assert (await peer.receive())["id"] == "light"
    assert (await peer.receive())["id"] == "heavy"


async def test_requests_with_the_same_id_in_flight_are_both_answered(daemon: Daemon, peer: Peer) -> None:
    with daemon.clock.holding("writer"):
        await peer.send(request(1, "memory.set", key="a", value=1), request(1, "memory.set", key="b", value=2))
        await peer.is_served()
    replies = [await peer.receive(), await peer.receive()]
    assert [(reply["id"], reply["result"]["key"]) for reply in replies] == [(1, "a"), (1, "b")]
    assert not daemon.served()[0].pending


async def test_a_queued_write_that_is_cancelled_writes_nothing(daemon: Daemon, peer: Peer) -> None:
    with daemon.clock.holding("writer"):
        await peer.send(request(1, "memory.set", key="first", value=1))
        await daemon.clock.reached()
        await peer.send(request(2, "memory.set", key="second", value=2), notification("$/cancelRequest", id=2))
        await peer.is_served()
    assert (await peer.receive())["id"] == 1
    assert await peer.error() == (2, *CANCELLED)
    assert [item["key"] for item in (await peer.result("memory.list"))["items"]] == ["first"]


async def test_a_heavy_read_that_is_cancelled_stops_in_the_middle(daemon: Daemon, peer: Peer, entries: None) -> None:
    # It asks for the time once when it begins, and then each time that SQLite lets it look.
    with daemon.clock.holding("reader", passes=1):
        await peer.send(request(1, "memory.list", **HEAVY))
        await daemon.clock.reached()
        await peer.send(notification("$/cancelRequest", id=1))
        await peer.is_served()
    assert await peer.error() == (1, *CANCELLED)


@pytest.mark.parametrize("params", [{}, {"id": "nobody"}, {"id": 2}, {"id": []}, {"id": True}, {"other": 1}], ids=str)
async def test_cancelling_what_is_not_in_flight_does_nothing_and_is_not_answered(
    peer: Peer, params: dict[str, Any]
) -> None:
    await peer.send(notification("$/cancelRequest", **params))
    await peer.is_served()


async def test_a_cancelling_that_wants_an_answer_is_no_method(peer: Peer) -> None:
    assert await peer.refusal("$/cancelRequest", id=1) == (-32601, "method_not_found")


async def test_a_heavy_read_past_its_deadline_is_stopped_in_the_middle(
    home: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(home, storage__read_seconds="1.5") as daemon:
        peer = await daemon.connect()
        await fill(monkeypatch, peer)
        daemon.clock.tick = 1.0
        assert await peer.refusal("memory.list", **HEAVY) == TIMEOUT
        daemon.clock.tick = 0.0
        assert (await peer.result("memory.list", **HEAVY))["items"] == []


async def test_a_heavy_read_that_waits_past_its_deadline_is_not_begun(home: Any) -> None:
    async with running(home, storage__read_seconds="1", storage__readers="1") as daemon:
        peer = await daemon.connect()
        with daemon.clock.holding("reader"):
            await peer.send(request(1, "memory.search", query="words"))
            await daemon.clock.reached()
            daemon.clock.advance(2)
        assert await peer.error() == (1, *TIMEOUT)


async def test_a_write_that_waits_past_its_deadline_writes_nothing(daemon: Daemon, peer: Peer) -> None:
    with daemon.clock.holding("writer"):
        await peer.send(request(1, "memory.set", key="k", value=1))
        await daemon.clock.reached()
        daemon.clock.advance(31)
    assert await peer.error() == (1, *TIMEOUT)
    assert await peer.refusal("memory.get", key="k") == (-32001, "not_found")


async def test_a_long_read_tells_how_far_it_is(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(home, storage__read_seconds="3600") as daemon:
        peer = await daemon.connect()
        await fill(monkeypatch, peer)
        daemon.clock.tick = 1.0
        await peer.send(request("long", "memory.list", **HEAVY))
        messages = [await peer.receive()]
        while "method" in messages[-1]:
            messages.append(await peer.receive())
    assert messages.pop() == {"jsonrpc": "2.0", "id": "long", "result": {"items": [], "next_cursor": None}}
    assert {(message["method"], message["params"]["id"]) for message in messages} == {("$/progress", "long")}
    elapsed = [message["params"]["elapsed_ms"] for message in messages]
    assert elapsed == sorted(set(elapsed))
    assert elapsed[0] >= 1000
