from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from kept.wire.errors import Cancelled, DeadlinePassed, InternalError, KeptError, NotFound, StorageFailed
from keptd.store.readers import Readers, ReadJob
from keptd.store.writer import Written
from tests.faulty_vfs import DEADLINE, Disk
from tests.rooms import FakeClock

from .desk import Desk, Inbox, desk

# Ends in the end, so that a test whose read is not stopped fails instead of hanging.
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 30000000) SELECT max(i) FROM n"


class Room:
    """A pool of two over a desk's database."""

    def __init__(self, work: Desk) -> None:
        self.clock = FakeClock()
        self.inbox = Inbox()
        self.outcomes: dict[str, bytes | KeptError] = {}
        self.told: list[float] = []
        self.pool = Readers(work.path, 2, self.clock, self.inbox, work.vfs)
        self.pool.start()

    def submit(self, name: str, run: Callable[[apsw.Connection], bytes], seconds: float = 10) -> ReadJob:
        def done(outcome: bytes | KeptError) -> None:
            self.outcomes[name] = outcome

        job = ReadJob(run, done, self.told.append, self.clock.monotonic() + seconds)
        self.pool.submit(job)
        return job

    def settle(self, name: str) -> bytes | KeptError:
        self.inbox.wait(lambda: name in self.outcomes)
        return self.outcomes[name]

    def close(self) -> None:
        self.pool.stop()
        self.inbox.close()


@pytest.fixture
def room(work: Desk) -> Iterator[Room]:
    made = Room(work)
    yield made
    made.close()


def count(db: apsw.Connection) -> bytes:
    (found,) = next(db.execute("SELECT count(*) FROM entry"))
    return str(found).encode()


class Endless:
    """A read that takes many seconds; `begun` says that it has begun."""

    def __init__(self) -> None:
        self.begun = threading.Event()

    def __call__(self, db: apsw.Connection) -> bytes:
        self.begun.set()
        db.execute(ENDLESS).fetchall()
        raise AssertionError("it ended")


def test_a_read_past_its_deadline_is_stopped(room: Room) -> None:
    endless = Endless()
    room.submit("endless", endless, seconds=5)
    assert endless.begun.wait(DEADLINE)
    room.clock.advance(6)
    assert isinstance(room.settle("endless"), DeadlinePassed)
    room.submit("next", count)
    assert room.settle("next") == b"0"


def test_a_cancelled_read_is_stopped(room: Room) -> None:
    endless = Endless()
    job = room.submit("endless", endless)
    assert endless.begun.wait(DEADLINE)
    job.cancel()
    assert isinstance(room.settle("endless"), Cancelled)


def test_what_was_cancelled_or_late_before_its_turn_is_not_begun(room: Room) -> None:
    block = [Endless(), Endless()]
    blocking = [room.submit(f"block{number}", endless, seconds=100) for number, endless in enumerate(block)]
    for endless in block:
        assert endless.begun.wait(DEADLINE)
    never = Endless()
    room.submit("cancelled", never).cancel()
    room.submit("late", never, seconds=5)
    room.clock.advance(6)
    for job in blocking:
        job.cancel()
    assert isinstance(room.settle("cancelled"), Cancelled)
    assert isinstance(room.settle("late"), DeadlinePassed)
    assert not never.begun.is_set()


def test_a_long_read_tells_how_long_it_has_been_at_work(room: Room) -> None:
    endless = Endless()
    job = room.submit("endless", endless, seconds=100)
    assert endless.begun.wait(DEADLINE)
    room.clock.advance(1.5)
    room.inbox.wait(lambda: len(room.told) == 1)
    room.clock.advance(2)
    room.inbox.wait(lambda: len(room.told) == 2)
    job.cancel()
    room.settle("endless")
    assert room.told == [1.5, 3.5]


def test_one_read_sees_one_state_whatever_is_committed_meanwhile(room: Room, work: Desk) -> None:
    counted, go_on = threading.Event(), threading.Event()

    def twice(db: apsw.Connection) -> bytes:
        first = count(db)
        counted.set()
        assert go_on.wait(DEADLINE)
        return first + count(db)

    room.submit("twice", twice)
    assert counted.wait(DEADLINE)
    assert isinstance(work.write("a"), Written)
    go_on.set()
    assert room.settle("twice") == b"00"
    room.submit("once", count)
    assert room.settle("once") == b"1"


def test_a_slow_read_holds_up_neither_another_nor_a_write(room: Room, work: Desk) -> None:
    endless = Endless()
    job = room.submit("endless", endless)
    assert endless.begun.wait(DEADLINE)
    assert isinstance(work.write("a"), Written)
    room.submit("count", count)
    assert room.settle("count") == b"1"
    job.cancel()


def test_a_reader_can_not_write(room: Room) -> None:
    def write(db: apsw.Connection) -> bytes:
        db.execute("INSERT INTO entry VALUES ('a', 'b')")
        return b""

    room.submit("write", write)
    assert isinstance(room.settle("write"), StorageFailed)
    room.submit("count", count)
    assert room.settle("count") == b"0"


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (NotFound("no"), NotFound),
        (apsw.IOError("no"), StorageFailed),
        (apsw.SQLError("private"), InternalError),
        (ZeroDivisionError("private"), InternalError),
    ],
)
def test_a_read_that_fails_is_answered_and_its_thread_goes_on(
    room: Room, error: Exception, answer: type[KeptError]
) -> None:
    def fail(db: apsw.Connection) -> bytes:
        count(db)
        raise error

    for number in range(3):
        room.submit(f"fail{number}", fail)
        outcome = room.settle(f"fail{number}")
        assert isinstance(outcome, answer)
        assert "private" not in outcome.message
    room.submit("count", count)
    assert room.settle("count") == b"0"


def test_a_stop_finishes_what_is_queued(tmp_path: Path, disk: Disk) -> None:
    with desk(tmp_path, vfs=disk.name) as work:
        room = Room(work)
        for number in range(20):
            room.submit(f"n{number}", count)
        room.close()
        assert list(room.outcomes.values()) == [b"0"] * 20


def test_a_thread_that_meets_what_nobody_foresaw_refuses_all_and_says_so(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[BaseException] = []
    room.pool._died = told.append

    def fail(*_: object) -> bytes:
        raise LookupError

    monkeypatch.setattr(Readers, "_run", fail)
    for name in ("a", "b", "c", "d"):
        room.submit(name, count)
    assert [type(room.settle(name)) for name in ("a", "b", "c", "d")] == [StorageFailed] * 4
    assert {type(mistake) for mistake in told} == {LookupError}
