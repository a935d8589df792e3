"""A crash at any moment of going back leaves the old state or the new one."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import apsw
import pytest

from kept.wire.errors import StorageFailed, StorageFull
from keptd.backups import restore as restoring
from keptd.backups.restore import Replacement, prepare
from keptd.config import Storage
from keptd.store.database import open_reader, open_writer
from keptd.store.writer import WriteJob, Writer, Written
from tests.faulty_vfs import SURVIVALS, Disk, Survival, after_cut, restore
from tests.keptd.store.desk import Inbox
from tests.rooms import ACTOR, FakeClock

from .shelf import SETS, notes, shelf

OLD, NEW = list(range(1, 61)), [1, 2, 3]


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    made = Disk()
    monkeypatch.setattr(os, "fsync", made.fsync)
    yield made
    made.unregister()


def before(tmp_path: Path) -> None:
    """`tmp_path/new.db` with three notes, `tmp_path/old/kept.db` with sixty large ones."""
    (tmp_path / "made").mkdir()
    with shelf(tmp_path / "made") as made:
        made.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        shutil.copy(made.path, tmp_path / "new.db")


class Desk:
    """A writer on the faulty disk, whose database has sixty notes, and a prepared copy of one that has three."""

    def __init__(self, tmp_path: Path, disk: Disk) -> None:
        before(tmp_path)
        (tmp_path / "live").mkdir()
        self.path = tmp_path / "live" / "kept.db"
        self.clock = FakeClock()
        self.inbox = Inbox()
        with closing(open_writer(self.path, disk.name)) as db:
            from keptd.store.migrations import migrate

            migrate(db, SETS, 1)
            with db:
                for number in OLD:
                    db.execute("INSERT INTO note (text) VALUES (?)", (f"{number}" * 3000,))
        self.writer = Writer(self.path, Storage(ballast_bytes=0), self.clock, self.inbox, lambda _seq: None, disk.name)
        self.reader = open_reader(self.path, disk.name)
        self.statement = "SELECT seq FROM note ORDER BY seq"
        self.prepared = prepare(tmp_path / "new.db", SETS, 1)
        self.outcomes: list[Written | Exception] = []
        self.writer.start()

    def seen(self) -> list[int]:
        return [int(seq) for (seq,) in self.reader.execute(self.statement)]

    def replace(self) -> Written | Exception:
        step = Replacement("b", self.prepared, lambda _live: "b", None, (), self.clock, ACTOR)
        self.outcomes.clear()
        deadline = self.clock.monotonic() + 60
        self.writer.submit(WriteJob(step.run, self.outcomes.append, deadline, 0, frees_space=True, alone=True))
        self.inbox.wait(lambda: bool(self.outcomes))
        return self.outcomes[0]

    def close(self) -> None:
        self.prepared.close()
        self.writer.stop()
        self.reader.close()
        self.inbox.close()


@pytest.mark.parametrize("survival", SURVIVALS)
def test_a_power_cut_at_any_moment_leaves_the_old_state_or_the_new(
    tmp_path: Path, disk: Disk, survival: Survival
) -> None:
    work = Desk(tmp_path, disk)
    begin = len(disk.steps)
    assert work.seen() == OLD
    assert isinstance(work.replace(), Written)
    acknowledged = len(disk.steps)
    assert work.seen() == NEW
    work.close()
    seen = set()
    for place in range(begin, len(disk.steps) + 1):
        folder = tmp_path / "cut"
        restore(after_cut(disk.steps[:place], survival, Random(place)), folder)
        found = notes(folder / "kept.db")
        assert found in (OLD, NEW)
        assert found == NEW or place < acknowledged
        seen.add(len(found))
        shutil.rmtree(folder)
    assert seen == {len(OLD), len(NEW)}


@pytest.mark.parametrize("operation", ["write", "sync"])
@pytest.mark.parametrize("at", range(1, 12, 2))
def test_a_fault_of_the_disk_leaves_the_old_state_or_the_new(
    tmp_path: Path, disk: Disk, operation: str, at: int
) -> None:
    work = Desk(tmp_path, disk)
    disk.fail(operation, apsw.IOError, at=at)  # type: ignore[arg-type]
    outcome = work.replace()
    disk.heal()
    assert isinstance(outcome, (Written, StorageFailed))
    found = work.seen()
    assert found == NEW if isinstance(outcome, Written) else found in (OLD, NEW)
    work.clock.advance(1)
    for _ in range(100):
        if work.writer.stats.state == "ok":
            break
        work.replace()
        work.clock.advance(1)
    assert work.writer.stats.state == "ok"
    work.close()
    assert notes(work.path) in (OLD, NEW)


@pytest.mark.parametrize("at", [1, 3, 6])
def test_a_full_disk_refuses_and_leaves_the_old_state(tmp_path: Path, disk: Disk, at: int) -> None:
    work = Desk(tmp_path, disk)
    disk.fail("write", apsw.FullError, file="-wal", at=at, times=None)
    assert isinstance(work.replace(), StorageFull)
    assert work.seen() == OLD
    disk.heal()
    assert isinstance(work.replace(), Written)
    assert work.seen() == NEW
    work.close()


def test_what_will_not_fit_is_not_begun(tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(_place: Path, _size: int) -> None:
        raise OSError(errno.ENOSPC, "injected")

    work = Desk(tmp_path, disk)
    monkeypatch.setattr(restoring, "need_room", no_room)
    written = disk.count("write", "")
    assert isinstance(work.replace(), StorageFull)
    assert disk.count("write", "") == written
    assert work.writer.stats.state == "ok"
    work.close()


def test_a_read_that_has_begun_goes_on_with_what_it_began_with(tmp_path: Path, disk: Disk) -> None:
    work = Desk(tmp_path, disk)
    work.reader.execute("BEGIN")
    assert work.seen() == OLD
    half_read = work.reader.execute(work.statement)
    assert next(half_read) == (1,)
    assert isinstance(work.replace(), Written)
    assert [int(seq) for (seq,) in half_read] == OLD[1:]
    assert work.seen() == OLD
    work.reader.execute("COMMIT")
    assert work.seen() == NEW
    work.close()


def test_the_log_and_the_sequences_go_on(tmp_path: Path, disk: Disk) -> None:
    work = Desk(tmp_path, disk)
    outcome = work.replace()
    assert isinstance(outcome, Written)
    assert outcome.seq == 4
    sequences = dict(work.reader.execute("SELECT name, seq FROM sqlite_sequence"))
    assert sequences == {"note": 60, "change": 4}
    row = work.reader.execute("SELECT method, entity, entity_id FROM change WHERE seq = 4").fetchone()
    assert row == ("backup.restore", "database", "b")
    work.close()


def test_pages_of_another_size_are_refused(tmp_path: Path, disk: Disk) -> None:
    from kept.wire.errors import Conflict

    work = Desk(tmp_path, disk)
    work.prepared.close()
    db = apsw.Connection(str(tmp_path / "other.db"), vfs="unix")  # With checksums, pages have one size.
    db.pragma("page_size", 8192)
    db.execute("CREATE TABLE other (id INTEGER PRIMARY KEY) STRICT")
    db.close()
    work.prepared = prepare(tmp_path / "other.db", SETS, 1)
    outcome = work.replace()
    assert isinstance(outcome, Conflict)
    assert work.seen() == OLD
    work.close()
