"""The backup before a migration, and going back to one that is older than the schema."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from keptd.backups.create import before_migration
from keptd.backups.place import Place
from keptd.backups.restore import check, prepare
from keptd.backups.work import Work
from keptd.config import Storage
from keptd.store import OWN, Store
from keptd.store.database import UnusableDatabase
from keptd.store.migrations import Migration, NewerDatabase
from tests.rooms import FakeClock

from .shelf import NEWER, SETS, notes, shelf

Rooms = Sequence[tuple[str, tuple[Migration, ...]]]


def open_store(folder: Path, sets: Rooms, hook: object = None) -> None:
    place, clock = Place(folder / "backups"), FakeClock()
    Store(
        folder / "kept.db",
        sets[2:],
        Storage(ballast_bytes=0),
        clock,
        lambda _seq: None,
        before_migration=hook or partial(before_migration, place, (), sets, clock),  # type: ignore[arg-type]
    ).close()


def test_a_migration_of_a_database_with_something_in_it_is_backed_up_before(tmp_path: Path) -> None:
    place = Place(tmp_path / "backups")
    open_store(tmp_path, SETS)
    assert place.listed() == []
    with shelf(tmp_path):
        pass
    open_store(tmp_path, SETS)
    assert place.listed() == []
    open_store(tmp_path, NEWER)
    (found,) = place.listed()
    assert found.is_verified
    assert found.manifest is not None
    assert found.manifest.kind == "before_migration"
    assert [step.name for step in found.manifest.schema][-1] == "notes/001_note"
    open_store(tmp_path, NEWER)
    assert len(place.listed()) == 1


def test_a_start_that_is_tried_again_makes_no_second_backup(tmp_path: Path) -> None:
    broken = Migration("003_broken", "CREATE TABLE shelf (id INTEGER PRIMARY KEY) STRICT;")
    sets = (*OWN, ("notes", (*SETS[-1][1], broken)))
    with shelf(tmp_path) as made:
        made.db.execute("CREATE TABLE shelf (id)")
    for _ in range(3):
        with pytest.raises(Exception, match="already exists"):
            open_store(tmp_path, sets)
    assert len(Place(tmp_path / "backups").listed()) == 1


def test_without_a_backup_nothing_is_migrated(tmp_path: Path) -> None:
    with shelf(tmp_path):
        pass
    before = (tmp_path / "kept.db").read_bytes()
    with Place(tmp_path / "backups").alone(), pytest.raises(UnusableDatabase, match="Nothing was changed"):
        open_store(tmp_path, NEWER)
    assert (tmp_path / "kept.db").read_bytes() == before


def test_a_newer_database_is_refused_without_a_backup(tmp_path: Path) -> None:
    with shelf(tmp_path):
        pass
    open_store(tmp_path, NEWER, lambda _path: None)
    with pytest.raises(NewerDatabase):
        open_store(tmp_path, SETS)
    assert Place(tmp_path / "backups").listed() == []


def test_an_older_backup_is_migrated_aside(tmp_path: Path) -> None:
    with shelf(tmp_path) as made:
        found = made.make()
    assert found.manifest is not None
    check(found.folder, found.manifest, NEWER, tmp_path / "aside.db", Work(FakeClock()))
    db = prepare(tmp_path / "aside.db", NEWER, 1)
    assert db.execute("SELECT count(*) FROM shelf").fetchone() == (0,)
    db.close()
    assert notes(tmp_path / "aside.db") == [1, 2, 3]
