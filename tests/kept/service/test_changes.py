"""Unit files that somebody else has had a hand in: links, masks, copies, and folders that are none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kept.paths import find
from kept.service import changes
from kept.service.units import Unit, rendered
from tests.small_disk import small_disk
from tests.sources import ROOT


@pytest.fixture
def units(tmp_path: Path) -> tuple[Unit, Unit]:
    environ = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": "/run/user/7"}
    return rendered(find(environ, lambda _: True), environ, "/usr/bin/python3")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    made = tmp_path / "systemd" / "user"
    made.mkdir(parents=True)
    return made


def test_a_link_is_somebodys_own_and_only_the_link_goes(units: tuple[Unit, Unit], place: Path, tmp_path: Path) -> None:
    behind = tmp_path / "dotfiles"
    behind.write_text("mine\n")
    (place / units[0].name).symlink_to(behind)
    (place / units[1].name).symlink_to("/nowhere/at/all")
    for found in (changes.writing(units, str(place)), changes.removing(units, str(place))):
        assert [(one.edited, one.link) for one in found] == [(True, str(behind)), (True, "/nowhere/at/all")]
    changes.write(units, str(place))
    assert not (place / units[0].name).is_symlink()
    assert behind.read_text() == "mine\n"


def test_a_link_to_the_very_text_stays(units: tuple[Unit, Unit], place: Path, tmp_path: Path) -> None:
    (tmp_path / "same").write_text(units[0].text)
    (place / units[0].name).symlink_to(tmp_path / "same")
    assert [one.action for one in changes.writing(units, str(place))] == ["keep", "write"]


def test_a_mask_is_neither_written_over_nor_removed(units: tuple[Unit, Unit], place: Path) -> None:
    (place / units[0].name).symlink_to("/dev/null")
    (place / units[1].name).touch()
    for found in (changes.writing(units, str(place)), changes.removing(units, str(place))):
        assert [(one.masked, one.action) for one in found] == [(True, "keep"), (True, "keep")]


def test_a_copy_of_what_is_shipped_is_kepts_own(units: tuple[Unit, Unit], place: Path) -> None:
    for unit in units:
        (place / unit.name).write_text((ROOT / "systemd" / unit.name).read_text())
    assert [(one.action, one.edited) for one in changes.writing(units, str(place))] == [("replace", False)] * 2
    with (place / units[0].name).open("a") as file:
        file.write("Nice=5\n")
    assert [one.edited for one in changes.removing(units, str(place))] == [True, False]


def test_both_units_are_written_or_none(units: tuple[Unit, Unit], place: Path) -> None:
    (place / f".{units[1].name}.new").mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        changes.write(units, str(place))
    assert os.listdir(place) == [f".{units[1].name}.new"]


def test_on_a_full_disk_no_folder_is_left_that_was_made_for_the_units(units: tuple[Unit, Unit], tmp_path: Path) -> None:
    with small_disk(tmp_path, "256k") as disk:
        (tmp_path / "systemd").mkdir()
        disk.fill()
        with pytest.raises(OSError, match="No space left"):
            changes.write(units, str(tmp_path / "systemd" / "user" / "deeper"))
        assert os.listdir(tmp_path / "systemd") == []
        disk.clear()
        changes.write(units, str(tmp_path / "systemd" / "user" / "deeper"))
        assert len(os.listdir(tmp_path / "systemd" / "user" / "deeper")) == 2


def test_what_stands_in_the_way_is_named_and_a_pipe_is_not_waited_for(units: tuple[Unit, Unit], place: Path) -> None:
    os.mkfifo(place / units[0].name)
    with pytest.raises(OSError, match="no regular file"):
        changes.writing(units, str(place))
    (place / units[0].name).unlink()
    place.rmdir()
    place.touch()
    for look in (changes.writing, changes.removing):
        with pytest.raises(NotADirectoryError) as fault:
            look(units, str(place))
        assert fault.value.filename == str(place)


def test_a_difference_ends_its_lines_where_the_file_does_not(units: tuple[Unit, Unit], place: Path) -> None:
    (place / units[0].name).write_text("mine")
    assert "\n-mine\n+# Written by" in changes.writing(units, str(place))[0].diff
