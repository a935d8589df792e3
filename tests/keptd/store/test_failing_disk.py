"""A disk that fails once, or for good: never a wrong acknowledgement, and the store goes on by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from kept.wire.errors import StorageFailed
from keptd.store.writer import Written
from tests.faulty_vfs import Disk, Operation

from .desk import Desk, check, delete, desk, entries, put, refuse

FAULTS: list[tuple[Operation, str, int]] = [
    *(("write", "-wal", at) for at in range(1, 19)),
    *(("sync", "-wal", at) for at in range(1, 5)),
]


@pytest.mark.parametrize(("operation", "file", "at"), FAULTS)
def test_a_batch_whose_commit_fails_fails_whole_and_can_be_repeated(
    tmp_path: Path, disk: Disk, operation: Operation, file: str, at: int
) -> None:
    with desk(tmp_path, vfs=disk.name) as work:
        work.write("before")
        gate = disk.gate("sync", "-wal")
        work.submit("first", put("first"))
        gate.wait()
        names = ["a", "b", "c"]
        for name in names:
            work.submit(name, put(name, "x" * 3000))
        work.submit("refused", refuse("refused"))
        disk.fail(operation, apsw.IOError, file=file, at=at)
        gate.open()
        batch = work.settle(*names, "refused")
        if any(isinstance(outcome, StorageFailed) for outcome in batch):
            assert all(isinstance(outcome, StorageFailed) for outcome in batch)
        work.write_until_taken("later")
        disk.heal()
        acknowledged = [name for name, outcome in work.outcomes.items() if isinstance(outcome, Written)]
        found = work.entries()
        assert set(acknowledged) <= found.keys()
        assert max(found.values()) == 1
        for name in ("first", *names):
            work.write_until_taken(name)
        assert work.entries() == dict.fromkeys(["before", "first", *names, "later"], 1)
        assert work.state() == "ok"
    check(tmp_path / "kept.db", ["before", "first", "later", *names])


def test_after_a_fault_the_writer_checks_and_goes_on_without_being_asked(work: Desk, disk: Disk) -> None:
    work.write("before")
    log = work.path.with_name("kept.db-wal")
    disk.fail("sync", apsw.IOError, file="-wal")
    gate = disk.gate("truncate", "-wal")
    assert isinstance(work.write("unknown"), StorageFailed)
    # It comes to the end of what it does, and waits there: all is in the database, and the log is about to be emptied.
    gate.wait()
    assert work.state() == "failed"
    assert seen(work) == {"before"}
    assert log.stat().st_size > 0
    gate.open()
    work.write_until_taken("after")
    assert work.writer.stats.detail == "in order after a fault of the disk"


def seen(work: Desk) -> set[str]:
    return {str(name) for (name,) in work.reader.execute("SELECT name FROM entry")}


def test_while_the_disk_fails_writes_are_refused_at_once_and_reads_go_on(work: Desk, disk: Disk) -> None:
    work.write("before")
    for operation in ("write", "sync", "truncate"):
        disk.fail(operation, apsw.IOError, times=None)
    for number in range(20):
        assert isinstance(work.write(f"n{number}"), StorageFailed)
        assert seen(work) == {"before"}
    assert isinstance(work.write("gone", delete("before"), frees_space=True), StorageFailed)
    assert work.state() == "failed"
    assert "fails" in work.writer.stats.detail
    disk.heal()
    # Its next look at the disk is a pause away, by a clock that stands still here.
    assert isinstance(work.write("early"), StorageFailed)


def test_a_disk_that_works_again_is_noticed(tmp_path: Path, disk: Disk) -> None:
    with desk(tmp_path, vfs=disk.name) as work:
        work.write("before")
        disk.fail("sync", apsw.IOError, times=None)
        assert isinstance(work.write("a"), StorageFailed)
        assert isinstance(work.write("b"), StorageFailed)
        disk.heal()
        for name in ("a", "b"):
            work.write_until_taken(name)
        assert work.entries() == {"before": 1, "a": 1, "b": 1}
        assert work.state() == "ok"


def test_a_failing_disk_is_not_looked_at_for_every_write(work: Desk, disk: Disk) -> None:
    work.write("before")
    disk.fail("sync", apsw.IOError, times=None)
    work.write("a")
    work.write("b")
    looks = disk.count("sync", "")
    for number in range(50):
        work.write(f"n{number}")
    assert disk.count("sync", "") == looks


def test_a_stop_while_the_disk_fails_ends_and_loses_nothing_acknowledged(tmp_path: Path, disk: Disk) -> None:
    with desk(tmp_path, vfs=disk.name) as work:
        work.write("before")
        for operation in ("write", "sync", "truncate"):
            disk.fail(operation, apsw.IOError, times=None)
        assert isinstance(work.write("unknown"), StorageFailed)
    disk.heal()
    check(tmp_path / "kept.db", ["before"])


def no_table(content: bytearray, page: int) -> None:
    content[page * 4096 : page * 4096 + 200] = b"\xff" * 200


def wrong_count(content: bytearray, _page: int) -> None:
    """The number of free pages (offset 36 of the header), which only a check notices."""
    content[36:40] = b"\0\0\0\5"


@pytest.mark.parametrize("damage", [no_table, wrong_count])
def test_a_damaged_database_takes_no_writes_and_is_not_touched(
    tmp_path: Path, disk: Disk, damage: Callable[[bytearray, int], None]
) -> None:
    with desk(tmp_path, vfs=disk.name) as work:
        for number in range(40):
            work.write(f"n{number}")
    damaged = tmp_path / "kept.db"
    content = bytearray(damaged.read_bytes())
    damage(content, page_of(damaged, "entry"))
    with desk(tmp_path, vfs=disk.name) as work:
        disk.fail("sync", apsw.IOError, file="-wal")
        gate = disk.gate("sync", "-wal")
        work.submit("unknown", put("unknown"))
        gate.wait()
        damaged.write_bytes(content)
        gate.open()
        assert isinstance(work.settle("unknown")[0], StorageFailed)
        for number in range(5):
            work.clock.advance(10)
            assert isinstance(work.write(f"m{number}"), StorageFailed)
        assert "damaged" in work.writer.stats.detail
    assert damaged.read_bytes() == content


def page_of(path: Path, table: str) -> int:
    """The number of the table's first page, less one: where it lies in the file."""
    db = apsw.Connection(str(path))
    root = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    db.close()
    assert root is not None
    return int(root[0]) - 1


