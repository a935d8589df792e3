"""daemon.* and rpc.discover, over the socket."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest

from kept.wire.catalog import calls
from keptd import VERSION
from keptd.rpc.peer import program_name
from tests.harness import Daemon, Peer, notification, request, running

pytestmark = pytest.mark.anyio


async def test_hello_tells_both_sides_who_the_other_is(peer: Peer) -> None:
    welcome = await peer.result("daemon.hello", client="editor", version="1.2", user="u", project="p", session="s")
    assert welcome == {
        "name": "keptd",
        "version": VERSION,
        "protocol": 1,
        "pid": os.getpid(),
        "actor": {
            "client": "editor",
            "uid": os.geteuid(),
            "pid": os.getpid(),
            "version": "1.2",
            "user": "u",
            "project": "p",
            "session": "s",
        },
    }


async def test_writes_are_signed_with_the_name_of_the_last_hello_before_them(daemon: Daemon, peer: Peer) -> None:
    unnamed = await peer.result("memory.set", key="k", value=0)
    with daemon.clock.holding("writer"):
        await peer.send(
            request("h1", "daemon.hello", client="first"),
            request(1, "memory.set", key="k", value=1),
            request("h2", "daemon.hello", client="second"),
            request(2, "memory.set", key="k", value=2),
        )
        assert {(await peer.receive())["id"] for _ in range(2)} == {"h1", "h2"}
    assert [(await peer.receive())["result"]["actor"] for _ in range(2)] == ["first", "second"]
    assert unnamed["actor"] == program_name(os.getpid())
    actors = [change["actor"]["client"] for change in (await peer.result("event.list"))["items"]]
    assert actors == [unnamed["actor"], "first", "second"]


async def test_a_hello_can_not_claim_another_uid_or_pid(peer: Peer) -> None:
    for claim in ({"uid": 0}, {"pid": 1}):
        assert await peer.refusal("daemon.hello", client="x", **claim) == (-32602, "invalid_params")


async def test_ping_tells_the_daemons_time(daemon: Daemon, peer: Peer) -> None:
    assert (await peer.result("daemon.ping"))["time"] == "2026-01-01T00:00:00Z"
    daemon.clock.advance(1.5)
    assert (await peer.result("daemon.ping"))["time"] == "2026-01-01T00:00:01.500000Z"


async def test_status_counts_what_happens(daemon: Daemon, peer: Peer) -> None:
    first = await peer.result("daemon.status")
    assert (first["version"], first["pid"], first["connections"]) == (VERSION, os.getpid(), 1)
    assert (first["socket"], first["home"]) == (daemon.paths.socket, daemon.paths.data_dir)
    assert first["storage"]["state"] == "ok"
    await daemon.connect()
    await peer.result("memory.set", key="k", value=1)
    await peer.refusal("memory.get", key="none")
    daemon.clock.advance(61)
    second = await peer.result("daemon.status")
    assert second["uptime_seconds"] == first["uptime_seconds"] + 61
    assert second["connections"] == 2
    assert second["requests"] == first["requests"] + 3
    assert second["refused"] == first["refused"] + 1
    assert second["storage"]["last_seq"] == 1
    assert second["storage"]["writes"] > first["storage"]["writes"]


async def test_a_reload_applies_what_it_can_and_names_what_waits(daemon: Daemon, peer: Peer) -> None:
    daemon.reconfigure(limits__in_flight="7", storage__readers="3")
    assert await peer.result("daemon.reload") == {"applied": ["limits.in_flight"], "needs_restart": ["storage.readers"]}
    assert daemon.supervisor._config.limits.in_flight == 7
    assert daemon.supervisor._config.storage.readers == 2


async def test_a_reload_of_wrong_settings_is_refused_and_changes_nothing(daemon: Daemon, peer: Peer) -> None:
    daemon.reconfigure(limits__in_flight="0")
    reply = await peer.ask("daemon.reload")
    assert reply["error"]["code"] == -32602
    for word in ("limits.in_flight", daemon.paths.config_file, "from 1 to"):
        assert word in reply["error"]["message"]
    assert daemon.supervisor._config.limits.in_flight == 256
    await peer.is_served()


async def test_a_reload_without_changes_says_so(peer: Peer) -> None:
    assert await peer.result("daemon.reload") == {"applied": [], "needs_restart": []}


async def test_stop_as_a_notification_stops(daemon: Daemon, peer: Peer) -> None:
    await peer.send(notification("daemon.stop"))
    await peer.ended()


async def test_what_was_written_is_there_after_a_stop_and_a_start(home: Path) -> None:
    async with running(home) as daemon:
        peer = await daemon.connect()
        await peer.result("memory.set", key="k", value={"a": [1, None, "é"]})
        await peer.result("daemon.stop")
    async with running(home) as daemon:
        assert (await (await daemon.connect()).result("memory.get", key="k"))["value"] == {"a": [1, None, "é"]}


async def test_discover_describes_every_method(peer: Peer) -> None:
    document = await peer.result("rpc.discover")
    assert [method["name"] for method in document["methods"]] == sorted(calls())


async def test_the_command_line_runs_in_the_daemon_as_the_one_who_asks(daemon: Daemon, peer: Peer) -> None:
    await peer.result("daemon.hello", client="tester")
    done = await peer.result("cli.run", argv=["memory", "set", "k", "words"])
    assert (done["code"], done["err"]) == (0, "")
    entry = await peer.result("memory.get", key="k")
    assert (entry["value"], entry["actor"]) == ("words", "tester")
    assert (await peer.result("cli.run", argv=["memory", "get", "none"]))["code"] == 1
    assert (await peer.result("cli.run", argv=["memory", "gett"]))["code"] == 2


async def test_many_command_lines_at_once_on_one_connection_all_end(daemon: Daemon, peer: Peer) -> None:
    other = await daemon.connect()
    await peer.send(*(request(n, "cli.run", argv=["memory", "set", f"k{n}", "1"]) for n in range(60)))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other.is_served)
        replies = [await peer.receive() for _ in range(60)]
    assert sorted(reply["id"] for reply in replies) == list(range(60))
    assert {reply["result"]["code"] for reply in replies} == {0}
    assert len((await peer.result("memory.list", limit=100))["items"]) == 60
