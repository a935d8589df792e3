"""Going back, in a daemon at work."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

from kept.wire import Call
from kept.wire.backup import CreateBackup, DeleteBackup, RestoreBackup, VerifyBackup
from kept.wire.errors import Cancelled, Conflict, NotFound
from kept.wire.journal import LogAction
from kept.wire.memory import GetMemory, SetMemory
from keptd.backups import DOMAIN, swap
from keptd.backups import copy as copying
from keptd.backups.archive import ARCHIVE
from keptd.backups.place import Attempt, Place
from keptd.backups.work import Stopped, Work
from keptd.domain import JobCtx
from tests.harness import PATIENCE, Daemon, Peer, notification, request, running

pytestmark = pytest.mark.anyio

CLIENTS = 8


async def event(peer: Peer) -> dict[str, Any]:
    message = await peer.receive()
    assert message["method"] == "event", message
    change: dict[str, Any] = message["params"]["change"]
    return change


async def keys(peer: Peer) -> list[str]:
    return sorted(item["key"] for item in (await peer.result("memory.list", limit=1000))["items"])


def content_of(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def rewrite(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


async def test_going_back_gives_the_former_state_and_can_be_undone(daemon: Daemon, peer: Peer) -> None:
    await peer.result("memory.set", key="a", value="zebra")
    await peer.result("memory.set", key="gone", value="zebra")
    backup = await peer.result("backup.create", label="before the mistake")
    assert backup["verified_at"]
    assert (backup["kind"], backup["label"]) == ("manual", "before the mistake")
    await peer.result("memory.delete", key="gone")
    await peer.result("memory.set", key="a", value="giraffe")
    await peer.result("memory.set", key="b", value="zebra")
    restored = await peer.result("backup.restore", id=backup["id"])
    assert await keys(peer) == ["a", "gone"]
    assert (await peer.result("memory.get", key="a"))["value"] == "zebra"
    # Through every connection of the store: inline, readers, and the writer, whose index must be that of the backup.
    await peer.result("memory.set", key="c", value="zebra")
    hits = await peer.result("memory.search", query="zebra")
    assert len(hits["items"]) == 3
    undone = await peer.result("backup.restore", id=restored["undo_id"])
    assert await keys(peer) == ["a", "b"]
    assert (await peer.result("memory.get", key="a"))["value"] == "giraffe"
    await peer.result("memory.set", key="d", value="zebra")
    assert len((await peer.result("memory.search", query="zebra"))["items"]) == 2
    await peer.result("backup.restore", id=undone["undo_id"])
    assert await keys(peer) == ["a", "c", "gone"]
    kinds = [item["kind"] for item in (await peer.result("backup.list"))["items"]]
    assert sorted(kinds) == ["before_restore", "before_restore", "before_restore", "manual"]
    integrity = daemon.supervisor._store.inline.pragma("integrity_check")
    assert integrity == "ok"


async def test_subscribers_go_on_and_are_told_whatever_their_topics(daemon: Daemon, peer: Peer) -> None:
    backup = await peer.result("backup.create")
    await peer.result("memory.set", key="a", value=1)
    everything, one = await daemon.connect(), await daemon.connect()
    await everything.result("event.subscribe", since=0)
    await one.result("event.subscribe", topics=["decision"])
    assert (await event(everything))["seq"] == 1
    restored = await peer.result("backup.restore", id=backup["id"])
    for subscriber in (everything, one):
        change = await event(subscriber)
        assert (change["entity"], change["method"]) == ("database", "backup.restore")
        assert (change["seq"], change["entity_id"]) == (restored["seq"], backup["id"])
    assert restored["seq"] == 2
    assert (await peer.result("memory.set", key="b", value=1))["version"] == 1
    assert (await event(everything))["seq"] == 3
    await peer.result("decision.add", decision="d", reasoning="r")
    assert (await event(one))["seq"] == 4


async def test_a_write_from_before_that_is_repeated_is_not_done_again(peer: Peer) -> None:
    backup = await peer.result("backup.create")
    first = await peer.result("memory.set", key="a", value=1, idempotency_key="once")
    await peer.result("backup.restore", id=backup["id"])
    assert await peer.result("memory.set", key="a", value=1, idempotency_key="once") == first
    assert await keys(peer) == []
    code, kind = await peer.refusal("memory.set", key="a", value=2, idempotency_key="once")
    assert (code, kind) == (Conflict.code, Conflict.type)


async def test_no_sequence_is_given_twice(peer: Peer) -> None:
    backup = await peer.result("backup.create")
    for number in range(3):
        await peer.result("action.log", action=f"undone {number}")
    await peer.result("backup.restore", id=backup["id"])
    await peer.result("action.log", action="after")
    listed = await peer.result("event.list")
    assert [item["seq"] for item in listed["items"]] == [4, 5]


async def test_the_mirror_is_made_anew_after_going_back(home: Path) -> None:
    async with running(home, mirror__enabled="true", mirror__interval_seconds="0.01") as daemon:
        peer = await daemon.connect()
        lines = home / "history" / "actions.jsonl"

        def mirrored() -> list[str]:
            if not lines.exists():
                return []
            return [json.loads(line)["action"]["action"] for line in lines.read_text().splitlines()]

        async def until(*actions: str) -> None:
            await daemon.until(f"{actions} in the mirror", lambda: mirrored() == list(actions))

        await peer.result("action.log", action="one")
        backup = await peer.result("backup.create")
        await peer.result("action.log", action="two")
        await until("one", "two")
        restored = await peer.result("backup.restore", id=backup["id"])
        await peer.result("action.log", action="three")
        await until("one", "three")
        await peer.result("backup.restore", id=restored["undo_id"])
        await peer.result("action.log", action="four")
        await until("one", "two", "four")


async def test_a_bad_backup_is_refused_and_nothing_is_changed(daemon: Daemon, peer: Peer) -> None:
    backup = await peer.result("backup.create")
    await peer.result("memory.set", key="a", value=1)
    archive = f"{daemon.paths.backups}/{backup['id']}/{ARCHIVE}"
    whole = content_of(archive)
    async with daemon.client() as client:
        for content in (b"", whole[:-1], whole + b"x", bytes([whole[0] ^ 1]) + whole[1:], whole[::-1]):
            rewrite(archive, content)
            with pytest.raises(Conflict):
                await client.call(RestoreBackup(id=backup["id"]))
            with pytest.raises(Conflict):
                await client.call(VerifyBackup(id=backup["id"]))
        listed = await peer.result("backup.list")
        assert [item["id"] for item in listed["items"]] == [backup["id"]]
        assert listed["items"][0]["problem"]
        assert (await client.call(GetMemory(key="a"))).value == 1
        assert (await peer.result("event.list"))["items"][-1]["method"] == "memory.set"
        rewrite(archive, whole)
        assert (await client.call(VerifyBackup(id=backup["id"]))).problem is None
        await client.call(RestoreBackup(id=backup["id"]))
        with pytest.raises(NotFound):
            await client.call(GetMemory(key="a"))


async def test_a_backup_that_is_not_there_is_not_found(daemon: Daemon) -> None:
    nothing = "20260101T000000Z-00000000"
    async with daemon.client() as client:
        calls: list[Call[Any]] = [RestoreBackup(id=nothing), VerifyBackup(id=nothing), DeleteBackup(id=nothing)]
        for call in calls:
            with pytest.raises(NotFound):
                await client.call(call)


async def test_while_one_is_at_work_another_is_a_conflict(daemon: Daemon, peer: Peer) -> None:
    backup = await peer.result("backup.create")
    with Place(Path(daemon.paths.backups)).alone():
        async with daemon.client() as client:
            calls: list[Call[Any]] = [
                CreateBackup(),
                RestoreBackup(id=backup["id"]),
                VerifyBackup(id=backup["id"]),
                DeleteBackup(id=backup["id"]),
            ]
            for call in calls:
                with pytest.raises(Conflict, match="another backup or restore"):
                    await client.call(call)
    await peer.result("backup.delete", id=backup["id"])
    assert (await peer.result("backup.list"))["items"] == []


async def test_a_backup_of_a_database_that_is_written_to_is_one_committed_state(
    daemon: Daemon, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "PIECE", 4 * 4096)
    for _ in range(100):
        await peer.result("action.log", action="built", details="x" * 3000)
    acknowledged = dict.fromkeys(range(CLIENTS), 0)
    over = False

    async def write(client: int) -> None:
        own = await daemon.connect()
        while not over:
            number = acknowledged[client] + 1
            await own.result("action.log", action=f"{client} {number}")
            acknowledged[client] = number

    async with anyio.create_task_group() as tasks:
        for client in range(CLIENTS):
            tasks.start_soon(write, client)
        await daemon.until("writes", lambda: min(acknowledged.values()) > 3)
        before = dict(acknowledged)
        backup = await peer.result("backup.create")
        after = dict(acknowledged)
        await daemon.until("more writes", lambda: min(acknowledged.values()) > max(after.values()))
        restored = await peer.result("backup.restore", id=backup["id"])
        assert restored["backup"]["id"] == backup["id"]
        over = True
    inline = daemon.supervisor._store.inline
    seqs = [seq for (seq,) in inline.execute("SELECT seq FROM change WHERE seq < ? ORDER BY seq", (restored["seq"],))]
    # The change log says which commit it is: all of its changes up to one, and none after it.
    assert seqs == list(range(1, backup["last_seq"] + 1))
    actions = [
        str(action) for (action,) in inline.execute("SELECT action FROM action ORDER BY seq LIMIT ?", (len(seqs),))
    ]
    for client in range(CLIENTS):
        numbers = [int(action.split()[1]) for action in actions if action.startswith(f"{client} ")]
        assert numbers == list(range(1, len(numbers) + 1))
        assert before[client] <= len(numbers) <= after[client] + 1


async def test_progress_is_told(daemon: Daemon, peer: Peer) -> None:
    await peer.result("memory.set", key="a", value=1)
    await peer.send(request("long", "backup.create"))
    messages: list[dict[str, Any]] = []
    while not messages or "result" not in messages[-1]:
        messages.append(await peer.receive())
    told = [message["params"] for message in messages if message.get("method") == "$/progress"]
    assert told
    assert all(params["id"] == "long" and 0 <= params["done"] <= params["total"] for params in told)


async def test_the_component_says_how_the_backups_are(daemon: Daemon, peer: Peer) -> None:
    async def component() -> dict[str, Any]:
        return dict(await peer.result("component.get", name="keptd.backups"))

    assert (await component())["status"] == "operational"
    daemon.clock.advance(2 * 86_400 + 1)
    assert (await component())["status"] == "degraded"
    backup = await peer.result("backup.create")
    assert (await component())["status"] == "operational"
    assert (await component())["metadata"]["newest_verified"] == backup["id"]
    Place(Path(daemon.paths.backups)).record_attempt(Attempt(1, "the disk has no room for the backup"))
    assert (await component())["status"] == "down"
    await peer.result("backup.create")
    assert (await component())["status"] == "operational"
    daemon.clock.advance(2 * 86_400 + 1)
    assert (await component())["status"] == "degraded"


async def test_the_job_makes_a_backup_and_thins_out_older_ones(daemon: Daemon, peer: Peer) -> None:
    (job,) = DOMAIN.jobs
    assert (job.name, job.setting) == ("backup.create", "backup_create")
    supervisor = daemon.supervisor
    told: list[tuple[int, int, str]] = []

    def progress(done: int, total: int, text: str) -> None:
        told.append((done, total, text))

    ctx = JobCtx(supervisor._store, daemon.clock, supervisor._config, supervisor._actor, progress)
    said = ""
    for _ in range(40):
        said = await job.run(ctx)
        daemon.clock.advance(86_400)
    items = (await peer.result("backup.list"))["items"]
    assert {item["kind"] for item in items} == {"automatic"}
    assert all(item["verified_at"] for item in items)
    assert 10 <= len(items) <= 13
    assert items[0]["id"] in said


async def test_a_write_of_the_library_survives_going_back(daemon: Daemon, peer: Peer) -> None:
    """Connections stay: a client that held one open before uses it after."""
    async with daemon.client() as client:
        await client.call(SetMemory(key="a", value=1))
        backup = await client.call(CreateBackup())
        await client.call(SetMemory(key="a", value=2))
        await client.call(RestoreBackup(id=backup.id))
        assert (await client.call(GetMemory(key="a"))).value == 1
        assert (await client.call(SetMemory(key="a", value=3))).version == 2
        await client.call(LogAction(action="after"))


async def test_a_backup_that_is_cancelled_ends_and_leaves_nothing(
    daemon: Daemon, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = threading.Event()

    def tick(self: Work, *, rests: bool = True) -> None:
        began.set()
        self._stop.wait(PATIENCE)
        raise Stopped

    monkeypatch.setattr(Work, "tick", tick)
    await peer.send(request("long", "backup.create"))
    await daemon.until("the backup is at work", began.is_set)
    await peer.send(notification("$/cancelRequest", id="long"))
    while "error" not in (reply := await peer.receive()):
        assert reply["method"] == "$/progress"
    assert reply["error"]["code"] == Cancelled.code
    assert os.listdir(daemon.paths.backups) == [".last"]
    monkeypatch.undo()
    assert (await peer.result("component.get", name="keptd.backups"))["status"] == "operational"
    assert (await peer.result("backup.create"))["verified_at"]


async def test_a_restore_that_is_cancelled_after_it_happened_says_that_it_happened(
    daemon: Daemon, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await peer.result("memory.set", key="a", value=1)
    backup = await peer.result("backup.create")
    await peer.result("memory.set", key="a", value=2)
    checking = threading.Event()

    def slow(place: Place, backup_id: str, sets: object, clock: object, work: Work) -> None:
        checking.set()
        work._stop.wait(PATIENCE)
        raise Stopped

    monkeypatch.setattr(swap, "verify", slow)
    await peer.send(request("long", "backup.restore", id=backup["id"]))
    await daemon.until("the way back is being checked", checking.is_set)
    await peer.send(notification("$/cancelRequest", id="long"))
    while "id" not in (reply := await peer.receive()):
        assert reply["method"] == "$/progress"
    assert reply["result"]["backup"]["id"] == backup["id"]
    assert (await peer.result("memory.get", key="a"))["value"] == 1
    listed = (await peer.result("backup.list"))["items"]
    assert {item["id"]: item["verified_at"] for item in listed}[reply["result"]["undo_id"]] is None
