"""The state that going back replaces: kept within the step, a backup after it."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from kept.wire.errors import Conflict, StorageFailed, StorageFull
from keptd.backups import archive, present, restore, swap
from keptd.backups.copy import open_copy
from keptd.backups.place import UNFINISHED, Found, Place
from keptd.backups.present import finish, finish_all, finish_left, keep
from keptd.backups.work import Stopped, Work
from keptd.store.replacing import Replacing
from tests.harness import PATIENCE, Daemon, Peer, notification, request, running

from .shelf import SETS, Shelf, notes, shelf

pytestmark = pytest.mark.anyio


def kept(made: Shelf, *, with_files: bool = False) -> str:
    with made.place.alone():
        work = Work(made.clock)
        return keep(made.place, made.db, made.original, "before x", made.clock, work, with_files=with_files)


def unpacked(made: Shelf, found: Found, folder: Path) -> list[int]:
    assert found.manifest is not None
    folder.mkdir()
    restore.check(found.folder, found.manifest, SETS, folder / "kept.db", Work(made.clock))
    return notes(folder / "kept.db")


class Ending(Work):
    """Ends, as a crash would, after so many ticks."""

    def __init__(self, made: Shelf, after: int) -> None:
        super().__init__(made.clock)
        self.left = after

    def tick(self, *, rests: bool = True) -> None:
        self.left -= 1
        if self.left < 0:
            raise Stopped


def test_what_is_kept_is_listed_as_what_it_is_until_it_is_a_backup(tmp_path: Path) -> None:
    with shelf(tmp_path, 5) as made:
        backup_id = kept(made)
        made.write(3)
        (listed,) = made.place.listed()
        assert (listed.id, listed.manifest, listed.is_verified) == (backup_id, None, False)
        assert listed.problem is not None
        assert "not finished" in listed.problem
        with made.place.alone():
            found = finish(made.place, backup_id, made.original, Work(made.clock))
        assert found.problem is None
        assert found.manifest is not None
        assert (found.manifest.kind, found.manifest.label) == ("before_restore", "before x")
        assert unpacked(made, found, tmp_path / "aside") == [1, 2, 3, 4, 5]
        assert sorted(path.name for path in found.folder.iterdir()) == ["kept.db.zst", "manifest.json"]


@pytest.mark.parametrize("gone", ["unlink", "fdatasync", "fsync"])
def test_an_end_at_any_step_of_finishing_leaves_a_state_that_can_be_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    owner: object = Path if gone == "unlink" else os
    honest: Callable[..., None] = getattr(owner, gone)
    with shelf(tmp_path, 5) as made:
        for at in range(20):
            backup_id = kept(made)
            left = at

            def failing(*given: object, **named: object) -> None:
                nonlocal left
                left -= 1
                if left < 0:
                    raise OSError(errno.EIO, "injected")
                honest(*given, **named)

            with monkeypatch.context() as patch:
                patch.setattr(owner, gone, failing)
                try:
                    finish(made.place, backup_id, made.original, Work(made.clock))
                except StorageFailed:
                    pass
                else:
                    assert at > 1
                    break
            finish_all(made.place, made.original, Work(made.clock))
            found = made.place.find(backup_id)
            assert unpacked(made, found, tmp_path / f"aside-{at}") == [1, 2, 3, 4, 5]
            assert made.place.unfinished() == []
        else:
            pytest.fail("it never came to its end")


@pytest.mark.parametrize("after", [0, 1])
def test_a_stop_while_finishing_leaves_it_to_the_next_start(tmp_path: Path, after: int) -> None:
    with shelf(tmp_path, 5) as made:
        backup_id = kept(made)
        with pytest.raises(Stopped):
            finish(made.place, backup_id, made.original, Ending(made, after))
        assert made.place.unfinished() == [backup_id]
        made.place.clear()
        finish_left(made.place, made.path, (), made.clock)
        assert unpacked(made, made.place.find(backup_id), tmp_path / "aside") == [1, 2, 3, 4, 5]


def test_a_start_on_a_full_disk_goes_on_and_the_next_backup_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "injected")

    with shelf(tmp_path, 5) as made:
        backup_id = kept(made)
        with monkeypatch.context() as patch:
            patch.setattr(present, "pack", full)
            finish_left(made.place, made.path, (), made.clock)
        assert made.place.unfinished() == [backup_id]
        made.verified()
        assert made.place.unfinished() == []
        assert [found.problem for found in made.place.listed()] == [None, None]


def test_a_note_that_is_damaged_is_told_and_nothing_is_removed(tmp_path: Path) -> None:
    with shelf(tmp_path) as made:
        backup_id = kept(made)
        (made.place.folder / backup_id / UNFINISHED).write_bytes(b"?")
        with pytest.raises(StorageFailed, match="note"):
            finish(made.place, backup_id, made.original, Work(made.clock))
        assert notes(made.place.folder / backup_id / "kept.db") == [1, 2, 3]


async def begun(daemon: Daemon, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> str:
    """A restore that is over but for the backup of what it replaced: gives the id of what was gone back to."""
    at_work = threading.Event()

    def waiting(_place: Place, _id: str, _original: object, work: Work) -> None:
        at_work.set()
        work._stop.wait(PATIENCE)
        raise Stopped

    await peer.result("memory.set", key="a", value="old")
    backup = await peer.result("backup.create")
    await peer.result("memory.set", key="a", value="new")
    monkeypatch.setattr(swap, "finish", waiting)
    await peer.send(request("long", "backup.restore", id=backup["id"]))
    await daemon.until("the state from before is being packed", at_work.is_set)
    return str(backup["id"])


async def cancelled(peer: Peer) -> str:
    """Give the restore up; the id of the way back."""
    await peer.send(notification("$/cancelRequest", id="long"))
    while "id" not in (reply := await peer.receive()):
        assert reply["method"] == "$/progress"
    return str(reply["result"]["undo_id"])


async def test_writes_go_on_while_the_state_from_before_becomes_a_backup(
    daemon: Daemon, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup_id = await begun(daemon, peer, monkeypatch)
    other = await daemon.connect()
    assert (await other.result("memory.get", key="a"))["value"] == "old"
    await other.result("memory.set", key="b", value="meanwhile")
    (undo,) = [item for item in (await other.result("backup.list"))["items"] if item["problem"]]
    assert "not finished" in undo["problem"]
    for method, params in (("backup.create", {}), ("backup.restore", {"id": backup_id})):
        assert (await other.refusal(method, **params))[1] == Conflict.type
    assert await cancelled(peer) == undo["id"]
    monkeypatch.undo()
    assert (await other.refusal("backup.restore", id=undo["id"]))[1] == Conflict.type
    await other.result("backup.create")
    await other.result("backup.restore", id=undo["id"])
    assert (await other.result("memory.get", key="a"))["value"] == "new"


async def test_what_a_restore_replaced_is_a_backup_after_the_next_start(
    home: Path, anyio_backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(home) as daemon:
        peer = await daemon.connect()
        await begun(daemon, peer, monkeypatch)
        undo = await cancelled(peer)
    monkeypatch.undo()
    async with running(home) as daemon:
        peer = await daemon.connect()
        assert [item["problem"] for item in (await peer.result("backup.list"))["items"]] == [None, None]
        await peer.result("backup.restore", id=undo)
        assert (await peer.result("memory.get", key="a"))["value"] == "new"


async def test_a_step_that_finds_no_room_leaves_nothing_behind(
    daemon: Daemon, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = await peer.result("backup.create")
    honest, calls = archive.need_room, list[int]()

    def full(place: Path, size: int) -> None:
        calls.append(size)
        if len(calls) > 1:  # The first is for the copy that is checked.
            raise OSError(errno.ENOSPC, "injected")
        honest(place, size)

    monkeypatch.setattr(restore, "need_room", full)
    assert (await peer.refusal("backup.restore", id=backup["id"]))[1] == StorageFull.type
    assert len(calls) > 1
    assert [item["id"] for item in (await peer.result("backup.list"))["items"]] == [backup["id"]]


def test_files_that_change_places_are_on_the_disk_before_the_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replacing = Replacing(tmp_path, "restore-x+1")
    (tmp_path / "actions").mkdir(mode=0o700)
    replacing.stage(["actions"])
    replacing.place("actions", "new").write_text("new")
    synced: dict[str, set[str]] = {}

    def fsync(descriptor: int) -> None:
        folder = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        synced[str(folder.relative_to(tmp_path))] = set(os.listdir(folder))

    monkeypatch.setattr(os, "fsync", fsync)
    replacing.swap()
    names = {name: set(os.listdir(tmp_path / name)) for name in (".", "restore-x+1/old", "restore-x+1/new")}
    assert {name: synced.get(name) for name in names} == names
    assert (tmp_path / "actions" / "new").exists()


def test_a_copy_has_checksums_where_the_database_has(tmp_path: Path) -> None:
    with shelf(tmp_path) as made:
        folder = made.place.folder / kept(made)
        with closing(open_copy(folder / "kept.db", Work(made.clock))) as db:
            assert db.reserve_bytes() == made.db.reserve_bytes()
