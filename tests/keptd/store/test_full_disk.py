"""A full disk: refused and not written, reads go on, what makes room goes through, and it recovers."""

from __future__ import annotations

from pathlib import Path
from random import Random

import apsw
import pytest

from kept.wire.errors import StorageFull
from keptd.config import Storage
from keptd.store import Store
from keptd.store.writer import Written
from tests.faulty_vfs import Disk, after_cut, restore
from tests.rooms import FakeClock
from tests.small_disk import small_disk

from .desk import SETS, Desk, check, delete, desk, entries, put

KIB = 1024
MIB = 1024 * KIB


@pytest.mark.parametrize("at", range(1, 19))
def test_a_write_that_finds_the_disk_full_is_refused_and_not_there(tmp_path: Path, disk: Disk, at: int) -> None:
    with desk(tmp_path, vfs=disk.name) as work:
        work.write("before")
        gate = disk.gate("sync", "-wal")
        work.submit("first", put("first"))
        gate.wait()
        names = ["a", "b"]
        for name in names:
            work.submit(name, put(name, "x" * 3000))
        work.submit("gone", delete("before"), frees_space=True)
        disk.fail("write", apsw.FullError, file="-wal", at=at)
        gate.open()
        outcomes = work.settle("first", *names, "gone")
        full = [name for name, outcome in work.outcomes.items() if isinstance(outcome, StorageFull)]
        assert isinstance(outcomes[-1], Written)
        found = work.entries()
        assert found == {"first": 1, **{name: 1 for name in names if name not in full}}
        # Not written means: neither now nor after a crash, whatever part of it has reached the disk.
        restore(after_cut(disk.steps, "kept", Random(at)), tmp_path / "after")
        assert entries(tmp_path / "after" / "kept.db") == found
        for name in full:
            work.write_until_taken(name)
        assert work.entries() == dict.fromkeys(["first", *names], 1)
        assert work.state() == "ok"


def test_while_the_disk_is_full_reads_go_on_and_nothing_is_written(work: Desk, disk: Disk) -> None:
    work.write("before")
    disk.fail("write", apsw.FullError, times=None)
    for number in range(10):
        assert isinstance(work.write(f"n{number}"), StorageFull)
        assert [name for (name,) in work.reader.execute("SELECT name FROM entry")] == ["before"]
    assert isinstance(work.write("gone", delete("before"), frees_space=True), StorageFull)
    assert work.state() == "full"
    assert "full" in work.writer.stats.detail
    disk.heal()
    assert isinstance(work.write("after"), Written)
    assert work.state() == "ok"
    assert work.entries() == {"before": 1, "after": 1}


def test_a_disk_that_is_full_when_a_fault_is_mended_gets_the_ballast_as_well(tmp_path: Path, disk: Disk) -> None:
    config = Storage(ballast_bytes=256 * KIB)
    ballast = tmp_path / "ballast"
    with desk(tmp_path, vfs=disk.name, config=config) as work:
        work.write("before")
        assert ballast.stat().st_size == 256 * KIB
        disk.fail("sync", apsw.IOError, file="-wal")
        disk.fail("write", apsw.FullError, file="kept.db", times=None)
        work.write("unknown")
        work.clock.advance(1)
        work.write("unknown")
        assert ballast.stat().st_size == 64 * KIB
        assert work.state() == "failed"
        disk.heal()
        work.write_until_taken("unknown")
        assert work.state() == "ok"
        assert ballast.stat().st_size == 256 * KIB
    check(tmp_path / "kept.db", ["before", "unknown"])


def test_a_full_file_system_takes_deletions_and_recovers_when_there_is_room(tmp_path: Path) -> None:
    config = Storage(ballast_bytes=512 * KIB)
    with small_disk(tmp_path, "4m") as room, desk(tmp_path, config=config) as work:
        for number in range(50):
            work.write(f"n{number}", put(f"n{number}", "x" * 5000))
        assert (tmp_path / "ballast").stat().st_size == 512 * KIB
        room.fill()
        refused = [
            name
            for name in (f"m{number}" for number in range(20))
            if isinstance(work.write(name, put(name, "y" * 50_000)), StorageFull)
        ]
        assert refused
        assert work.state() == "full"
        assert (tmp_path / "ballast").stat().st_size == 128 * KIB
        assert not set(refused) & work.entries().keys()
        # Many more deletions than the room that the ballast gave would take if the log went on growing.
        for number in range(50):
            outcome = work.write(f"d{number}", delete(f"n{number}"), frees_space=True)
            assert isinstance(outcome, Written), number
        for _ in range(200):
            work.write("again", put("again"), frees_space=True)
            assert isinstance(work.write("gone", delete("again"), frees_space=True), Written)
        assert isinstance(work.write("no", put("no", "z" * 50_000)), StorageFull)
        room.clear()
        for name in refused:
            assert isinstance(work.write(name), Written)
        assert work.state() == "ok"
        assert (tmp_path / "ballast").stat().st_size == 512 * KIB
        acknowledged = [name for name, outcome in work.outcomes.items() if isinstance(outcome, Written)]
        found = work.entries()
        assert {name for name in acknowledged if name.startswith("m")} <= found.keys()
        assert max(found.values()) == 1


