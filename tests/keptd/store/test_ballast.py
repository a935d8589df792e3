from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from keptd.store.ballast import START_BYTES, Ballast

SIZE = 2 * 1024 * 1024


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "kept.db"


def size(database: Path) -> int:
    file = database.with_name("ballast")
    return file.stat().st_size if file.exists() else 0


def limit_room(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_bavail=room, f_frsize=1))


def test_it_takes_up_real_room_for_its_owner_alone(database: Path) -> None:
    assert Ballast(database, SIZE).hold()
    found = database.with_name("ballast").stat()
    assert found.st_size == SIZE
    assert found.st_blocks * 512 >= SIZE
    assert found.st_mode & 0o077 == 0


def test_a_release_leaves_what_a_start_needs(database: Path) -> None:
    ballast = Ballast(database, SIZE)
    ballast.hold()
    ballast.release()
    assert size(database) == START_BYTES
    ballast.release_all()
    assert size(database) == 0


def test_a_small_one_is_released_as_well(database: Path) -> None:
    ballast = Ballast(database, 4096)
    ballast.hold()
    ballast.release()
    assert size(database) == 1024


@pytest.mark.parametrize(("room", "held"), [(2 * SIZE, True), (2 * SIZE - 1, False)])
def test_it_is_held_only_where_as_much_again_is_free(
    database: Path, monkeypatch: pytest.MonkeyPatch, room: int, held: bool
) -> None:
    limit_room(monkeypatch, room)
    assert Ballast(database, SIZE).hold() is held
    assert size(database) == (SIZE if held else 0)


def test_a_refusal_tells_how_much_room_it_takes_and_how_to_do_with_less(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mib = 1024 * 1024
    limit_room(monkeypatch, 60 * mib)
    refusal = Ballast(database, 32 * mib).refusal()
    assert "60.0 MiB are free, and kept wants 64.0" in refusal.message
    assert "storage.ballast_bytes" in refusal.hint
    assert (refusal.data["free_bytes"], refusal.data["needed_bytes"]) == (60 * mib, 64 * mib)
    assert "full until 64.0 MiB are free" in Ballast(database, 32 * mib).told()
    assert Ballast(database, 0).refusal().data == {}, "without one nobody can tell"
    assert Ballast(database, 0).told().startswith("the disk is full:")


def test_one_that_is_there_is_held_whatever_room_is_left(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Ballast(database, SIZE).hold()
    limit_room(monkeypatch, 0)
    assert Ballast(database, SIZE).hold()


def test_a_smaller_setting_gives_room_back(database: Path) -> None:
    Ballast(database, SIZE).hold()
    assert Ballast(database, 1000).hold()
    assert size(database) == 1000
    assert Ballast(database, 0).hold()
    assert size(database) == 0


def test_none_is_kept_where_the_setting_is_0(database: Path) -> None:
    ballast = Ballast(database, 0)
    assert ballast.hold()
    ballast.release()
    ballast.release_all()
    assert not database.with_name("ballast").exists()


def test_a_disk_that_refuses_it_is_no_error(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    ballast = Ballast(database, SIZE)
    assert not ballast.hold()
    monkeypatch.setattr(os, "truncate", refuse)
    ballast.release()


def test_a_symbolic_link_in_its_place_is_not_followed(database: Path, tmp_path: Path) -> None:
    (tmp_path / "ballast").symlink_to(tmp_path / "elsewhere")
    assert not Ballast(database, SIZE).hold()
    assert not (tmp_path / "elsewhere").exists()
