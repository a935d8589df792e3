from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

import apsw
import pytest

from keptd.config import Storage
from keptd.store import Store, changes, receipts
from keptd.store.database import UnusableDatabase, open_writer
from keptd.store.migrations import ChangedMigration, Migration, NewerDatabase, migrate
from keptd.supervisor import DOMAINS
from tests.faulty_vfs import SURVIVALS, Disk, after_cut, restore
from tests.rooms import FakeClock

Sets = list[tuple[str, tuple[Migration, ...]]]

ONE = Migration("001_shelf", "CREATE TABLE shelf (id INTEGER PRIMARY KEY, label TEXT NOT NULL) STRICT;")
TWO = Migration(
    "002_colour",
    """
    ALTER TABLE shelf ADD COLUMN colour TEXT NOT NULL DEFAULT 'grey';
    CREATE INDEX shelf_by_colour ON shelf (colour);
    UPDATE shelf SET colour = 'red' WHERE id = 1;
    """,
)
THREE = Migration("003_box", "CREATE TABLE box (id INTEGER PRIMARY KEY, shelf INTEGER REFERENCES shelf (id)) STRICT;")


def schema(db: apsw.Connection) -> list[tuple[object, ...]]:
    return list(db.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"))


def applied(db: apsw.Connection) -> list[str]:
    if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'migration'").fetchone():
        return []
    return [str(name) for (name,) in db.execute("SELECT name FROM migration ORDER BY rowid")]


def state(db: apsw.Connection) -> tuple[object, ...]:
    rows = list(db.execute("SELECT * FROM shelf")) if ("shelf",) in db.execute("SELECT name FROM sqlite_schema") else []
    return (applied(db), schema(db), rows)


def versions(folder: Path) -> list[tuple[object, ...]]:
    """The states that a database may be in: nothing, one, two and three steps, with a row from the first on."""
    db = open_writer(folder / "versions.db")
    found = [state(db)]
    for steps in ((ONE,), (ONE, TWO), (ONE, TWO, THREE)):
        migrate(db, [("room", steps)], 1)
        if steps == (ONE,):
            db.execute("INSERT INTO shelf (label) VALUES ('a'), ('b')")
        found.append(state(db))
    db.close()
    return found


def test_each_step_is_applied_once_in_order(tmp_path: Path) -> None:
    db = open_writer(tmp_path / "kept.db")
    assert migrate(db, [("a", (ONE,)), ("b", (THREE,))], 1) == ["a/001_shelf", "b/003_box"]
    assert migrate(db, [("a", (ONE, TWO)), ("b", (THREE,))], 2) == ["a/002_colour"]
    assert migrate(db, [("a", (ONE, TWO)), ("b", (THREE,))], 3) == []
    assert list(db.execute("SELECT name, at FROM migration ORDER BY rowid")) == [
        ("a/001_shelf", 1),
        ("b/003_box", 1),
        ("a/002_colour", 2),
    ]
    db.close()


def test_a_step_that_is_knocked_out_at_any_statement_leaves_the_version_before(tmp_path: Path) -> None:
    allowed = versions(tmp_path)
    for last in range(100):
        folder = tmp_path / str(last)
        folder.mkdir()
        db = open_writer(folder / "kept.db")
        migrate(db, [("room", (ONE,))], 1)
        db.execute("INSERT INTO shelf (label) VALUES ('a'), ('b')")
        left = iter([True] * last)
        db.set_exec_trace(lambda _cursor, _sql, _bindings, left=left: next(left, False))  # type: ignore[misc]
        try:
            migrate(db, [("room", (ONE, TWO, THREE))], 1)
        except apsw.ExecTraceAbort:
            db.set_exec_trace(None)
            assert state(db) in allowed[1:]
            migrate(db, [("room", (ONE, TWO, THREE))], 1)
            assert state(db) == allowed[3]
        else:
            db.set_exec_trace(None)
            assert last > 10
            db.close()
            return
        db.close()
    pytest.fail("it never came to its end")


@pytest.mark.parametrize("survival", SURVIVALS)
def test_a_power_cut_during_a_migration_leaves_the_version_before_or_after(
    tmp_path: Path, disk: Disk, survival: str
) -> None:
    allowed = versions(tmp_path)
    (tmp_path / "work").mkdir()
    db = open_writer(tmp_path / "work" / "kept.db", disk.name)
    migrate(db, [("room", (ONE,))], 1)
    db.execute("INSERT INTO shelf (label) VALUES ('a'), ('b')")
    begin = len(disk.steps)
    migrate(db, [("room", (ONE, TWO, THREE))], 1)
    end = len(disk.steps)
    db.close()
    seen = set()
    for place in range(begin, end + 1):
        restore(after_cut(disk.steps[:place], survival, Random(place)), tmp_path / "restored")  # type: ignore[arg-type]
        found = apsw.Connection(str(tmp_path / "restored" / "kept.db"))
        assert found.pragma("integrity_check") == "ok"
        assert state(found) in allowed
        seen.add(allowed.index(state(found)))
        found.close()
        shutil.rmtree(tmp_path / "restored")
    assert seen == {1, 2, 3}


def rooms() -> Sets:
    return [
        ("changes", changes.MIGRATIONS),
        ("receipts", receipts.MIGRATIONS),
        *((d.name, d.migrations) for d in DOMAINS),
    ]


def test_a_schema_that_grew_from_any_older_version_is_that_of_a_new_database(tmp_path: Path) -> None:
    fresh = open_writer(tmp_path / "fresh.db")
    migrate(fresh, rooms(), 1)
    wanted = sorted(schema(fresh), key=str)
    fresh.close()
    names = [(room, step.name) for room, steps in rooms() for step in steps]
    for count in range(len(names)):
        known = names[:count]
        older = [(room, tuple(step for step in steps if (room, step.name) in known)) for room, steps in rooms()]
        db = open_writer(tmp_path / f"{count}.db")
        migrate(db, older, 1)
        migrate(db, rooms(), 2)
        assert sorted(schema(db), key=str) == wanted
        assert db.pragma("foreign_key_check") is None
        db.close()


def test_the_steps_of_every_room_have_names_in_order_and_none_twice() -> None:
    for _, steps in rooms():
        numbers = [step.name.split("_")[0] for step in steps]
        assert numbers == [f"{number:03}" for number in range(1, len(steps) + 1)]


def open_store(folder: Path, sets: Sets) -> None:
    Store(folder / "kept.db", sets, Storage(ballast_bytes=0), FakeClock(), lambda _seq: None).close()


def crashed(folder: Path, into: Path) -> None:
    """A copy of an open database, as a crash would leave it: with what is in its log."""
    into.mkdir()
    for name in ("kept.db", "kept.db-wal"):
        if (folder / name).exists():
            (into / name).write_bytes((folder / name).read_bytes())


@pytest.mark.parametrize("is_crashed", [False, True])
def test_a_newer_database_is_refused_before_anything_is_touched(tmp_path: Path, is_crashed: bool) -> None:
    made = tmp_path / "made"
    made.mkdir()
    db = open_writer(made / "kept.db")
    migrate(db, [*rooms(), ("shelves", (ONE, TWO))], 1)
    if not is_crashed:
        db.close()
    crashed(made, tmp_path / "home")
    db.close()
    before = {name: (tmp_path / "home" / name).read_bytes() for name in ("kept.db",)}
    log = tmp_path / "home" / "kept.db-wal"
    frames = log.read_bytes() if log.exists() else b""
    with pytest.raises(NewerDatabase, match=r"shelves/001_shelf, shelves/002_colour"):
        open_store(tmp_path / "home", [*rooms()[2:], ("shelves", ())])
    assert {name: (tmp_path / "home" / name).read_bytes() for name in before} == before
    assert (log.read_bytes() if log.exists() else b"") == frames
    assert bool(frames) is is_crashed


def test_an_edited_migration_is_refused_before_anything_is_touched(tmp_path: Path) -> None:
    open_store(tmp_path, [("shelves", (ONE,))])
    before = (tmp_path / "kept.db").read_bytes()
    edited = Migration(ONE.name, ONE.sql.replace("label", "title"))
    with pytest.raises(ChangedMigration, match="shelves/001_shelf"):
        open_store(tmp_path, [("shelves", (edited, TWO))])
    assert (tmp_path / "kept.db").read_bytes() == before


def test_a_migration_whose_layout_changes_is_the_same(tmp_path: Path) -> None:
    open_store(tmp_path, [("shelves", (ONE,))])
    open_store(tmp_path, [("shelves", (Migration(ONE.name, "\n  " + ONE.sql.replace(" ", "\n    ")),))])


def test_what_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "kept.db").write_bytes(b"dear diary, " * 1000)
    with pytest.raises(UnusableDatabase, match="NotADBError"):
        open_store(tmp_path, [])
    assert (tmp_path / "kept.db").read_bytes() == b"dear diary, " * 1000


def test_a_file_system_without_shared_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableDatabase, match="local Linux file system"):
        open_writer(tmp_path / "kept.db", "unix-dotfile")


def test_opening_a_database_writes_nothing_to_it(tmp_path: Path, disk: Disk) -> None:
    db = open_writer(tmp_path / "kept.db", disk.name)
    migrate(db, rooms(), 1)
    db.close()
    before = disk.count("write", "")
    open_writer(tmp_path / "kept.db", disk.name).close()
    assert disk.count("write", "") == before
