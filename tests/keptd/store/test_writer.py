from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from kept.wire.errors import Busy, Cancelled, Conflict, DeadlinePassed, InternalError, StorageFailed
from keptd.config import Storage
from keptd.store.writer import HELD_SECONDS, Outcome, WriteJob, Writer, Written
from tests.faulty_vfs import DEADLINE, Disk, Gate
from tests.rooms import FakeClock

from .desk import Desk, Run, delete, desk, put, refuse


def hold_up(work: Desk, disk: Disk) -> Gate:
    """Have the writer wait in the sync of its commit, so that what comes then has to queue."""
    gate = disk.gate("sync", "-wal")
    work.submit("first", put("first"))
    gate.wait()
    return gate


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def test_nothing_is_acknowledged_before_its_commit_is_on_the_disk(work: Desk, disk: Disk) -> None:
    gate = hold_up(work, disk)
    assert work.outcomes == {}
    assert work.entries() == {}
    gate.open()
    assert work.settle("first") == [Written(b'"first"', 1)]
    assert work.entries() == {"first": 1}


def test_what_queues_during_one_commit_is_committed_together(work: Desk, disk: Disk) -> None:
    gate = hold_up(work, disk)
    for name in names("n", 50):
        work.submit(name, put(name))
    assert work.writer.queued() == 50
    before = work.writer.stats.commits
    gate.open()
    work.settle(*names("n", 50))
    assert work.writer.stats.commits == before + 2
    assert work.writer.stats.largest_batch == 50


def test_one_commit_is_one_sync(work: Desk, disk: Disk) -> None:
    work.write("first")
    before = disk.count("sync", "")
    work.write("second")
    assert disk.count("sync", "") == before + 1


def test_outcomes_come_in_the_order_in_which_the_work_was_submitted(work: Desk, disk: Disk) -> None:
    gate = hold_up(work, disk)
    submitted = names("n", 20)
    for number, name in enumerate(submitted):
        work.submit(name, refuse(name) if number % 3 == 0 else put(name))
    gate.open()
    work.settle(*submitted)
    assert list(work.outcomes) == ["first", *submitted]


@pytest.mark.parametrize(
    ("config", "size", "largest"),
    [
        (Storage(ballast_bytes=0, batch=7), 100, 7),
        (Storage(ballast_bytes=0, batch_bytes=64 * 1024), 16 * 1024, 4),
        # One that is larger than the bound is a batch of its own.
        (Storage(ballast_bytes=0, batch_bytes=64 * 1024), 1024 * 1024, 1),
    ],
)
def test_a_batch_is_bounded_in_number_and_in_bytes(
    tmp_path: Path, disk: Disk, config: Storage, size: int, largest: int
) -> None:
    with desk(tmp_path, vfs=disk.name, config=config) as work:
        gate = hold_up(work, disk)
        for name in names("n", 30):
            work.submit(name, put(name), size=size)
        gate.open()
        work.settle(*names("n", 30))
        assert work.writer.stats.largest_batch == largest
        assert sum(work.entries().values()) == 31


def test_a_refused_request_leaves_nothing_and_its_batch_stays(work: Desk, disk: Disk) -> None:
    gate = hold_up(work, disk)
    for name in ("a", "b", "c"):
        work.submit(name, refuse(name) if name == "b" else put(name))
    gate.open()
    outcomes = work.settle("a", "b", "c")
    assert [type(outcome) for outcome in outcomes] == [Written, Conflict, Written]
    assert work.entries() == {"first": 1, "a": 1, "c": 1}
    # The sequence that the refused one took is given to the next.
    assert [outcome.seq for outcome in outcomes if isinstance(outcome, Written)] == [2, 3]


def test_followers_hear_of_a_commit_once_after_its_replies(work: Desk, disk: Disk) -> None:
    gate = hold_up(work, disk)
    told: list[int] = []
    work.heard = lambda _name, _outcome: told.append(len(work.committed))
    for name in names("n", 4):
        work.submit(name, put(name))
    work.submit("refused", refuse("refused"))
    gate.open()
    work.settle("refused")
    assert told == [0, 1, 1, 1, 1, 1]
    assert work.committed == [1, 5]


