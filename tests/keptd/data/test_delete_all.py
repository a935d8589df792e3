"""Everything away: nothing of it can be read from any file of the home, and the daemon goes on."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import anyio
import apsw
import msgspec
import pytest

from kept.wire.errors import InvalidParams, StorageFailed, StorageFull
from kept.wire.memory import SetMemory
from keptd.data import wipe
from keptd.supervisor import DOMAINS
from tests.harness import Daemon, Peer, running
from tests.keptd.data.moving import fetch, furnish, put, seen, upload
from tests.rooms import ACTOR, Rooms
from tests.working import database, done, refused

pytestmark = pytest.mark.anyio

COUNT = 200


def confirmation(home: Path) -> str:
    return f"delete everything in {home.name}"


def canary(number: int) -> str:
    """A word that is looked for, in a form that no tokenizer cuts and no stemmer shortens."""
    return f"canary{number:03}zq{number * 7919 % 1000:03}x"


def holding(home: Path) -> dict[str, list[str]]:
    """The files of a home that hold a canary, and which."""
    found = {}
    for path in home.rglob("*"):
        if path.is_file():
            content = path.read_bytes().lower()
            here = [canary(number) for number in range(COUNT) if canary(number).encode() in content]
            if here:
                found[str(path.relative_to(home))] = here
    return found


async def plant(daemon: Daemon, peer: Peer) -> None:
    """A canary wherever a person's words can go."""
    word = iter(map(canary, range(COUNT)))
    await peer.result("daemon.hello", client=next(word), project=next(word), session=next(word), user=next(word))
    for _ in range(20):
        await peer.result(
            "memory.set",
            key=next(word),
            value={next(word): next(word)},
            tags=[next(word)],
            category=next(word),
        )
    keys = [memory["key"] for memory in (await peer.result("memory.list", limit=20))["items"]]
    for key in keys[:5]:
        await peer.result("memory.set", key=key, value=next(word))
    for key in keys[5:10]:
        await peer.result("memory.delete", key=key)
    await peer.result("memory.set", key="x" * 50, value=(next(word) + " ") * 20_000, idempotency_key=next(word))
    for _ in range(5):
        await peer.result("action.log", action=next(word), details={next(word): 1}, project=next(word))
    daemon.clock.advance(100 * 86_400)
    await peer.result("action.log", action=next(word))
    await done(peer, "job.run", name="journal.archive")
    for _ in range(10):
        decision = await peer.result(
            "decision.add", decision=next(word), reasoning=next(word), alternatives=[next(word)], contradicts=keys[:1]
        )
        await peer.result("decision.resolve", id=decision["id"], outcome=next(word))
    error = await peer.result("error.record", error=next(word), context=next(word))
    await peer.result("error.resolve", id=error["id"], resolution=next(word))
    await peer.result("component.set", name=next(word), status="down", metadata=next(word))
    with database(daemon) as db:
        db.execute("ANALYZE")  # The planner's statistics hold samples.
    await done(peer, "data.export_all")
    await upload(peer, next(word).encode())
    home = Path(daemon.paths.data_dir)
    for folder in ("backups", "quarantine/2026", "recovery"):
        (home / folder).mkdir(parents=True, mode=0o700, exist_ok=True)
        (home / folder / "file").write_text(next(word))
    for number, left in enumerate(word):
        await peer.result("memory.set", key=f"more{number}", value=left)


async def test_an_agent_deletes_not_everything(daemon: Daemon, peer: Peer) -> None:
    await peer.result("memory.set", key="k", value=1)
    bot = await daemon.connect()
    await bot.result("daemon.hello", client="bot", kind="agent")
    words = confirmation(Path(daemon.paths.data_dir))
    assert await bot.refusal("data.delete_all", confirm=words) == (-32004, "denied")
    assert (await peer.result("memory.get", key="k"))["value"] == 1


