"""A mistake in the daemon costs one request: it is answered, logged by its place without its text; the rest goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import apsw
import pytest

from kept.wire import VALUE_BYTES
from kept.wire.memory import SetMemory
from keptd.__main__ import main
from keptd.rpc import prepare
from keptd.rpc.dispatch import Dispatcher
from keptd.rpc.peer import Peer as ServedPeer
from keptd.supervisor import Broken, Supervisor
from tests.harness import Daemon, Peer, notification, request, running

pytestmark = pytest.mark.anyio

SECRET = "canary-of-an-exception"
DIED = "a thread of the store died"

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
    monkeypatch.setattr(prepare, "guard", lambda call, _policy: fail() if isinstance(call, SetMemory) else call)
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


@pytest.mark.parametrize("method", CALLS)
async def test_a_result_that_can_not_be_sent_costs_its_request_and_nobody_else_s(
    daemon: Daemon, peer: Peer, other: Peer, method: str
) -> None:
    def odd(*_: object) -> Any:
        return "\ud800"

    async def odd_later(*_: object) -> Any:
        return "\ud800"

    daemon.expected.add("handler failed")
    break_method(daemon, method, odd_later if method == "cli.run" else odd)
    assert await peer.refusal(method, **CALLS[method]) == (-32603, "internal_error")
    await peer.is_served()
    await other.is_served()


async def test_what_a_connection_meets_unforeseen_ends_that_connection_alone(
    daemon: Daemon, peer: Peer, other: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.expected.add("handler failed")
    execute = Dispatcher.execute

    def fail_for_one(dispatcher: Dispatcher, served: ServedPeer, work: Any) -> None:
        if served.number == 1:
            fail()
        execute(dispatcher, served, work)

    await peer.is_served()
    monkeypatch.setattr(Dispatcher, "execute", fail_for_one)
    await peer.send(request(1, "daemon.ping"))
    await peer.ended()
    await other.is_served()
    assert SECRET not in daemon.log()


async def test_a_value_that_is_too_large_is_refused_before_it_takes_the_writer_s_time(
    daemon: Daemon, peer: Peer
) -> None:
    with daemon.clock.holding("writer"):
        assert await peer.refusal("memory.set", key="k", value="x" * VALUE_BYTES) == (-32006, "too_large")
        assert await peer.refusal("action.log", action="a", details=["x" * VALUE_BYTES]) == (-32006, "too_large")


async def run_until_a_thread_dies(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(home) as daemon:
        daemon.expected.add(DIED)
        peer = await daemon.connect()
        await peer.is_served()
        monkeypatch.setattr(daemon.supervisor._store.writer, "_transact", fail)
        await peer.send(request(1, "memory.set", key="k", value=1))
        assert await peer.error() == (1, -32009, "storage_failed")
        await peer.ended()


async def test_a_thread_that_dies_ends_the_daemon_which_says_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExceptionGroup) as ended:
        await run_until_a_thread_dies(home, monkeypatch)
    assert ended.group_contains(Broken)
    async with running(home) as again:
        again.expected.add(DIED)
        await (await again.connect()).is_served()
        assert DIED in again.log()
        assert SECRET not in again.log()


def test_a_daemon_that_broke_ends_with_1(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: Supervisor) -> None:
        raise Broken("a thread failed")

    monkeypatch.setenv("KEPT_HOME", str(home))
    monkeypatch.setattr(Supervisor, "run", broken)
    monkeypatch.setattr("os.umask", lambda _mask: 0)
    monkeypatch.setattr("keptd.log.configure", lambda _log, _paths: None)
    assert main(["--set", "log.file=never"]) == 1
