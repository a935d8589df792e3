"""The store without a daemon: the real writer over one table, whose outcomes are seen the moment they leave it.

The table counts: nothing in it is unique, so that a write that was applied twice is there twice.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import apsw
import msgspec

from kept.wire import Read
from kept.wire.errors import Conflict
from keptd.config import Storage
from keptd.store import OWN, receipts
from keptd.store.changes import ChangeLog
from keptd.store.completions import Completions
from keptd.store.database import open_reader, open_writer
from keptd.store.migrations import Migration, migrate
from keptd.store.writer import Outcome, WriteJob, Writer, Written
from tests.faulty_vfs import DEADLINE
from tests.rooms import ACTOR, FakeClock

TABLES = Migration("001_entry", "CREATE TABLE entry (name TEXT NOT NULL, text TEXT NOT NULL) STRICT;")
SETS = [*OWN, ("entries", (TABLES,))]

SMALL = Storage(ballast_bytes=0)

Run = Callable[[apsw.Connection], Written]


class PutEntry(Read[object], frozen=True, kw_only=True):
    """What the fingerprint of an entry's receipt is made from."""

    method = "entry.put"

    name: str


class Inbox(Completions):
    """Runs a callback at once, on the thread that posts it."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()

    def post(self, callback: Callable[[], None]) -> None:
        with self._changed:
            callback()
            self._changed.notify_all()

    def wait(self, happened: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(happened, DEADLINE)


def put(name: str, text: str = "text", key: str | None = None) -> Run:
    """Add an entry, as the dispatcher would have it added: once for each idempotency key (`name` where none is
    given), with a row in the change log."""

    def run(db: apsw.Connection) -> Written:
        mark = receipts.fingerprint(PutEntry(name=name))
        if (first := receipts.find(db, key or name, mark)) is not None:
            return Written(first, 0)
        log = ChangeLog(db, 1, ACTOR, "entry.put")
        db.execute("INSERT INTO entry VALUES (?, ?)", (name, text))
        log.add("entry", name)
        result = msgspec.json.encode(name)
        receipts.keep(db, key or name, mark, result, 1)
        return Written(result, log.last_seq)

    return run


def refuse(name: str) -> Run:
    """Add an entry and then think better of it."""

    def run(db: apsw.Connection) -> Written:
        put(name)(db)
        raise Conflict("no")

    return run


def delete(name: str) -> Run:
    """Remove an entry."""

    def run(db: apsw.Connection) -> Written:
        db.execute("DELETE FROM entry WHERE name = ?", (name,))
        return Written(b"null", 0)

    return run


class Desk:
    """A writer on a database of its own. `outcomes` maps each job's name to what came of it, in order of delivery."""

    def __init__(self, folder: Path, *, vfs: str = "", config: Storage = SMALL, clock: FakeClock | None = None) -> None:
        self.path = folder / "kept.db"
        self.vfs = vfs
        self.clock = clock or FakeClock()
        self.outcomes: dict[str, Outcome] = {}
        self.committed: list[int] = []
        self.heard: Callable[[str, Outcome], None] = lambda _name, _outcome: None
        self.inbox = Inbox()
        if not self.path.exists():
            db = open_writer(self.path, vfs)
            migrate(db, SETS, 1)
            db.close()
        self.writer = Writer(self.path, config, self.clock, self.inbox, self.committed.append, vfs)
        # As in the daemon, whose readers keep the log from being deleted while the writer is closed.
        self.reader = open_reader(self.path, vfs)

    def start(self) -> None:
        self.writer.start()

    def submit(
        self, name: str, run: Run, *, seconds: float = 60, size: int = 100, frees_space: bool = False
    ) -> WriteJob:
        def done(outcome: Outcome) -> None:
            self.outcomes[name] = outcome
            self.heard(name, outcome)

        job = WriteJob(run, done, self.clock.monotonic() + seconds, size, frees_space)
        self.writer.submit(job)
        return job

    def settle(self, *names: str) -> list[Outcome]:
        """The outcomes of these, when they are there."""
        self.inbox.wait(lambda: all(name in self.outcomes for name in names))
        return [self.outcomes[name] for name in names]

    def write(self, name: str, run: Run | None = None, *, frees_space: bool = False) -> Outcome:
        """Add an entry (or do something else), and wait for what comes of it."""
        self.outcomes.pop(name, None)
        self.submit(name, run or put(name), frees_space=frees_space)
        return self.settle(name)[0]

    def write_until_taken(self, name: str) -> None:
        """Do as clients do while the disk fails: repeat it after a pause, with the same key."""
        end = time.monotonic() + DEADLINE
        while not isinstance(self.write(name), Written):
            assert time.monotonic() < end
            self.clock.advance(1)

    def state(self) -> str:
        return self.writer.stats.state

    def entries(self) -> Counter[str]:
        """What is committed, by name, as another connection sees it."""
        return entries(self.path)

    def close(self) -> None:
        self.writer.stop()
        with suppress(apsw.IOError, apsw.FullError):
            # The last to close moves the log into the database. SQLite doesn't mind if it can't; apsw tells, but only
            # of a VFS in Python.
            self.reader.close()
        self.inbox.close()


@contextmanager
def desk(folder: Path, *, vfs: str = "", config: Storage = SMALL, clock: FakeClock | None = None) -> Iterator[Desk]:
    """A desk whose writer serves."""
    made = Desk(folder, vfs=vfs, config=config, clock=clock)
    made.start()
    try:
        yield made
    finally:
        made.close()


def entries(path: Path, vfs: str = "") -> Counter[str]:
    """How often each name is in the table."""
    db = apsw.Connection(str(path), vfs=vfs or None)
    try:
        return Counter(str(name) for (name,) in db.execute("SELECT name FROM entry"))
    finally:
        db.close()


def check(path: Path, acknowledged: Iterable[str]) -> None:
    """After a fault: the database is sound, what was acknowledged is there, and every write that is repeated with its
    key is there exactly once."""
    db = apsw.Connection(str(path))
    try:
        db.pragma("synchronous", "OFF")
        assert list(db.execute("PRAGMA integrity_check")) == [("ok",)]
        wanted = set(acknowledged)
        if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'entry'").fetchone():
            assert not wanted
            return
        found = Counter(str(name) for (name,) in db.execute("SELECT name FROM entry"))
        assert wanted <= found.keys()
        with db:
            for name in wanted | found.keys():
                put(name)(db)
        again = Counter(str(name) for (name,) in db.execute("SELECT name FROM entry"))
        assert all(number == 1 for number in again.values())
        seqs = [seq for (seq,) in db.execute("SELECT seq FROM change ORDER BY seq")]
        assert seqs == list(range(1, len(seqs) + 1))
    finally:
        db.close()
