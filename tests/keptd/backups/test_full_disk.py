"""A disk that fills up during a backup."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from kept.wire.backup import CreateBackup, DeleteBackup, ListBackups, RestoreBackup
from kept.wire.component import GetComponent
from kept.wire.daemon import Status
from kept.wire.errors import StorageFailed, StorageFull
from kept.wire.journal import LogAction
from keptd.backups import archive, create
from keptd.backups import copy as copying
from keptd.backups.archive import ARCHIVE
from tests.crash.homes import home
from tests.small_disk import small_disk

from .shelf import shelf

SETTINGS = {"KEPT_STORAGE_BALLAST_BYTES": str(256 * 1024)}


@pytest.mark.parametrize("left", [0, 700, 1400, 2100])
def test_a_disk_without_room_for_a_backup_leaves_the_daemon_alone(tmp_path: Path, left: int) -> None:
    with small_disk(tmp_path, "16m") as room, home(tmp_path, **SETTINGS) as place, place.connect() as client:
        for number in range(60):
            client.call(LogAction(action=f"action {number}", details="y" * 20_000))
        backup = client.call(CreateBackup())
        room.fill(left * 1024)
        before = client.call(Status()).storage
        with pytest.raises(StorageFull):
            client.call(CreateBackup())
        with pytest.raises(StorageFull):
            client.call(RestoreBackup(id=backup.id))
        names = sorted(path.name for path in (tmp_path / "backups").iterdir())
        assert names == [".last", backup.id]
        component = client.call(GetComponent(name="keptd.backups"))
        assert component.status == "down"
        assert "no room" in component.metadata["problem"]
        if left > 1000:
            client.call(LogAction(action="goes on"))
            assert client.call(Status()).storage.state == before.state == "ok"
        client.call(DeleteBackup(id=backup.id))
        assert client.call(ListBackups()).items == ()
        room.clear()
        client.call(CreateBackup())
        assert client.call(GetComponent(name="keptd.backups")).status == "operational"


@pytest.mark.parametrize("after", range(6))
def test_a_disk_that_fills_up_meanwhile_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    left = after
    honest = archive.need_room

    def filling(place: Path | int, size: int = 0) -> None:
        nonlocal left
        left -= 1
        honest(place, size if left >= 0 else 1 << 60)

    with shelf(tmp_path, 200) as made:
        made.write(100, "z" * 5000)
        monkeypatch.setattr(copying, "PIECE", 4 * 4096)
        monkeypatch.setattr(copying, "need_room", filling)
        monkeypatch.setattr(archive, "need_room", filling)
        with pytest.raises(StorageFull):
            made.make()
        assert [path.name for path in made.place.folder.iterdir()] == [".last"]


def test_what_will_not_fit_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_disk(tmp_path, "8m") as room, shelf(tmp_path, 0) as made:
        made.write(200, "z" * 5000)
        room.fill(int(made.path.with_name("kept.db-wal").stat().st_size) // 2)
        monkeypatch.setattr(create, "copy", lambda *_: pytest.fail("it was begun"))
        with pytest.raises(StorageFull):
            made.make()


def test_a_disk_that_fails_is_told_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_descriptor: int) -> None:
        raise OSError(errno.EIO, "injected")

    with shelf(tmp_path) as made:
        monkeypatch.setattr(os, "fdatasync", failing)
        with pytest.raises(StorageFailed):
            made.verified()
        monkeypatch.undo()
        assert [path.name for path in made.place.folder.iterdir()] == [".last"]
        last = made.place.last_attempt()
        assert last is not None
        assert last.problem
        assert (made.verified().folder / ARCHIVE).exists()


def test_each_storage_error_of_a_call_is_what_its_caller_gets(tmp_path: Path) -> None:
    """`backup.create` and `backup.restore` on a folder that nobody can use: StorageFailed."""
    with home(tmp_path, **SETTINGS) as place, place.connect() as client:
        backup = client.call(CreateBackup())
        (tmp_path / "backups").rename(tmp_path / "away")
        (tmp_path / "backups").write_text("in the way")
        with pytest.raises(StorageFailed):
            client.call(CreateBackup())
        with pytest.raises(StorageFailed):
            client.call(RestoreBackup(id=backup.id))