def test_a_fault_of_a_read_is_a_refusal_and_harms_nothing(work: Desk, disk: Disk) -> None:
    assert entries(work.path, disk.name) == {}
    work.write("a")
    assert isinstance(work.write("b", raising_corruption), StorageFailed)
    work.write_until_taken("b")
    assert work.entries() == {"a": 1, "b": 1}


def raising_corruption(db: apsw.Connection) -> Written:
    put("half")(db)
    raise apsw.CorruptError("found while it was read")


def test_damage_that_the_check_after_a_fault_finds_is_told_and_nothing_is_acknowledged(work: Desk, disk: Disk) -> None:
    told: list[str] = []
    work.writer._damaged = told.append
    for number in range(40):
        work.write(f"entry {number}", put(f"entry {number}", "x" * 3000))
    ((root,),) = work.reader.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'entry'").fetchall()
    work.reader.execute("PRAGMA query_only = OFF; PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    with work.path.open("r+b") as file:
        file.seek((int(str(root)) - 1) * 4096)
        file.write(bytes(4096))
    disk.fail("sync", apsw.IOError, file="-wal")
    assert isinstance(work.write("unknown"), StorageFailed)
    work.clock.advance(10)
    assert isinstance(work.write("after"), StorageFailed)
    work.inbox.wait(lambda: bool(told))
    assert told[0].startswith("the database is damaged")
    assert work.state() == "failed"
    assert work.writer.stats.detail == told[0]
