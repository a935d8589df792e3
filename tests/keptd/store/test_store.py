from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import apsw
import pytest

from kept.wire.errors import StorageFailed, StorageFull
from keptd.config import Storage
from keptd.store import Store
from keptd.store.background import read, write
from keptd.store.writer import Written
from tests.faulty_vfs import DEADLINE, Disk
from tests.rooms import FakeClock

from .desk import SETS, put

QUICK = Storage(ballast_bytes=0, checkpoint_frames=100, checkpoint_seconds=0.01)


@contextmanager
def open_store(folder: Path, disk: Disk, committed: Callable[[int], None] = lambda _seq: None) -> Iterator[Store]:
    store = Store(folder / "kept.db", SETS[-1:], QUICK, FakeClock(), committed, disk.name)
    try:
        yield store
    finally:
        disk.heal()
        store.close()


def count(db: apsw.Connection) -> bytes:
    (found,) = next(db.execute("SELECT count(*) FROM entry"))
    return str(found).encode()


@pytest.mark.anyio
async def test_what_is_written_is_read_by_the_next_read(tmp_path: Path, disk: Disk) -> None:
    told: list[int] = []
    with open_store(tmp_path, disk, told.append) as store, anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.completions.deliver)
            clock = FakeClock()
            assert await write(store, clock, put("a")) == Written(b'"a"', 1)
            assert told == [1]
            assert await read(store, clock, count) == b"1"
            assert count(store.inline) == b"1"
            tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_maintenance_moves_a_long_log_into_the_database(tmp_path: Path, disk: Disk) -> None:
    with open_store(tmp_path, disk) as store, anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.completions.deliver)
            tasks.start_soon(store.maintain)
            clock = FakeClock()
            before = disk.count("write", "kept.db")
            number = 0
            while disk.count("write", "kept.db") == before:
                number += 1
                await write(store, clock, put(f"n{number}"))
            assert store.writer.stats.wal_frames > 0
            tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_maintenance_that_fails_fails_no_write_and_is_tried_again(tmp_path: Path, disk: Disk) -> None:
    with open_store(tmp_path, disk) as store, anyio.fail_after(DEADLINE):
        disk.fail("write", apsw.IOError, file="kept.db", times=3)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.completions.deliver)
            tasks.start_soon(store.maintain)
            clock = FakeClock()
            number = 0
            while disk.count("write", "kept.db") < 20:
                number += 1
                await write(store, clock, put(f"n{number}"))
            assert store.report().status == "operational"
            tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_the_component_says_how_the_storage_is_and_since_when(tmp_path: Path, disk: Disk) -> None:
    with open_store(tmp_path, disk) as store, anyio.fail_after(DEADLINE):
        report = store.report()
        assert (report.name, report.status, report.health) == ("keptd.storage", "operational", 100)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.completions.deliver)
            clock = FakeClock()
            disk.fail("write", apsw.FullError, times=None)
            with pytest.raises(StorageFull):
                await write(store, clock, put("a"))
            assert store.report().status == "degraded"
            disk.heal()
            await write(store, clock, put("a"))
            disk.fail("sync", apsw.IOError, times=None)
            disk.fail("truncate", apsw.IOError, times=None)  # It goes on failing when the writer looks again.
            with pytest.raises(StorageFailed):
                await write(store, clock, put("b"))
            report = store.report()
            assert (report.status, report.health) == ("down", 0)
            assert "fail" in str(report.metadata)
            tasks.cancel_scope.cancel()


def test_a_close_answers_what_is_queued(tmp_path: Path, disk: Disk) -> None:
    from keptd.store.writer import WriteJob

    store = Store(tmp_path / "kept.db", SETS[-1:], QUICK, FakeClock(), lambda _seq: None, disk.name)
    outcomes: list[object] = []
    for number in range(10):
        store.writer.submit(WriteJob(put(f"n{number}"), outcomes.append, 1e9, 1))
    store.close()
    assert [type(outcome) for outcome in outcomes] == [Written] * 10


@pytest.mark.anyio
async def test_maintenance_leaves_a_log_alone_that_it_has_moved(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = 0
    over = anyio.Event()
    moves: list[bool] = []
    checkpoint = Store._checkpoint

    async def wait(_seconds: float) -> None:
        nonlocal rounds
        await anyio.lowlevel.checkpoint()
        rounds += 1
        if rounds == 5:
            over.set()
            await anyio.sleep_forever()

    def move(store: Store) -> bool:
        moves.append(checkpoint(store))
        return moves[-1]

    with open_store(tmp_path, disk) as store, anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.completions.deliver)
            number = 0
            while store.writer.stats.wal_frames <= 100:
                number += 1
                await write(store, FakeClock(), put(f"n{number}"))
            monkeypatch.setattr("keptd.store.anyio.sleep", wait)
            monkeypatch.setattr(Store, "_checkpoint", move)
            tasks.start_soon(store.maintain)
            await over.wait()
            tasks.cancel_scope.cancel()
    assert moves == [True]
