"""A mistake in the daemon costs one request: it is answered, logged by its place without its text; the rest goes on."""

from __future__ import annotations

import json
from typing import Any

import apsw
import pytest

from keptd.rpc import prepare
from tests.harness import Daemon, Peer, notification

pytestmark = pytest.mark.anyio

SECRET = "canary-of-an-exception"

CALLS: dict[str, dict[str, Any]] = {
    "memory.get": {"key": "k"},
    "memory.search": {"query": "words"},
    "memory.set": {"key": "k", "value": 1},
    "daemon.status": {},
    "cli.run": {"argv": ["status"]},
}


def fail(*_: object) -> Any:
    raise LookupError(SECRET)


async def fail_later(*_: object) -> Any:
    raise LookupError(SECRET)


def break_method(daemon: Daemon, name: str, run: Any) -> None:
    daemon.supervisor._dispatcher._methods[name].run = run


def failures(daemon: Daemon) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, daemon.log().splitlines()) if line["level"] == "error"]


@pytest.mark.parametrize("method", CALLS)
async def test_a_handler_that_fails_is_answered_without_its_text(
    daemon: Daemon, peer: Peer, other: Peer, method: str
) -> None:
    daemon.expected.add("handler failed")
    break_method(daemon, method, fail_later if method == "cli.run" else fail)
    reply = await peer.ask(method, **CALLS[method])
    assert (reply["error"]["code"], reply["error"]["data"]["type"]) == (-32603, "internal_error")
    assert method in reply["error"]["message"]
    (line,) = failures(daemon)
    assert (line["event"], line["method"], line["error"]) == ("handler failed", method, "LookupError")
    assert any(__file__ in place for place in line["places"])
    assert SECRET not in str(reply)
    assert SECRET not in daemon.log()
    await peer.is_served()
    await other.is_served()


async def test_a_check_that_fails_is_answered_the_same_way(
    daemon: Daemon, peer: Peer, other: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.expected.add("handler failed")
    monkeypatch.setattr(prepare, "guard", fail)
    assert await peer.refusal("memory.set", key="k", value=1) == (-32603, "internal_error")
    await peer.send(notification("memory.set", key="k", value=1))
    await peer.is_served()
    await other.is_served()
    assert SECRET not in daemon.log()


async def test_a_write_that_fails_leaves_nothing_and_the_others_of_its_commit_stay(daemon: Daemon, peer: Peer) -> None:
    daemon.expected.add("handler failed")
    whole = daemon.supervisor._dispatcher._methods["memory.set"].run

    def half(ctx: Any, call: Any) -> Any:
        done = whole(ctx, call)
        return fail() if call.key == "bad" else done

    break_method(daemon, "memory.set", half)
    with daemon.clock.holding("writer"):
        await peer.send(*(notification("memory.set", key=key, value=1) for key in ("a", "bad", "b")))
        await daemon.until("all wait", lambda: daemon.served()[0].in_flight == 3)
    await daemon.until("all are done", lambda: daemon.served()[0].in_flight == 0)
    assert {item["key"] for item in (await peer.result("memory.list"))["items"]} == {"a", "b"}
    assert len((await peer.result("event.list"))["items"]) == 2


@pytest.mark.parametrize("method", ["memory.get", "memory.search"])
async def test_a_read_that_the_storage_fails_says_so(daemon: Daemon, peer: Peer, method: str) -> None:
    def broken(*_: object) -> Any:
        raise apsw.IOError(SECRET)

    daemon.expected.add("read failed")
    break_method(daemon, method, broken)
    reply = await peer.ask(method, **CALLS[method])
    assert (reply["error"]["code"], reply["error"]["data"]["type"]) == (-32009, "storage_failed")
    assert SECRET not in str(reply)
    await peer.is_served()