async def test_200_canaries_are_nowhere_in_the_home_afterwards(home: Path) -> None:
    async with running(home, mirror__enabled="true", mirror__interval_seconds="0.01") as daemon:
        peer = await daemon.connect()
        await plant(daemon, peer)
        await daemon.until("the mirror", (home / "history" / "actions.jsonl").exists)
        await daemon.supervisor._store.checkpoint()
        before = holding(home)
        planted = {word for words in before.values() for word in words}
        assert len(planted) > COUNT - 10  # Archives are compressed.
        assert {"kept.db", "history/actions.jsonl", "current/state.json", "backups/file"} <= before.keys()
        quiet = await daemon.connect()
        deleted = await done(quiet, "data.delete_all", confirm=confirmation(home), backups=True)
        assert holding(home) == {}
        assert deleted["left"] == []
        assert deleted["rows"] > COUNT / 2
        assert deleted["files"] >= 6
    assert holding(home) == {}


def test_zeros_are_written_over_what_was_there_before_the_file_shrinks(tmp_path: Path) -> None:
    rooms = Rooms(tmp_path, DOMAINS)
    for number in range(COUNT):
        rooms(SetMemory(key=canary(number), value=canary(number) + " x" * 2000))
    rooms.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    size = (tmp_path / "kept.db").stat().st_size
    assert holding(tmp_path).keys() == {"kept.db"}
    wipe.empty(rooms.writer, DOMAINS, (0, ACTOR, "data.delete_all"))
    rooms.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    assert holding(tmp_path) == {}
    assert (tmp_path / "kept.db").stat().st_size >= size
    rooms.close()


async def test_backups_stay_where_they_are_not_asked_for(daemon: Daemon, home: Path) -> None:
    peer = await daemon.connect()
    await plant(daemon, peer)
    quiet = await daemon.connect()
    deleted = await done(quiet, "data.delete_all", confirm=confirmation(home))

    assert deleted["left"] == ["backups", "quarantine", "recovery"]
    assert set(holding(home)) == {"backups/file", "quarantine/2026/file", "recovery/file"}


async def test_the_daemon_goes_on_empty_and_connections_stay(daemon: Daemon, home: Path) -> None:
    peer, other = await daemon.connect(), await daemon.connect()
    await furnish(daemon, peer)
    subscription = await other.result("event.subscribe")
    deleted = await done(peer, "data.delete_all", confirm=confirmation(home))
    event = (await other.receive())["params"]["change"]

    assert (event["method"], event["entity"], event["seq"]) == ("data.delete_all", "database", deleted["seq"])
    assert event["seq"] > subscription["seq"]
    everything = await seen_or_missing(peer)
    assert all(not items for items in everything.values())
    assert (await peer.result("memory.set", key="k1", value="new"))["version"] == 1
    assert [found["key"] for found in (await peer.result("memory.search", query="new"))["items"]] == ["k1"]
    assert (await done(peer, "maintenance.check"))["verdict"] != "problem"
    assert len((await peer.result("event.list"))["items"]) == 2


async def test_jobs_that_were_paused_or_failed_begin_anew(daemon: Daemon, home: Path) -> None:
    peer = await daemon.connect()
    await peer.result("job.pause", name="memory.expire")
    (job,) = (duty for name, duty in daemon.supervisor.jobs._duties.items() if name == "trash.empty")
    await done(peer, "job.run", name="trash.empty")
    assert job.last is not None
    job.last = msgspec.structs.replace(job.last, result="failed")
    job.timer = dataclasses.replace(job.timer, failures=3)
    assert (await peer.result("daemon.status"))["jobs_failing"] == ["trash.empty"]

    await done(peer, "data.delete_all", confirm=confirmation(home))
    assert (await peer.result("daemon.status"))["jobs_failing"] == []
    jobs = {each["name"]: each for each in (await peer.result("job.list"))["items"]}
    assert not jobs["memory.expire"]["paused"]
    assert (jobs["trash.empty"]["last_at"], jobs["trash.empty"]["failures"]) == (None, 0)
    await done(peer, "job.run", name="memory.expire")


async def seen_or_missing(peer: Peer) -> dict[str, Any]:
    lists = ("memory.list", "decision.list", "error.list", "action.list", "trash.list")
    return {method: (await peer.result(method))["items"] for method in lists}


