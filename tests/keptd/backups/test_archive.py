"""A backup that isn't what it was when it was made is refused, whatever happened to it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from kept.wire.errors import Conflict, NotFound
from keptd.backups.archive import ARCHIVE, FORMAT, MANIFEST, BadBackup, _seal, read_manifest
from keptd.backups.create import verify
from keptd.backups.place import Found, look
from keptd.backups.restore import check
from keptd.backups.work import Stopped, Work
from tests.rooms import FakeClock

from .shelf import NEWER, SETS, Shelf, notes, shelf


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Shelf]:
    with shelf(tmp_path) as found:
        yield found


def problem(found: Found, aside: Path) -> str | None:
    """Why a restore of it would be refused, looked at as a restore does."""
    again = look(found.folder)
    if again.manifest is None:
        return again.problem
    try:
        check(again.folder, again.manifest, SETS, aside, Work(FakeClock()))
    except BadBackup as bad:
        return str(bad)
    finally:
        aside.unlink(missing_ok=True)
    return None


def test_a_backup_comes_back_as_it_was(made: Shelf, tmp_path: Path) -> None:
    found = made.make()
    assert found.manifest is not None
    check(found.folder, found.manifest, SETS, tmp_path / "back.db", Work(made.clock))
    assert notes(tmp_path / "back.db") == [1, 2, 3]
    assert found.manifest.rows == 3
    assert found.manifest.tables["change"] == 3
    assert found.manifest.last_seq == 3
    assert [step.name for step in found.manifest.schema] == [
        "changes/001_change",
        "changes/002_session",
        "receipts/001_receipt",
        "receipts/002_session",
        "ages/001_age",
        "notes/001_note",
    ]
    assert found.bytes < (tmp_path / "back.db").stat().st_size == found.manifest.database_bytes


def test_files_and_folders_are_for_the_owner_alone(made: Shelf) -> None:
    before = os.umask(0)
    try:
        found = made.verified()
    finally:
        os.umask(before)
    everything = [made.place.folder, *made.place.folder.rglob("*")]
    assert {path.name for path in everything} >= {found.id, MANIFEST, ARCHIVE, "check.json"}
    assert [path for path in everything if path.stat().st_mode & 0o077] == []


@pytest.mark.parametrize("name", [MANIFEST, ARCHIVE])
def test_a_backup_cut_short_at_any_byte_is_refused(made: Shelf, tmp_path: Path, name: str) -> None:
    found = made.make()
    file = found.folder / name
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        assert problem(found, tmp_path / "aside.db"), length
    file.write_bytes(whole)
    assert problem(found, tmp_path / "aside.db") is None


@pytest.mark.parametrize("name", [MANIFEST, ARCHIVE])
def test_a_backup_with_a_flipped_bit_is_refused(made: Shelf, tmp_path: Path, name: str) -> None:
    found = made.make()
    file = found.folder / name
    whole = file.read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        file.write_bytes(changed)
        assert problem(found, tmp_path / "aside.db"), place


def grow(folder: Path) -> None:
    with (folder / ARCHIVE).open("ab") as file:
        file.write(b"more")


def empty(folder: Path) -> None:
    (folder / ARCHIVE).write_bytes(b"")


def lie(folder: Path) -> None:
    """The manifest is whole, but says something else of the archive."""
    manifest = msgspec.structs.replace(read_manifest(folder), rows=4)
    (folder / MANIFEST).write_bytes(_seal(manifest))


def claim_less(folder: Path) -> None:
    manifest = msgspec.structs.replace(read_manifest(folder), database_bytes=4096)
    (folder / MANIFEST).write_bytes(_seal(manifest))


def come_from_the_future(folder: Path) -> None:
    manifest = msgspec.structs.replace(read_manifest(folder), format=FORMAT + 1)
    (folder / MANIFEST).write_bytes(_seal(manifest))


@pytest.mark.parametrize("harm", [grow, empty, lie, claim_less, come_from_the_future])
def test_a_backup_that_contradicts_itself_is_refused(made: Shelf, tmp_path: Path, harm: Callable[[Path], None]) -> None:
    found = made.make()
    harm(found.folder)
    assert problem(found, tmp_path / "aside.db")


def test_a_backup_with_a_newer_schema_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    from keptd.store.migrations import migrate

    with shelf(tmp_path) as made:
        migrate(made.db, NEWER, 1)
        found = made.make()
    assert found.manifest is not None
    with pytest.raises(BadBackup, match="notes/002_shelf"):
        check(found.folder, found.manifest, SETS, tmp_path / "nowhere" / "aside.db", Work(FakeClock()))


def test_a_check_is_recorded_and_a_bad_one_is_a_problem(made: Shelf) -> None:
    found = made.verified()
    assert found.is_verified
    (found.folder / ARCHIVE).write_bytes((found.folder / ARCHIVE).read_bytes()[::-1])
    with made.place.alone():
        again = verify(made.place, found.id, SETS, made.clock, Work(made.clock))
    assert not again.is_verified
    assert again.problem
    assert made.place.listed()[0].problem == again.problem


def test_the_list_shows_what_it_can_not_use_and_fails_for_none_of_it(made: Shelf, tmp_path: Path) -> None:
    found = made.verified()
    folder = made.place.folder
    (folder / "a folder").mkdir()
    (folder / "a file").write_text("notes")
    (folder / "20200101T000000Z-00000000").mkdir()
    (folder / "20209999T000000Z-00000000").mkdir()
    (folder / os.fsdecode(b"\xff\xfe")).mkdir()
    (folder / "link").symlink_to(found.folder)
    shutil.copytree(found.folder, folder / "20200102T000000Z-00000000")
    (folder / "20200101T000000Z-00000000" / MANIFEST).mkdir()
    listed = made.place.listed()
    assert [one.id for one in listed if one.problem is None] == [found.id]
    assert len(listed) == 8
    assert msgspec.json.encode([one.problem for one in listed])


def test_only_what_kept_made_can_be_deleted(made: Shelf) -> None:
    (made.place.folder / "photos").mkdir()
    for name in ("photos", "../backups", ".last", "20200101T000000Z-00000000"):
        with pytest.raises(NotFound):
            made.place.delete(name)
    found = made.verified()
    made.place.delete(found.id)
    assert made.place.listed()[0].id == "photos"
    assert not found.folder.exists()


def test_what_a_crash_left_aside_is_removed_at_the_start(made: Shelf) -> None:
    found = made.make()
    for name in (".partial-20200101T000000Z-00000000", ".deleted-x", ".partial-check-x"):
        (made.place.folder / name).mkdir()
        (made.place.folder / name / "kept.db").write_text("half of it")
    assert made.place.clear() == ["20200101T000000Z-00000000"]
    assert sorted(path.name for path in made.place.folder.iterdir()) == [".last", found.id]


def test_one_works_at_a_time(made: Shelf) -> None:
    with made.place.alone(), pytest.raises(Conflict):
        made.make()
    assert made.make().problem is None


def test_work_that_is_stopped_leaves_nothing(made: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    from keptd.backups import create

    class Stopping(Work):
        left = 2

        def tick(self, *, rests: bool = True) -> None:
            Stopping.left -= 1
            if Stopping.left == 0:
                self.stop()
            super().tick(rests=rests)

    monkeypatch.setattr(create, "Work", Stopping)
    with made.place.alone(), pytest.raises(Stopped):
        create.make(made.place, create.Wanted(made.original, "manual"), made.clock, Stopping(made.clock))
    assert [path.name for path in made.place.folder.iterdir()] == [".last"]


def test_a_damaged_database_is_not_backed_up_and_that_is_said(tmp_path: Path) -> None:
    from kept.wire.errors import StorageFailed

    with shelf(tmp_path, 400) as made:
        made.write(50, "x" * 3000)
        ((root,),) = made.db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'note'").fetchall()
        assert isinstance(root, int)
        size = int(made.db.pragma("page_size"))
        made.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    damaged = bytearray(made.path.read_bytes())
    damaged[(root - 1) * size : root * size] = bytes(size)
    made.path.write_bytes(damaged)
    with pytest.raises(StorageFailed):
        made.verified()
    assert made.place.listed() == []
    attempt = made.place.last_attempt()
    assert attempt is not None
    assert attempt.problem
