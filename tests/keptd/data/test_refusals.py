"""An archive that is no good, or a home that is not empty: refused with nothing changed."""

from __future__ import annotations

import io
import random
import tarfile
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from kept.wire.backup import CreateBackup
from kept.wire.errors import Conflict, NotFound, StorageFailed, StorageFull
from keptd.data import archive, methods, tables
from keptd.data.archive import BadArchive, Reading
from keptd.zstd import ZstdFile, compress
from tests.harness import Daemon, Peer, running
from tests.keptd.data.moving import fetch, furnish, offer, packed, put, raw_members, seen, upload
from tests.working import done, refusal, refused, work

pytestmark = pytest.mark.anyio


def left_over(home: Path | str) -> list[str]:
    """What an import may not leave: way stations beside the archive, and folders."""
    return [path.name for path in (*Path(home).glob("import-*"), *Path(home).glob("exports/*.db*"))]


def quarantined(home: Path | str) -> list[str]:
    """The files that were replaced."""
    return [path.name for path in Path(home).glob("quarantine/import-*/archives/*")]


async def test_a_home_that_is_not_empty_is_refused_with_counts(daemon: Daemon, peer: Peer) -> None:
    await furnish(daemon, peer)
    before = await seen(peer)
    reply = await offer(peer, await fetch(peer))

    assert refusal(reply) is Conflict
    assert reply["error"]["data"]["rows"]["memory"] == 5
    assert await seen(peer) == before


async def test_a_home_where_only_jobs_ran_is_empty(daemon: Daemon, peer: Peer) -> None:
    archive = await fetch(peer)
    await done(peer, "job.run", name="trash.empty")
    await done(peer, "job.pause", name="trash.empty")

    assert (await put(peer, archive))["replaced"] == 0
    assert (await peer.result("job.history"))["items"] != []


async def test_what_is_there_is_replaced_where_that_is_asked_for(daemon: Daemon, peer: Peer) -> None:
    await peer.result("memory.set", key="small", value=1)
    small = await fetch(peer)
    await furnish(daemon, peer)
    imported = await put(peer, small, on_conflict="replace")

    assert imported["replaced"] > 10
    assert [memory["key"] for memory in (await peer.result("memory.list"))["items"]] == ["small"]
    assert (await peer.result("memory.search", query="replaced"))["items"] == []
    assert (await peer.result("action.list"))["items"] == []
    assert quarantined(daemon.paths.data_dir) == ["actions-2026-01.jsonl.zst"]
    assert left_over(daemon.paths.data_dir) == []
    assert (await done(peer, "maintenance.check"))["verdict"] != "problem"


