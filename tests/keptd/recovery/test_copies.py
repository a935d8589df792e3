"""Which backups a recovery builds on: the good ones, newest first."""

from __future__ import annotations

from pathlib import Path
from random import Random

from keptd.backups.archive import ARCHIVE
from keptd.backups.beside import Original
from keptd.domain import Domain
from keptd.recovery.copies import from_backups
from keptd.store.damage import Damage
from tests.keptd.backups.shelf import SETS, notes, shelf


def test_bad_ones_are_passed_over_and_leave_nothing(tmp_path: Path) -> None:
    aside = tmp_path / "aside"
    aside.mkdir()
    with shelf(tmp_path) as made:
        good = []
        for number in range(4):
            made.write(1)
            made.clock.advance(60)
            good.append(made.verified())
            assert good[number].manifest is not None
        newest, second, third, oldest = reversed(good)
        archive = newest.folder / ARCHIVE
        archive.write_bytes(archive.read_bytes()[::-1])
        (third.folder / "manifest.json").unlink()
        (made.place.folder / "20990101T000000Z-00000000").mkdir()
        found = []
        for backup in from_backups(made.place, SETS, made.clock)(aside):
            found.append((backup.id, len(notes(backup.path))))
            backup.path.unlink()
    assert found == [(second.id, 6), (oldest.id, 4)]
    assert list(aside.iterdir()) == []


def test_one_whose_file_is_damaged_still_gives_its_database(tmp_path: Path) -> None:
    aside = tmp_path / "aside"
    aside.mkdir()
    with shelf(tmp_path) as made:
        (tmp_path / "archives").mkdir(mode=0o700)
        (tmp_path / "archives" / "old").write_bytes(Random(1).randbytes(100))
        made.original = Original(made.path, (Domain("notes", folders=("archives",)),), Damage(lambda _noticed: None))
        backup = made.verified()
        (backup.folder / "files" / "archives" / "old").write_bytes(b"no more")
        (found,) = from_backups(made.place, SETS, made.clock)(aside)
    assert (found.id, len(notes(found.path))) == (backup.id, 3)