async def test_an_export_can_be_taken_back_in_afterwards(daemon: Daemon, home: Path) -> None:
    peer = await daemon.connect()
    await furnish(daemon, peer)
    before = await seen(peer)
    archive = await fetch(peer)
    await done(peer, "data.delete_all", confirm=confirmation(home))
    await put(peer, archive)

    assert await seen(peer) == before


@pytest.mark.parametrize("confirm", ["yes", "delete everything", "delete everything in", "DELETE EVERYTHING IN X"])
async def test_nothing_is_deleted_without_the_very_words(daemon: Daemon, confirm: str) -> None:
    peer = await daemon.connect()
    await peer.result("memory.set", key="k", value=1)

    assert await refused(peer, "data.delete_all", confirm=confirm) is InvalidParams
    assert (await peer.result("memory.get", key="k"))["value"] == 1


async def test_a_link_in_a_folder_is_removed_and_not_followed(daemon: Daemon, home: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("not kept's")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "also").write_text("not kept's")
    (home / "archives").mkdir(mode=0o700)
    (home / "archives" / "link").symlink_to(mine)
    (home / "archives" / "folder").symlink_to(tmp_path / "folder")
    shutil.rmtree(home / "backups")
    (home / "backups").symlink_to(tmp_path / "folder")
    peer = await daemon.connect()
    await done(peer, "data.delete_all", confirm=confirmation(home), backups=True)

    assert mine.read_text() == "not kept's"
    assert (tmp_path / "folder" / "also").read_text() == "not kept's"
    assert not (home / "archives").exists()
    assert not (home / "backups").is_symlink()


async def test_files_that_are_not_of_kept_stay(daemon: Daemon, home: Path) -> None:
    (home / "notes.txt").write_text("mine")
    (home / "projects").mkdir()
    (home / "projects" / "code.py").write_text("mine")
    peer = await daemon.connect()
    await done(peer, "data.delete_all", confirm=confirmation(home), backups=True)

    assert (home / "notes.txt").read_text() == (home / "projects" / "code.py").read_text() == "mine"


async def test_a_read_that_never_ends_is_told_and_the_rest_is_done(
    daemon: Daemon, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wipe, "PATIENCE_SECONDS", 0.0)
    peer = await daemon.connect()
    await peer.result("memory.set", key="k", value=canary(1))
    reader = apsw.Connection(daemon.paths.database)
    reader.execute("BEGIN; SELECT * FROM memory").fetchall()
    daemon.supervisor._store.writer._db.set_busy_timeout(0)
    assert await refused(peer, "data.delete_all", confirm=confirmation(home)) is StorageFailed
    assert (await peer.result("memory.list"))["items"] == []
    reader.close()
    await done(peer, "data.delete_all", confirm=confirmation(home))

    assert holding(home) == {}


async def test_a_caller_that_leaves_stops_nothing(daemon: Daemon, home: Path) -> None:
    peer = await daemon.connect()
    await peer.result("memory.set", key="k", value=canary(1))
    leaving = await daemon.connect()
    text = confirmation(home).encode()
    await leaving.send(b'{"jsonrpc":"2.0","id":1,"method":"data.delete_all","params":{"confirm":"%b"}}' % text)
    lock = daemon.supervisor._store.upkeep
    await daemon.until("its beginning", lambda: lock.locked() or holding(home) == {})
    await leaving.close()
    await daemon.until("the deletion", lambda: holding(home) == {})
    with anyio.fail_after(10):
        while (await peer.result("memory.list"))["items"]:
            pass


async def test_a_full_disk_is_no_obstacle(daemon: Daemon, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    peer = await daemon.connect()
    await peer.result("memory.set", key="k", value=1)
    empty = wipe.empty
    calls = []

    def full_once(*args: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise apsw.FullError
        return empty(*args)

    monkeypatch.setattr(wipe, "empty", full_once)
    assert (await done(peer, "data.delete_all", confirm=confirmation(home)))["rows"] > 0


async def test_a_disk_that_stays_full_refuses_it(daemon: Daemon, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise apsw.FullError

    monkeypatch.setattr(wipe, "empty", full)
    peer = await daemon.connect()
    assert await refused(peer, "data.delete_all", confirm=confirmation(home)) is StorageFull