def test_a_cancelled_request_writes_nothing(work: Desk, disk: Disk) -> None:
    gate = hold_up(work, disk)
    work.submit("a", put("a")).cancel()
    work.submit("b", put("b"))
    gate.open()
    assert [type(outcome) for outcome in work.settle("a", "b")] == [Cancelled, Written]
    assert work.entries() == {"first": 1, "b": 1}


def test_a_request_whose_deadline_has_passed_writes_nothing(tmp_path: Path, disk: Disk) -> None:
    clock = FakeClock()
    with desk(tmp_path, vfs=disk.name, clock=clock) as work:
        gate = hold_up(work, disk)
        work.submit("late", put("late"), seconds=5)
        work.submit("in time", put("in time"), seconds=7)
        clock.advance(6)
        gate.open()
        assert [type(outcome) for outcome in work.settle("late", "in time")] == [DeadlinePassed, Written]
        assert work.entries() == {"first": 1, "in time": 1}


@pytest.mark.parametrize("held", [40.0, HELD_SECONDS + 40])
def test_time_for_which_somebody_had_the_writer_alone_does_not_count_up_to_a_limit(
    tmp_path: Path, disk: Disk, held: float
) -> None:
    clock = FakeClock()
    with desk(tmp_path, vfs=disk.name, clock=clock) as work:
        gate = hold_up(work, disk)

        def long(_db: apsw.Connection) -> Written:
            clock.advance(held)
            return Written(b"null", 0)

        work.writer.submit(WriteJob(long, lambda _outcome: None, clock.monotonic() + 60, size=0, alone=True))
        work.submit("waiting", put("waiting"), seconds=30)
        gate.open()
        expected = Written if held < HELD_SECONDS else DeadlinePassed
        assert [type(outcome) for outcome in work.settle("waiting")] == [expected]
        # What came after it has only its own time.
        work.submit("late", put("late"), seconds=-1)
        assert [type(outcome) for outcome in work.settle("late")] == [DeadlinePassed]


def raising(error: type[Exception]) -> Run:
    def run(db: apsw.Connection) -> Written:
        put("half")(db)
        raise error("private text")

    return run


def breaking_a_statement(db: apsw.Connection) -> Written:
    put("half")(db)
    db.execute("INSERT INTO entry VALUES (NULL, NULL)")
    return Written(b"null", 0)


def breaking_the_language(db: apsw.Connection) -> Written:
    put("half")(db)
    db.execute("SELECT nothing FROM nowhere")
    return Written(b"null", 0)


@pytest.mark.parametrize(
    "mistaken",
    [
        raising(ZeroDivisionError),
        raising(RecursionError),
        raising(OSError),
        breaking_a_statement,
        breaking_the_language,
    ],
)
def test_a_mistake_in_one_request_ends_neither_the_writer_nor_its_batch(
    work: Desk, disk: Disk, mistaken: Callable[[apsw.Connection], Written]
) -> None:
    gate = hold_up(work, disk)
    work.submit("a", put("a"))
    work.submit("mistake", mistaken)
    work.submit("b", put("b"))
    gate.open()
    a, mistake, b = work.settle("a", "mistake", "b")
    assert isinstance(a, Written)
    assert isinstance(b, Written)
    assert isinstance(mistake, InternalError)
    assert "private" not in mistake.message
    assert work.entries() == {"first": 1, "a": 1, "b": 1}
    assert work.state() == "ok"


def test_a_request_sees_what_its_batch_has_written_before_it(work: Desk, disk: Disk) -> None:
    gate = hold_up(work, disk)
    work.submit("a", put("a", key="key"))
    work.submit("again", put("a", key="key"))
    work.submit("gone", delete("a"))
    gate.open()
    a, again, _ = work.settle("a", "again", "gone")
    assert a == Written(b'"a"', 2)
    assert again == Written(b'"a"', 0)
    assert work.entries() == {"first": 1}


