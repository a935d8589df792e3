"""What one caller may make the daemon hold: requests, bytes, connections. Past that it is told; nobody else notices."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from kept.wire.errors import Busy
from keptd.rpc.peer import HIGH_WATER
from tests.harness import Daemon, Peer, notification, request, running

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024
BUSY = (-32007, "busy")


async def fill(peer: Peer, key: str, size: int) -> None:
    await peer.result("memory.set", key=key, value="x" * size)


async def test_a_client_that_never_reads_is_not_read_from_and_nobody_else_notices(
    daemon: Daemon, peer: Peer, other: Peer
) -> None:
    await fill(peer, "big", 500_000)
    served = daemon.served()[0]
    count = 400
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(peer.send, *(request(number, "memory.get", key="big") for number in range(count)))
        await daemon.until("the outbox fills", lambda: len(served.outbox) > HIGH_WATER)
        for _ in range(50):
            await other.is_served()
            assert len(served.outbox) < HIGH_WATER + MIB
        for number in range(count):
            reply = await peer.receive()
            assert (reply["id"], len(reply["result"]["value"])) == (number, 500_000)
    await peer.is_served()


async def test_replies_that_a_client_never_reads_are_dropped_past_the_limit_and_it_is_told(home: Any) -> None:
    async with running(home, limits__queued_bytes=str(MIB)) as daemon:
        peer, other = await daemon.connect(), await daemon.connect()
        await fill(peer, "some words", 300_000)
        with daemon.clock.holding("reader"):
            # All are asked for before the first is answered, so that nothing holds the asking back.
            await peer.send(*(request(number, "memory.search", query="words") for number in range(40)))
            await daemon.until("all are in flight", lambda: daemon.served()[0].in_flight == 40)
        await daemon.until("all are answered", lambda: daemon.served()[0].in_flight == 0)
        assert len(daemon.served()[0].outbox) < 2 * MIB
        await other.is_served()
        replies = [await peer.receive() for _ in range(40)]
        dropped = [reply["error"] for reply in replies if "error" in reply]
        assert 0 < len(dropped) < 40
        assert {error["code"] for error in dropped} == {-32007}
        assert all(error["data"]["retry_after_ms"] > 0 for error in dropped)
        await peer.is_served()


async def test_a_batch_whose_replies_are_too_many_bytes_is_answered_in_part(home: Any) -> None:
    async with running(home, limits__queued_bytes=str(MIB)) as daemon:
        peer = await daemon.connect()
        await fill(peer, "big", 300_000)
        await peer.send(b"[" + b",".join(request(number, "memory.get", key="big") for number in range(20)) + b"]")
        replies = await peer.receive()
        assert [reply["id"] for reply in replies] == list(range(20))
        assert ["result" in reply for reply in replies] == [True] * 3 + [False] * 17
        assert daemon.served()[0].held == 0


async def test_requests_that_wait_count_in_bytes(home: Any) -> None:
    async with running(home, limits__queued_bytes=str(MIB)) as daemon:
        peer, other = await daemon.connect(), await daemon.connect()
        with daemon.clock.holding("writer"):
            await other.send(request(0, "memory.set", key="first", value=1))
            await daemon.clock.reached()
            await peer.send(*(request(number, "memory.set", key="k", value="x" * 400_000) for number in range(5)))
            assert [await peer.error() for _ in range(3)] == [(number, *BUSY) for number in (2, 3, 4)]
        assert [(await peer.receive())["id"] for _ in range(2)] == [0, 1]
        assert daemon.served()[0].held == 0
        await fill(peer, "k", 400_000)


async def test_a_request_past_the_bytes_that_may_wait_is_taken_when_nothing_else_waits(home: Any) -> None:
    async with running(home, limits__queued_bytes=str(MIB)) as daemon:
        peer = await daemon.connect()
        assert await peer.refusal("memory.set", key="k", value="x" * (MIB + 1)) == (-32006, "too_large")


async def test_requests_in_flight_are_limited_and_the_refusal_says_when_to_come_back(home: Any) -> None:
    async with running(home, limits__in_flight="3") as daemon:
        peer, other = await daemon.connect(), await daemon.connect()
        with daemon.clock.holding("writer"):
            await peer.send(*(request(number, "memory.set", key="k", value=number) for number in range(5)))
            for number in (3, 4):
                reply = await peer.receive()
                assert (reply["id"], reply["error"]["code"]) == (number, -32007)
                assert reply["error"]["data"]["retry_after_ms"] > 0
                assert reply["error"]["data"]["limit"] == 3
            await peer.is_served()  # What is answered at once is not in flight.
            await other.is_served()
        assert [(await peer.receive())["id"] for _ in range(3)] == [0, 1, 2]
        await fill(peer, "k", 1)


async def test_notifications_past_the_limit_in_flight_are_dropped(home: Any) -> None:
    async with running(home, limits__in_flight="1") as daemon:
        peer = await daemon.connect()
        with daemon.clock.holding("writer"):
            await peer.send(*(notification("memory.set", key=f"k{number}", value=1) for number in range(3)))
            await peer.is_served()
        await daemon.until("it is written", lambda: daemon.served()[0].in_flight == 0)
        assert [item["key"] for item in (await peer.result("memory.list"))["items"]] == ["k0"]


async def test_of_300_connections_256_are_served_and_the_others_told(daemon: Daemon) -> None:
    peers = [await daemon.connect() for _ in range(256)]
    for peer in peers:
        await peer.is_served()
    for _ in range(44):
        turned_away = await daemon.connect()
        reply = await turned_away.receive()
        assert (reply["id"], reply["error"]["code"], reply["error"]["data"]["limit"]) == (None, Busy.code, 256)
        assert reply["error"]["data"]["retry_after_ms"] > 0
        await turned_away.ended()
    for peer in peers:
        await peer.is_served()
    for peer in peers[:10]:
        await peer.close()
    await daemon.until("ten are let go", lambda: len(daemon.served()) == 246)
    for _ in range(10):
        await (await daemon.connect()).is_served()
    assert (await (await daemon.connect()).receive())["error"]["code"] == Busy.code


async def test_a_reload_changes_the_limits_of_open_connections(home: Any) -> None:
    async with running(home) as daemon:
        peer = await daemon.connect()
        daemon.reconfigure(limits__queued_bytes=str(2 * MIB))
        assert (await peer.result("daemon.reload"))["applied"] == ["limits.queued_bytes"]
        assert daemon.served()[0].queued_bytes == 2 * MIB


async def test_everybody_who_waits_for_a_client_to_read_goes_on_when_it_does(daemon: Daemon, peer: Peer) -> None:
    await fill(peer, "big", 500_000)
    first = await peer.result("event.subscribe")
    second = await peer.result("event.subscribe")
    served = daemon.served()[0]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(peer.send, *(request(number, "memory.get", key="big") for number in range(40)))
        await daemon.until("the outbox fills", lambda: len(served.outbox) > HIGH_WATER)
        # Now the reading side waits, and both subscriptions wait as well.
        writer = await daemon.connect()
        await writer.result("memory.set", key="k", value=1)
        for _ in range(20):
            await writer.is_served()
        events: list[str] = []
        replies = 0
        while len(events) < 2 or replies < 40:
            message = await peer.receive()
            if "method" in message:
                events.append(message["params"]["subscription_id"])
            else:
                replies += 1
    assert sorted(events) == sorted([first["id"], second["id"]])