def test_a_file_system_that_large_values_have_filled_takes_deletions_until_there_is_room(tmp_path: Path) -> None:
    config = Storage(ballast_bytes=8 * MIB)
    with small_disk(tmp_path, "60m") as room:
        with desk(tmp_path, config=config) as work:
            names = [f"n{number}" for number in range(150)]
            for name in names:
                work.submit(name, put(name, "x" * 500_000), size=500_000)
            work.settle(*names)
            taken = [name for name in names if isinstance(work.outcomes[name], Written)]
            assert 50 < len(taken) < len(names)
            assert work.state() == "full"
            # Somebody else takes what the ballast gave: the log has enough room of its own.
            room.fill()
            left = iter(taken)
            deleted = 0
            while work.state() == "full":
                name = next(left)
                assert isinstance(work.write(f"d{name}", delete(name), frees_space=True), Written), name
                deleted += 1
            # The log's own file is given back in the end, so that it takes no more than twice the ballast.
            assert deleted * 500_000 <= 2 * 8 * MIB
            for name in names[-3:]:
                assert isinstance(work.write(name, put(name, "y" * 500_000)), Written)
        room.clear()
        check(tmp_path / "kept.db", [*left, *names[-3:]])


def test_what_is_deleted_on_a_full_disk_goes_back_to_the_file_system(tmp_path: Path) -> None:
    config = Storage(ballast_bytes=512 * KIB)
    with small_disk(tmp_path, "8m") as room, desk(tmp_path, config=config) as work:
        names = [f"n{number}" for number in range(20)]
        for name in names:
            work.write(name, put(name, "x" * 100_000))
        room.fill()
        more = [f"m{number}" for number in range(20)]
        for name in more:
            work.write(name, put(name, "x" * 100_000))
        assert work.state() == "full"
        before = (tmp_path / "kept.db").stat().st_size
        for name in names:
            assert isinstance(work.write("gone", delete(name), frees_space=True), Written)
            if work.state() == "ok":
                break
        assert work.state() == "ok"
        assert (tmp_path / "kept.db").stat().st_size < before
        assert (tmp_path / "ballast").stat().st_size == 512 * KIB


@pytest.mark.parametrize(("ballast", "frames"), [(0, 10_000), (8 * MIB, 1024), (1024 * MIB, 10_000)])
def test_the_log_is_moved_before_it_outgrows_the_ballast(tmp_path: Path, ballast: int, frames: int) -> None:
    assert Desk(tmp_path, config=Storage(ballast_bytes=ballast)).writer._frames_limit() == frames


@pytest.mark.parametrize("left", [0, 4 * KIB, 40 * KIB, 600 * KIB])
def test_a_store_starts_on_a_full_file_system(tmp_path: Path, left: int) -> None:
    config = Storage(ballast_bytes=512 * KIB)
    with small_disk(tmp_path, "4m") as room:
        with desk(tmp_path, config=config) as work:
            work.write("before")
        room.fill(left)
        store = Store(tmp_path / "kept.db", SETS[-1:], config, FakeClock(), lambda _seq: None)
        store.close()
        with desk(tmp_path, config=config) as work:
            assert work.entries() == {"before": 1}
            assert isinstance(work.write("gone", delete("before"), frees_space=True), Written)
            room.clear()
            work.write_until_taken("after")
            assert work.entries() == {"after": 1}


def test_a_store_without_room_for_its_ballast_takes_only_what_makes_room(tmp_path: Path) -> None:
    config = Storage(ballast_bytes=512 * KIB)
    with small_disk(tmp_path, "4m") as room, desk(tmp_path) as work:
        work.write("before")
        room.fill(700 * KIB)
        with desk(tmp_path, config=config) as other:
            assert isinstance(other.write("no"), StorageFull)
            assert isinstance(other.write("gone", delete("before"), frees_space=True), Written)
            room.clear()
            assert isinstance(other.write("yes"), Written)
