"""Everything out of one home and into another: the same, to the last byte."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import apsw
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keptd.data import tables
from keptd.supervisor import DOMAINS
from tests.harness import Daemon, Peer, running
from tests.keptd.data.moving import fetch, furnish, members, put, raw_members, seen
from tests.working import database, work

pytestmark = pytest.mark.anyio


@pytest.fixture
def other_home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="kept-", dir="/tmp") as folder:
        yield Path(folder)


async def test_export_import_export_gives_the_same_bytes_and_the_same_answers(
    daemon: Daemon, peer: Peer, other_home: Path
) -> None:
    await furnish(daemon, peer)
    first = await fetch(peer)
    before = await seen(peer)
    async with running(other_home) as other:
        other.clock.advance(200 * 86_400)
        there = await other.connect()
        imported = await put(there, first)
        assert (imported["replaced"], imported["files"], imported["backup_id"]) == (0, 1, None)
        assert await seen(there) == before
        second = raw_members(await fetch(there))
    former = raw_members(first)
    log = "tables/change.jsonl.zst"
    assert second.keys() == former.keys()
    for name in former.keys() - {log, "tables/sqlite_sequence.jsonl.zst", "manifest.json"}:
        assert second[name] == former[name], name


async def test_the_change_log_goes_along_and_tells_of_the_import(daemon: Daemon, peer: Peer, other_home: Path) -> None:
    await furnish(daemon, peer)
    before = (await peer.result("event.list", limit=1000))["items"]
    archive = await fetch(peer)
    async with running(other_home) as other:
        there = await other.connect()
        imported = await put(there, archive)
        after = (await there.result("event.list", limit=1000))["items"]
    assert after[:-1] == before
    assert (after[-1]["method"], after[-1]["entity"], after[-1]["seq"]) == (
        "data.import_all",
        "database",
        imported["seq"],
    )


async def test_numbers_go_on_where_they_ended(daemon: Daemon, peer: Peer, other_home: Path) -> None:
    for _ in range(3):
        await peer.result("component.set", name="web", status="down")
        await peer.result("component.delete", name="web")
    await peer.result("trash.empty")
    archive = await fetch(peer)
    async with running(other_home) as other:
        there = await other.connect()
        await put(there, archive)
        await there.result("component.set", name="web", status="down")
        with database(other) as db:
            assert db.execute("SELECT seq FROM component").get == 4


async def test_what_is_imported_can_be_found_changed_and_restored(daemon: Daemon, peer: Peer, other_home: Path) -> None:
    await furnish(daemon, peer)
    archive = await fetch(peer)
    async with running(other_home, mirror__enabled="true", mirror__interval_seconds="0.01") as other:
        there = await other.connect()
        await put(there, archive)
        assert (await there.result("memory.set", key="k1", value="on"))["version"] == 3
        (trashed,) = (item for item in (await there.result("trash.list"))["items"] if item["entity"] == "memory")
        await there.result("trash.restore", id=trashed["id"])
        assert (await there.result("memory.get", key="k2"))["version"] == 2
        await there.result("action.log", action="went on")
    lines = (other_home / "history" / "actions.jsonl").read_text().splitlines()
    names = [json.loads(line)["action"]["action"] for line in lines]
    assert names == ["did 0", "did 1", "did 2", "did 3", "did it lately", "went on"]


async def test_those_who_follow_are_told_and_stay_connected(daemon: Daemon, peer: Peer, other_home: Path) -> None:
    await furnish(daemon, peer)
    archive = await fetch(peer)
    async with running(other_home) as other:
        there = await other.connect()
        watcher = await other.connect()
        for _ in range(60):  # So that the sequence here is beyond the archive's.
            await there.result("component.set", name="web", status="down")
            await there.result("component.delete", name="web")
            await there.result("trash.empty")
        subscription = await watcher.result("event.subscribe")
        imported = await put(there, archive)
        event = (await watcher.receive())["params"]
        assert event["subscription_id"] == subscription["id"]
        assert (event["change"]["entity"], event["change"]["seq"]) == ("database", imported["seq"])
        assert imported["seq"] > subscription["seq"]


async def test_an_archive_is_a_tar_file_of_json_lines_with_a_manifest(daemon: Daemon, peer: Peer) -> None:
    await furnish(daemon, peer)
    found = members(await fetch(peer))
    manifest = msgspec.json.decode(found["manifest.json"])

    assert [member["name"] for member in manifest["members"]] == list(found)[:-1]
    assert manifest["format"] == 1
    assert "memory/001_memory" in [name for name, _ in manifest["migrations"]]
    first = msgspec.json.decode(found["tables/memory.jsonl.zst"].splitlines()[0])
    assert first["key"] == "k0"
    assert "files/archives/actions-2026-01.jsonl.zst" in found


async def test_every_table_is_carried_but_those_that_stay_on_purpose(daemon: Daemon, peer: Peer) -> None:
    await furnish(daemon, peer)
    found = members(await fetch(peer))
    with database(daemon) as db:
        shadows = "SELECT name FROM pragma_table_list WHERE type IN ('shadow', 'virtual') OR name LIKE 'sqlite%'"
        every = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        made = {name for (name,) in db.execute(shadows)}
    carried = {name.removeprefix("tables/").removesuffix(".jsonl.zst") for name in found if name.startswith("tables/")}

    assert every - made - carried == tables.local(DOMAINS)
    assert tables.local(DOMAINS) == {
        *("migration", "receipt", "age_look", "job", "job_run", "session_attachment"),
        *("vault_guard", "vault_receipt"),
    }
    empty = [name for name in carried if not found[f"tables/{name}.jsonl.zst"]]
    assert empty == [], "furnish something of it"


async def test_an_export_is_of_one_moment_while_others_write(daemon: Daemon, peer: Peer) -> None:
    await furnish(daemon, peer)
    writer = await daemon.connect()
    await peer.send(b'{"jsonrpc":"2.0","id":"e","method":"data.export_all"}')
    exports = Path(daemon.paths.data_dir) / "exports"
    while not any(True for _ in exports.glob("*.tar")):
        await writer.result("memory.set", key="busy", value=daemon.clock.now())
        daemon.clock.advance(1)
    while "result" not in (made := await peer.receive()):
        pass
    rows = made["result"]["rows"]
    first = (await peer.result("event.list", limit=1000))["items"]
    assert rows["change"] <= len(first)
    busy = [change for change in first[: rows["change"]] if change["label"] == "busy"]
    assert rows["memory"] == 6 - 1 + bool(busy)


VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(VALUES, VALUES), max_size=10))
def test_any_row_stands_in_a_line_and_comes_back(rows: list[tuple[apsw.SQLiteValue, ...]]) -> None:
    db = apsw.Connection("")
    db.execute("CREATE TABLE a (x ANY, y ANY) STRICT; CREATE TABLE b (x ANY, y ANY) STRICT")
    db.executemany("INSERT INTO a VALUES (?, ?)", rows)
    source, target = (table for table in tables.carried(db, frozenset()))
    lines = list(tables.lines(db, source))
    assert all(b"\n" not in line for line in lines)
    assert tables.load(db, target, lines) == len(rows)
    kept = db.execute("SELECT x, typeof(x), y, typeof(y) FROM b ORDER BY rowid").fetchall()
    assert kept == db.execute("SELECT x, typeof(x), y, typeof(y) FROM a ORDER BY rowid").fetchall()
    assert list(tables.lines(db, target)) == lines


async def test_the_caller_is_told_how_far_it_is(daemon: Daemon, peer: Peer) -> None:
    await furnish(daemon, peer)
    _, told = await work(peer, "data.export_all")
    assert told[0]["text"] == "exporting"
    assert told[0]["total"] > 0