async def test_a_backup_is_made_before_something_is_replaced(
    daemon: Daemon, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = await fetch(peer)
    await peer.result("memory.set", key="k", value=1)
    asked: list[CreateBackup] = []

    def backup(_peer: object, work: Any, sink: Any) -> None:
        asked.append(work.call)
        sink.send(b'{"jsonrpc":"2.0","id":1,"result":{"id":"20260101T000000Z-00000000"}}')

    monkeypatch.setattr(daemon.supervisor._dispatcher, "begin", backup)
    imported = await put(peer, small, on_conflict="replace")

    assert imported["backup_id"] == "20260101T000000Z-00000000"
    assert asked == [CreateBackup(label="before data.import_all")]


async def test_nothing_is_replaced_where_the_backup_fails(
    daemon: Daemon, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = await fetch(peer)
    await peer.result("memory.set", key="k", value=1)
    monkeypatch.setattr(methods, "BACKUP", "memory.set")  # It refuses the label, which it doesn't know.
    reply = await offer(peer, small, on_conflict="replace")

    assert refusal(reply) is StorageFailed
    assert (await peer.result("memory.get", key="k"))["value"] == 1
    assert left_over(daemon.paths.data_dir) == []


async def test_an_archive_that_did_not_come_whole_is_refused(peer: Peer) -> None:
    whole = await fetch(peer)
    half = await upload(peer, whole[:-1], announced=whole)
    assert await refused(peer, "data.import_all", id=half) is Conflict
    other = await upload(peer, whole[:-1] + bytes([whole[-1] ^ 1]), announced=whole)
    assert await refused(peer, "data.import_all", id=other) is Conflict
    assert await refused(peer, "data.import_all", id="0" * 32) is NotFound


def fine(manifest: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in manifest.items() if name != "members"}


def wrong_archives(good: bytes) -> dict[str, bytes]:
    parts = raw_members(good)
    manifest = msgspec.json.decode(parts.pop("manifest.json"))
    same = fine(manifest)
    memory = "tables/memory.jsonl.zst"
    sequences = "tables/sqlite_sequence.jsonl.zst"
    row = b'{"id":"1","key":"k"}\n'
    contradicts = b'{"decision":99,"project":null,"key":"k"}\n'
    link = io.BytesIO()
    with tarfile.open(fileobj=link, mode="w") as tar:
        entry = tarfile.TarInfo("tables/memory.jsonl.zst")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(entry)
    return {
        "no tar": b"x" * 10_000,
        "nothing": bytes(1024),
        "a link": link.getvalue(),
        "newer format": packed(parts, {**same, "format": 2}),
        "newer schema": packed(parts, {**same, "migrations": [*manifest["migrations"], ["memory/999_new", "x"]]}),
        "edited schema": packed(
            parts, {**same, "migrations": [[name, "0" * 16] for name, _ in manifest["migrations"]]}
        ),
        "no schema": packed(parts, {**same, "migrations": []}),
        "missing table": packed({name: part for name, part in parts.items() if name != memory}, same),
        "unknown table": packed({**parts, "tables/receipt.jsonl.zst": compress(b"")}, same),
        "unknown part": packed({**parts, "../evil": b""}, same),
        "unknown folder": packed({**parts, "files/run/x.y": b""}, same),
        "hidden file": packed({**parts, "files/archives/.x": b""}, same),
        "no json": packed({**parts, memory: compress(b"x\n")}, same),
        "other columns": packed({**parts, memory: compress(row)}, same),
        "foreign value": packed({**parts, sequences: compress(b'{"name":"memory","seq":{"blob":"!"}}\n')}, same),
        "sequence of nothing": packed({**parts, sequences: compress(b'{"name":"receipt","seq":1}\n')}, same),
        "broken reference": packed({**parts, "tables/decision_contradicts.jsonl.zst": compress(contradicts)}, same),
        "twice the same row": packed({**parts, memory: compress(_plain(parts[memory]) * 2)}, same),
        "other rows": packed(parts, {**same, "members": _with(manifest, memory, rows=1)}),
        "other size": packed(parts, {**same, "members": _with(manifest, memory, unpacked=1)}),
        "other digest": packed(parts, {**same, "members": _with(manifest, memory, sha256="0" * 64)}),
        "other bytes": packed(parts, {**same, "members": _with(manifest, memory, bytes=1)}),
        "other members": packed(parts, {**same, "members": manifest["members"][1:]}),
        "manifest of nothing": packed(parts, {"format": 1}),
    }


def _plain(content: bytes) -> bytes:
    return ZstdFile(io.BytesIO(content), "r").read()


def _with(manifest: dict[str, Any], name: str, **changed: Any) -> list[dict[str, Any]]:
    return [{**member, **(changed if member["name"] == name else {})} for member in manifest["members"]]


async def test_an_archive_that_is_not_right_is_refused_and_changes_nothing(home: Path, anyio_backend: str) -> None:
    async with running(home) as daemon:
        peer = await daemon.connect()
        await furnish(daemon, peer)
        good = await fetch(peer)
        before = await seen(peer)
        for what, bad in wrong_archives(good).items():
            name = await upload(peer, bad)
            reply, _ = await work(peer, "data.import_all", id=name, on_conflict="replace")
            assert "error" in reply, what
            assert refusal(reply) is Conflict, (what, reply)
            await done(peer, "data.discard", id=name)
            assert left_over(daemon.paths.data_dir) == [], what
        assert await seen(peer) == before
        assert list((home / "archives").iterdir()) != []
        await put(peer, good, on_conflict="replace")
        assert await seen(peer) == before


async def test_a_cut_or_a_flipped_bit_is_noticed_by_the_archive_itself(
    daemon: Daemon, peer: Peer, tmp_path: Path
) -> None:
    await furnish(daemon, peer)
    good = await fetch(peer)
    file = tmp_path / "archive"
    file.write_bytes(good)
    right = content(file)
    places = random.Random(1).sample(range(len(good)), 300)
    for place in places:
        file.write_bytes(good[:place] + bytes([good[place] ^ 1 << place % 8]) + good[place + 1 :])
        assert same_or_bad(file, right), place
    for end in [*range(0, len(good) - 1024, 97), len(good) - 1025]:
        file.write_bytes(good[:end])
        with pytest.raises(BadArchive):
            content(file)


def content(file: Path) -> dict[str, list[bytes]]:
    with Reading(file) as reading:
        return {
            member.name: list(reading.lines(member)) if archive.table_of(member.name) else [member.sha256.encode()]
            for member in reading.check()
        }


def same_or_bad(file: Path, right: dict[str, list[bytes]]) -> bool:
    try:
        return content(file) == right
    except BadArchive:
        return True


async def test_a_bomb_is_stopped_where_its_manifest_ends(daemon: Daemon, peer: Peer, tmp_path: Path) -> None:
    parts = raw_members(await fetch(peer))
    manifest = msgspec.json.decode(parts.pop("manifest.json"))
    memory = "tables/memory.jsonl.zst"
    bomb = compress(b"[]\n" * 10_000_000)
    with_bomb = packed({**parts, memory: bomb}, fine(manifest))
    file = tmp_path / "archive"
    whole = raw_members(with_bomb)
    told = msgspec.json.decode(whole.pop("manifest.json"))
    file.write_bytes(packed(whole, {**fine(told), "members": _with(told, memory, unpacked=30)}))
    with Reading(file) as reading:
        member = next(member for member in reading.check() if member.name == memory)
        taken: list[bytes] = []
        with pytest.raises(BadArchive):
            taken.extend(reading.lines(member))
        assert len(taken) == 10


@pytest.mark.parametrize("fault", [apsw.FullError, apsw.IOError])
async def test_a_disk_that_fails_while_it_is_taken_over_leaves_everything_as_it_was(
    home: Path, monkeypatch: pytest.MonkeyPatch, fault: type[apsw.Error]
) -> None:
    async with running(home) as daemon:
        daemon.expected |= {"storage failed"}
        peer = await daemon.connect()
        small = await fetch(peer)
        await furnish(daemon, peer)
        before = await seen(peer)

        def fails(*_: object) -> None:
            raise fault

        with monkeypatch.context() as patch:
            patch.setattr(tables, "numbers", fails)
            name = await upload(peer, small)
            refused_as = await refused(peer, "data.import_all", id=name, on_conflict="replace")
        assert refused_as is (StorageFull if fault is apsw.FullError else StorageFailed)
        await daemon.until("the check", lambda: daemon.supervisor.status().storage.state != "failed")
        await peer.ask("memory.delete", key="none")
        assert await seen(peer) == before
        assert left_over(daemon.paths.data_dir) == []
        assert [path.name for path in (home / "archives").iterdir()] == ["actions-2026-01.jsonl.zst"]


@pytest.mark.parametrize(("renames", "committed"), [(0, False), (1, False), (2, False), (2, True)])
async def test_a_crash_while_files_are_swapped_ends_in_one_state_or_the_other(
    home: Path, monkeypatch: pytest.MonkeyPatch, renames: int, committed: bool
) -> None:
    async with running(home) as daemon:
        peer = await daemon.connect()
        small = await fetch(peer)
        await furnish(daemon, peer)
        before = await seen(peer)
        left = renames

        class Killed(Exception):
            pass

        rename = Path.rename

        def die(self: Path, target: Path) -> Path:
            nonlocal left
            left -= "backups" not in self.parts
            if left < 0:
                raise Killed
            return rename(self, target)

        async def killed(*_: object) -> None:
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(methods, "_settle", killed)
            patch.setattr(Path, "rename", die)
            if not committed:
                patch.setattr(methods, "_alone", killed)
            daemon.expected |= {"handler failed"}
            reply = await offer(peer, small, on_conflict="replace")
        assert "error" in reply
    async with running(home) as daemon:
        daemon.expected |= {"handler failed"}
        peer = await daemon.connect()
        assert left_over(home) == []
        if committed:
            assert (await peer.result("action.list"))["items"] == []
            assert quarantined(home) == ["actions-2026-01.jsonl.zst"]
        else:
            assert await seen(peer) == before
