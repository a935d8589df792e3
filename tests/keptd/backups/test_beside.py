"""The files beside the database: in every backup, back with it, and never worse for it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keptd.backups.archive import MANIFEST, BadBackup, read_manifest
from keptd.store.replacing import Replacing, took_effect
from tests.harness import Daemon, Peer, running
from tests.keptd.data.moving import fetch, furnish, put, seen
from tests.working import done, refused

pytestmark = pytest.mark.anyio

ARCHIVED = "archives/actions-2026-01.jsonl.zst"
ENDING = {"damage found", "stopping for a recovery"}
FILES_RECOVERED = {"files recovered"}


async def act(daemon: Daemon, peer: Peer, count: int = 4, tag: str = "old") -> None:
    """Actions of this month, which the calendar then leaves far behind."""
    for number in range(count):
        await peer.result("action.log", action=f"{tag} {number}", details={"n": number})
    daemon.clock.advance(100 * 86_400)
    await peer.result("action.log", action=f"after {tag}")


async def archived(daemon: Daemon, peer: Peer, count: int = 4) -> None:
    await act(daemon, peer, count)
    assert (await done(peer, "job.run", name="journal.archive"))["result"] == "ok"


async def actions(peer: Peer) -> list[str]:
    return [one["action"] for one in (await peer.result("action.list", limit=1000))["items"]]


def folder_of(home: Path, backup: dict[str, Any]) -> Path:
    return home / "backups" / str(backup["id"])


def left_over(home: Path) -> list[str]:
    return [path.name for path in home.glob("restore-*")]


def only_backups_are_left(home: Path, aside: Path) -> None:
    (home / "backups").rename(aside)
    shutil.rmtree(home)
    home.mkdir()
    shutil.copytree(aside, home / "backups")


def flip(path: Path, at: int = 40) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


async def test_where_the_disk_died_and_only_a_backup_is_left_the_archived_actions_come_back(
    home: Path, tmp_path: Path, anyio_backend: str
) -> None:
    async with running(home) as daemon:
        peer = await daemon.connect()
        await furnish(daemon, peer)
        before = await seen(peer)
        backup = await done(peer, "backup.create")
    only_backups_are_left(home, tmp_path / "backups")
    async with running(home) as daemon:
        daemon.expected |= {"recovering", "recovered"} | FILES_RECOVERED
        peer = await daemon.connect()
        assert await seen(peer) == before
        storage = (await peer.result("daemon.status"))["storage"]
        assert storage["recovered"].startswith("Rows may be missing")  # Nobody knows what came after the backup.
        assert "Nothing" not in storage["recovered"]
        reports = (await done(peer, "maintenance.check"))["recoveries"]
        assert {report["backup_id"] for report in reports} == {backup["id"]}
        assert f"files beside the database are missing: {ARCHIVED}" in [report["reason"] for report in reports]
        assert {e["method"] for e in (await peer.result("event.list", topics=["database"]))["items"]} == {"recovery"}


async def test_a_copy_is_made_once_and_shares_nothing_with_the_file_itself(
    home: Path, daemon: Daemon, peer: Peer
) -> None:
    await archived(daemon, peer)
    copies = [folder_of(home, await done(peer, "backup.create")) / "files" / ARCHIVED for _ in range(2)]
    inodes = [path.stat().st_ino for path in copies]
    assert inodes[0] == inodes[1] != (home / ARCHIVED).stat().st_ino
    assert copies[0].stat().st_mode & 0o777 == 0o600
    # A copy that is damaged is not handed on.
    flip(copies[0])
    third = await done(peer, "backup.create")
    assert third["verified_at"]
    assert (folder_of(home, third) / "files" / ARCHIVED).stat().st_ino not in inodes
    assert (folder_of(home, third) / "files" / ARCHIVED).read_bytes() == (home / ARCHIVED).read_bytes()


@pytest.mark.parametrize("harm", [flip, os.unlink, lambda path: os.truncate(path, 50)])
async def test_a_backup_with_a_damaged_file_is_bad(home: Path, daemon: Daemon, peer: Peer, harm: Any) -> None:
    from kept.wire.errors import Conflict

    await archived(daemon, peer)
    backup = await done(peer, "backup.create")
    before = await actions(peer)
    harm(folder_of(home, backup) / "files" / ARCHIVED)
    assert await refused(peer, "backup.verify", id=backup["id"]) is Conflict
    assert await refused(peer, "backup.restore", id=backup["id"]) is Conflict
    assert await actions(peer) == before
    (item,) = (await peer.result("backup.list"))["items"]
    assert ARCHIVED in item["problem"]


@pytest.mark.parametrize("harm", [flip, os.unlink])
async def test_going_back_brings_a_missing_or_damaged_file_back(
    home: Path, daemon: Daemon, peer: Peer, harm: Any
) -> None:
    await archived(daemon, peer)
    before = await actions(peer)
    backup = await done(peer, "backup.create")
    daemon.expected |= ENDING  # The backup of the present state meets the damage as well.
    harm(home / ARCHIVED)
    await done(peer, "backup.restore", id=backup["id"])
    assert (home / ARCHIVED).read_bytes() == (folder_of(home, backup) / "files" / ARCHIVED).read_bytes()
    if harm is flip:
        (kept,) = (home / "quarantine").rglob("*.zst")
        assert kept.read_bytes() != (home / ARCHIVED).read_bytes()
    else:
        assert await actions(peer) == before


async def test_going_back_to_before_an_archiving_leaves_the_newer_file_and_doubles_nothing(
    home: Path, daemon: Daemon, peer: Peer
) -> None:
    await act(daemon, peer)
    before = await actions(peer)
    backup = await done(peer, "backup.create")
    assert (await done(peer, "job.run", name="journal.archive"))["result"] == "ok"
    content = (home / ARCHIVED).read_bytes()
    await done(peer, "backup.restore", id=backup["id"])
    assert (home / ARCHIVED).read_bytes() == content
    assert await actions(peer) == before
    assert (await done(peer, "job.run", name="journal.archive"))["result"] == "ok"
    assert await actions(peer) == before


async def test_a_backup_from_before_everything_was_deleted_brings_its_files_back(
    home: Path, daemon: Daemon, peer: Peer
) -> None:
    await furnish(daemon, peer)
    before = await seen(peer)
    backup = await done(peer, "backup.create")
    await done(peer, "data.delete_all", confirm=f"delete everything in {home.name}")
    assert await actions(peer) == []
    await done(peer, "backup.restore", id=backup["id"])
    assert await seen(peer) == before
    assert left_over(home) == []


async def test_an_import_makes_a_backup_that_brings_the_former_state_back(
    home: Path, daemon: Daemon, peer: Peer
) -> None:
    """Archived actions included: those of the import are gone, those of before are there."""
    await archived(daemon, peer, 2)
    other = await fetch(peer)
    others = await actions(peer)
    await done(peer, "data.delete_all", confirm=f"delete everything in {home.name}")
    await furnish(daemon, peer)
    before = await seen(peer)
    imported = await put(peer, other, on_conflict="replace")
    assert await actions(peer) == others
    listed = {one["id"]: one for one in (await peer.result("backup.list"))["items"]}
    assert listed[imported["backup_id"]]["verified_at"]
    assert listed[imported["backup_id"]]["label"] == "before data.import_all"
    restored = await done(peer, "backup.restore", id=imported["backup_id"])
    assert await seen(peer) == before
    await done(peer, "backup.restore", id=restored["undo_id"])
    assert await actions(peer) == others
    assert (await done(peer, "maintenance.check"))["verdict"] != "problem"


async def test_a_crash_between_the_files_and_the_commit_leaves_the_files_that_belong_to_the_database(
    home: Path, anyio_backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keptd.backups import swap

    class Killed(Exception):
        pass

    async with running(home) as daemon:
        daemon.expected |= {"handler failed"}
        peer = await daemon.connect()
        await archived(daemon, peer)
        backup = await done(peer, "backup.create")
        await done(peer, "data.delete_all", confirm=f"delete everything in {home.name}")
        await done(peer, "backup.restore", id=backup["id"])
        await done(peer, "data.delete_all", confirm=f"delete everything in {home.name}")

        async def swapped(_store: object, _clock: object, run: Any) -> None:
            run.__self__._files.swap()
            raise Killed

        async def nothing(*_: object) -> None:
            return

        with monkeypatch.context() as patch:
            patch.setattr(swap, "write_alone", swapped)
            patch.setattr(swap, "_settle", nothing)
            assert "error" in await peer.ask("backup.restore", id=backup["id"])
        assert (home / ARCHIVED).exists()
    async with running(home) as daemon:
        daemon.expected |= {"handler failed"}
        peer = await daemon.connect()
        assert await actions(peer) == []
        assert not (home / ARCHIVED).exists()
        assert left_over(home) == []


async def test_a_disk_that_fills_up_while_files_are_made_ready_leaves_nothing(
    home: Path, daemon: Daemon, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kept.wire.errors import StorageFull
    from keptd.backups import swap

    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    await archived(daemon, peer)
    backup = await done(peer, "backup.create")
    await done(peer, "data.delete_all", confirm=f"delete everything in {home.name}")
    with monkeypatch.context() as patch:
        patch.setattr(swap, "lay", no_room)
        assert await refused(peer, "backup.restore", id=backup["id"]) is StorageFull
    assert left_over(home) == []
    assert await actions(peer) == []
    await done(peer, "backup.restore", id=backup["id"])
    assert len(await actions(peer)) == 5


async def test_a_file_that_a_backup_has_as_it_is_is_not_read_to_its_end_again(
    daemon: Daemon, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keptd.backups import beside

    await archived(daemon, peer)
    await done(peer, "backup.create")
    monkeypatch.setattr(beside, "damaged", lambda *_: pytest.fail("it was read"))
    assert (await done(peer, "backup.create"))["verified_at"]


async def test_a_file_that_went_missing_comes_back_at_the_next_start(home: Path, anyio_backend: str) -> None:
    async with running(home) as daemon:
        peer = await daemon.connect()
        await archived(daemon, peer)
        before = await actions(peer)
        await done(peer, "backup.create")
    (home / ARCHIVED).unlink()
    async with running(home) as daemon:
        daemon.expected |= ENDING | FILES_RECOVERED
        peer = await daemon.connect()
        assert await actions(peer) == before
        assert (await peer.result("daemon.status"))["storage"]["recovered"] == "Nothing was lost."
    async with running(home) as daemon:
        daemon.expected |= FILES_RECOVERED  # In the log of the run before.
        peer = await daemon.connect()
        assert (await peer.result("daemon.status"))["storage"]["recovered"] is None


@pytest.mark.parametrize("with_backup", [True, False])
async def test_a_damaged_file_is_put_together_again_and_what_is_lost_is_said(
    home: Path, anyio_backend: str, with_backup: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keptd.journal import frames

    monkeypatch.setattr(frames, "FRAME_LINES", 2)
    async with running(home) as daemon:
        daemon.expected |= ENDING
        peer = await daemon.connect()
        await archived(daemon, peer, 6)
        before = await actions(peer)
        if with_backup:
            await done(peer, "backup.create")
        size = (home / ARCHIVED).stat().st_size
        flip(home / ARCHIVED, size // 3)
        damaged = (home / ARCHIVED).read_bytes()
        assert (await done(peer, "maintenance.check"))["verdict"] == "problem"
        await daemon.until("the stop", daemon.supervisor._stopping.is_set)
    async with running(home) as daemon:
        daemon.expected |= ENDING | FILES_RECOVERED
        peer = await daemon.connect()
        lost = (await peer.result("daemon.status"))["storage"]["recovered"]
        if with_backup:
            assert lost == "Nothing was lost."
            assert await actions(peer) == before
        else:
            assert lost == f"Lost: up to 2 archived actions, of {ARCHIVED}."
            assert len(await actions(peer)) == len(before) - 2
        (kept,) = (home / "quarantine").rglob("*.zst")
        assert kept.read_bytes() == damaged
        assert (await done(peer, "maintenance.check"))["verdict"] != "problem"


async def test_a_backup_of_a_damaged_file_takes_the_copy_of_the_backup_before(
    home: Path, daemon: Daemon, peer: Peer
) -> None:
    await archived(daemon, peer)
    whole = (home / ARCHIVED).read_bytes()
    await done(peer, "backup.create")
    daemon.expected |= ENDING
    flip(home / ARCHIVED)
    second = await done(peer, "backup.create")
    assert (folder_of(home, second) / "files" / ARCHIVED).read_bytes() == whole


@pytest.mark.parametrize("name", ["../kept.db", "archives/../../x", "/etc/passwd", "archives/.x", "archives", "a/b/c"])
async def test_a_manifest_that_names_another_place_is_refused(
    home: Path, daemon: Daemon, peer: Peer, name: str
) -> None:
    from keptd.backups.archive import BesideFile, _seal

    folder = folder_of(home, await done(peer, "backup.create"))
    manifest = msgspec.structs.replace(read_manifest(folder), files=(BesideFile(name, 1, "0" * 64),))
    (folder / MANIFEST).write_bytes(_seal(manifest))
    with pytest.raises(BadBackup):
        read_manifest(folder)


async def test_going_back_to_a_backup_of_the_first_format_leaves_the_files_alone(
    home: Path, daemon: Daemon, peer: Peer
) -> None:
    from keptd.backups.archive import _seal

    backup = await done(peer, "backup.create")
    folder = folder_of(home, backup)
    manifest = msgspec.structs.replace(read_manifest(folder), format=1, files=None)
    (folder / MANIFEST).write_bytes(_seal(manifest))
    await archived(daemon, peer)
    content = (home / ARCHIVED).read_bytes()
    await done(peer, "backup.restore", id=backup["id"])
    assert (home / ARCHIVED).read_bytes() == content


async def test_one_may_go_back_to_a_backup_twice(daemon: Daemon, peer: Peer) -> None:
    """The first time does not count for the second."""
    backup = await done(peer, "backup.create")
    restored = await done(peer, "backup.restore", id=backup["id"])
    db = daemon.supervisor._store.inline
    assert took_effect(db, f"restore-{backup['id']}+{restored['seq'] - 1}")
    assert not took_effect(db, f"restore-{backup['id']}+{restored['seq']}")
    assert Replacing(Path(daemon.paths.data_dir), "restore-x+1").name == "restore-x+1"