def test_a_stop_finishes_what_is_queued_and_empties_the_log(tmp_path: Path, disk: Disk) -> None:
    work = Desk(tmp_path, vfs=disk.name)
    work.start()
    gate = hold_up(work, disk)
    for name in names("n", 10):
        work.submit(name, put(name))
    gate.open()
    work.close()
    assert len(work.outcomes) == 11
    assert not (tmp_path / "kept.db-wal").exists()
    assert sum(work.entries().values()) == 11


def test_the_writer_empties_a_long_log_itself(tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keptd.store.writer.WAL_FRAMES_LIMIT", 20)
    with desk(tmp_path, vfs=disk.name) as work:
        for name in names("n", 30):
            work.write(name)
        assert disk.count("write", "kept.db") > 10
        assert work.writer.stats.wal_frames < 40
        assert sum(work.entries().values()) == 30


def test_a_checkpoint_that_fails_fails_no_write(tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keptd.store.writer.WAL_FRAMES_LIMIT", 20)
    with desk(tmp_path, vfs=disk.name) as work:
        for operation in ("write", "sync", "truncate"):
            disk.fail(operation, apsw.IOError, file="kept.db", times=None)
        for name in names("n", 30):
            assert isinstance(work.write(name), Written)
        assert work.state() == "ok"
        disk.heal()
        for name in names("m", 10):
            work.write(name)
        assert work.writer.stats.wal_frames < 100
    assert sum(work.entries().values()) == 40


class Carried:
    """What a request carries."""


def test_nothing_of_a_refused_request_stays_in_memory(work: Desk) -> None:
    def carry() -> tuple[Run, weakref.ref[Carried]]:
        carried = Carried()

        def run(_db: apsw.Connection) -> Written:
            raise Conflict(f"no {id(carried)}")

        return run, weakref.ref(carried)

    gc.collect()
    gc.disable()
    try:
        run, left = carry()
        assert isinstance(work.write("refused", run), Conflict)
        del run
        # The thread lets go of the batch before it takes the next.
        work.write("next")
        assert left() is None
    finally:
        gc.enable()


def test_an_idle_writer_holds_no_request(work: Desk) -> None:
    run = put("a")
    held = weakref.ref(run)
    work.write("a", run)
    del run
    # Nothing else comes: what is waited for is what the thread does by itself.
    end = time.monotonic() + DEADLINE
    while held() is not None:
        assert time.monotonic() < end


def test_a_database_that_another_program_has_locked_refuses_and_knows_that_nothing_was_written(tmp_path: Path) -> None:
    with desk(tmp_path) as work:
        work.writer._db.set_busy_timeout(1)
        other = apsw.Connection(str(work.path))
        other.execute("BEGIN IMMEDIATE")
        assert isinstance(work.write("a"), Busy)
        assert work.state() == "ok"
        other.execute("ROLLBACK")
        other.close()
        assert isinstance(work.write("a"), Written)


def test_a_writer_that_meets_what_nobody_foresaw_refuses_all_and_says_so(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Desk(tmp_path, vfs=disk.name)
    told: list[BaseException] = []
    work.writer._died = told.append
    work.start()
    gate = hold_up(work, disk)
    for name in names("n", 3):
        work.submit(name, put(name))
    monkeypatch.setattr(Writer, "_transact", fail_oddly)
    gate.open()
    assert [type(outcome) for outcome in work.settle("first", *names("n", 3))] == [Written] + [StorageFailed] * 3
    assert isinstance(work.write("later"), StorageFailed)
    assert [type(mistake) for mistake in told] == [LookupError]
    assert work.state() == "failed"
    work.close()
    assert work.entries() == {"first": 1}


def fail_oddly(*_: object) -> list[Outcome]:
    raise LookupError


def test_an_outcome_that_can_not_be_delivered_holds_up_no_other_of_its_batch(work: Desk, disk: Disk) -> None:
    gate = hold_up(work, disk)

    def hear(name: str, _outcome: Outcome) -> None:
        if name == "a":
            raise LookupError

    work.heard = hear
    work.submit("a", put("a"))
    work.submit("b", put("b"))
    gate.open()
    assert [type(outcome) for outcome in work.settle("a", "b")] == [Written, Written]
    work.inbox.wait(lambda: work.committed == [1, 3])
