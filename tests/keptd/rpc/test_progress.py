"""Who is told how far a request is, and what becomes of long work whose caller has gone."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from keptd.backups.work import Stopped, Work
from tests.harness import PATIENCE, Daemon, Peer, request, running
from tests.keptd.rpc.test_order import HEAVY, fill

pytestmark = pytest.mark.anyio

BACKUP = ["backup", "create"]


async def until_the_reply(peer: Peer) -> tuple[list[dict[str, Any]], Any]:
    """The parameters of each progress, and the message after them."""
    told = []
    while isinstance(message := await peer.receive(), dict) and message.get("method") == "$/progress":
        told.append(message["params"])
    return told, message


async def test_a_command_line_tells_of_what_it_asks_for_under_its_own_id(peer: Peer) -> None:
    await peer.send(request("line", "cli.run", argv=BACKUP, progress=True))
    told, reply = await until_the_reply(peer)
    assert reply["result"]["code"] == 0
    assert {params["id"] for params in told} == {"line"}
    assert {"copying", "checking"} <= {params["text"] for params in told}
    assert all(params["done"] <= params["total"] for params in told)


async def test_a_command_line_that_was_not_asked_for_it_tells_nothing(peer: Peer) -> None:
    # An older script takes whatever comes first for the reply.
    await peer.send(request("line", "cli.run", argv=BACKUP))
    told, reply = await until_the_reply(peer)
    assert told == []
    assert reply["result"]["code"] == 0


async def test_a_long_read_of_a_command_line_is_told_as_well(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(home, storage__read_seconds="3600") as daemon:
        peer = await daemon.connect()
        await fill(monkeypatch, peer)
        daemon.clock.tick = 1.0
        argv = ["memory", "list", *(f"--{name}={value}" for name, value in HEAVY.items())]
        await peer.send(request("line", "cli.run", argv=argv, progress=True))
        told, reply = await until_the_reply(peer)
    assert {(params["id"], params["text"]) for params in told} == {("line", "reading")}
    assert reply["result"]["code"] == 0


async def test_a_member_of_a_batch_is_told_before_the_batch_is_answered(peer: Peer) -> None:
    await peer.send(b"[" + request("long", "backup.create") + b"," + request("short", "daemon.ping") + b"]")
    told, replies = await until_the_reply(peer)
    assert {params["id"] for params in told} == {"long"}
    assert {reply["id"] for reply in replies} == {"long", "short"}


async def test_a_command_lines_long_work_ends_when_its_caller_has_gone(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = threading.Event()

    def tick(self: Work, *, rests: bool = True) -> None:
        began.set()
        self._stop.wait(PATIENCE)
        raise Stopped

    monkeypatch.setattr(Work, "tick", tick)
    peer = await daemon.connect()
    await peer.send(request("line", "cli.run", argv=BACKUP, progress=True))
    await daemon.until("the backup is at work", began.is_set)
    await peer.close()
    await daemon.until("the connection has ended, with its threads", lambda: not daemon.served())
    assert os.listdir(daemon.paths.backups) == [".last"]
    monkeypatch.undo()
    await (await daemon.connect()).result("cli.run", argv=BACKUP)


async def test_every_long_call_tells_how_far_it_is(daemon: Daemon, peer: Peer) -> None:
    async def telling(method: str, **params: Any) -> tuple[Any, set[str]]:
        await peer.send(request("long", method, **params))
        told, reply = await until_the_reply(peer)
        texts = {params["text"] for params in told}
        assert any(texts), method
        return reply["result"], texts

    for number in range(50):
        await peer.result("memory.set", key=f"k{number}", value=number)
    backup, _ = await telling("backup.create", label="first")
    await telling("backup.verify", id=backup["id"])
    await telling("backup.restore", id=backup["id"])
    await telling("maintenance.check")
    await telling("job.run", name="maintenance.check")
    await telling("maintenance.optimize")
    archive, _ = await telling("data.export_all")
    part = await peer.result("data.read", id=archive["id"], offset=0)
    upload = await peer.result("data.begin", bytes=archive["bytes"], sha256=archive["sha256"])
    await peer.result("data.write", id=upload["id"], offset=0, data=part["data"])
    _, texts = await telling("data.import_all", id=upload["id"], on_conflict="replace")
    assert "making a backup: copying" in texts
    await telling("data.delete_all", confirm=f"delete everything in {Path(daemon.paths.data_dir).name}", backups=True)


async def test_the_next_part_of_the_work_is_told_however_soon_it_comes(daemon: Daemon, peer: Peer) -> None:
    await peer.send(request("long", "maintenance.check"))
    told, _ = await until_the_reply(peer)
    parts = ["reading every page", "following references", "comparing text indexes", "reading the archives"]
    assert [params["text"] for params in told if params["text"] in parts] == parts


async def test_a_part_that_says_nothing_more_of_itself_is_told_again(daemon: Daemon) -> None:
    told: list[tuple[int, int, str]] = []
    work = Work(daemon.clock, lambda *what: told.append(what))
    work.tick()
    work.tell(0, 0, "checking")
    for _ in range(5):
        daemon.clock.advance(1)
        work.tick()
    assert told == [(0, 0, "checking")] * 3
