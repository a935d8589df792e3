"""The same key within a day gives the first result and changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.harness import Daemon, Peer, notification, request, running

pytestmark = pytest.mark.anyio

CONFLICT = (-32002, "conflict")


async def versions(peer: Peer) -> int:
    return len((await peer.result("event.list"))["items"])


async def test_the_same_request_again_gives_the_first_result(daemon: Daemon, peer: Peer) -> None:
    first = await peer.result("memory.set", key="k", value=1, idempotency_key="i")
    daemon.clock.advance(5)
    await peer.result("memory.set", key="k", value=2)
    assert await peer.result("memory.set", key="k", value=1, idempotency_key="i") == first
    assert (await peer.result("memory.get", key="k"))["value"] == 2
    assert await versions(peer) == 2


async def test_the_order_of_the_parameters_does_not_make_another_request(peer: Peer) -> None:
    first = await peer.result("memory.set", key="k", value={"a": 1}, idempotency_key="i")
    await peer.send(
        b'{"id":1,"params":{"idempotency_key":"i","value":{"a":1},"key":"k"},"method":"memory.set","jsonrpc":"2.0"}'
    )
    assert (await peer.receive())["result"] == first


async def test_it_holds_across_connections_and_a_restart(home: Path) -> None:
    async with running(home) as daemon:
        first = await (await daemon.connect()).result("action.log", action="did", idempotency_key="i")
    async with running(home) as daemon:
        peer = await daemon.connect()
        assert await peer.result("action.log", action="did", idempotency_key="i") == first
        assert len((await peer.result("action.list"))["items"]) == 1


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("memory.set", {"key": "k", "value": 2}),
        ("memory.set", {"key": "other", "value": 1}),
        ("memory.set", {"key": "k", "value": 1, "tags": []}),
        ("memory.delete", {"key": "k"}),
        ("action.log", {"action": "did"}),
    ],
)
async def test_another_request_under_the_key_is_a_conflict(peer: Peer, method: str, params: dict[str, object]) -> None:
    await peer.result("memory.set", key="k", value=1, idempotency_key="i")
    assert await peer.refusal(method, **params, idempotency_key="i") == CONFLICT
    assert await versions(peer) == 1


async def test_two_of_the_same_in_one_commit_change_one_thing(daemon: Daemon, peer: Peer) -> None:
    other = await daemon.connect()
    with daemon.clock.holding("writer"):
        await other.send(request(0, "memory.set", key="first", value=1))
        await daemon.clock.reached()
        await peer.send(
            request(1, "action.log", action="did", idempotency_key="i"),
            request(2, "action.log", action="did", idempotency_key="i"),
            request(3, "action.log", action="else", idempotency_key="i"),
        )
        await peer.is_served()
    replies = [await peer.receive() for _ in range(3)]
    assert replies[0]["result"] == replies[1]["result"]
    assert replies[2]["error"]["code"] == CONFLICT[0]
    assert len((await peer.result("action.list"))["items"]) == 1
    assert (await peer.result("daemon.status"))["storage"]["largest_batch"] >= 3


async def test_two_of_the_same_in_one_batch_change_one_thing(peer: Peer) -> None:
    line = request(1, "action.log", action="did", idempotency_key="i")
    await peer.send(b"[" + line + b"," + line + b"]")
    first, second = await peer.receive()
    assert first == second
    assert len((await peer.result("action.list"))["items"]) == 1


async def test_a_notification_counts_as_the_first(peer: Peer) -> None:
    await peer.send(notification("action.log", action="did", idempotency_key="i"))
    await peer.result("action.log", action="did", idempotency_key="i")
    assert len((await peer.result("action.list"))["items"]) == 1


async def test_a_refused_write_may_be_repeated_under_its_key(peer: Peer) -> None:
    await peer.result("memory.set", key="k", value=1)
    assert await peer.refusal("memory.set", key="k", value=2, if_version=2, idempotency_key="i") == CONFLICT
    await peer.result("memory.set", key="k", value=0)
    assert (await peer.result("memory.set", key="k", value=2, if_version=2, idempotency_key="i"))["version"] == 3


async def test_a_key_is_forgotten_after_a_day(daemon: Daemon, peer: Peer) -> None:
    await peer.result("memory.set", key="k", value=1, idempotency_key="i")
    daemon.clock.advance(23 * 3600)
    assert (await forgotten(peer))["summary"] == "0 forgotten"
    assert await peer.refusal("memory.set", key="k", value=2, idempotency_key="i") == CONFLICT
    daemon.clock.advance(2 * 3600)
    assert (await forgotten(peer))["summary"] == "1 forgotten"
    await peer.result("memory.set", key="k", value=2, idempotency_key="i")
    assert (await peer.result("memory.get", key="k"))["value"] == 2


async def forgotten(peer: Peer) -> dict[str, Any]:
    """What came of the job that forgets keys."""
    await peer.send(request("run", "job.run", name="receipt.expire"))
    while "method" in (reply := await peer.receive()):
        pass
    return dict(reply["result"])


@pytest.mark.parametrize("key", ["", "x" * 129, 1, []])
async def test_a_key_of_another_form_is_refused(peer: Peer, key: object) -> None:
    assert await peer.refusal("memory.set", key="k", value=1, idempotency_key=key) == (-32602, "invalid_params")
