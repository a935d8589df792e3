"""The writer: one thread, one connection, grouped commits.

Keeps these rules:

- Every request runs in its own savepoint of the batch's transaction; one that is refused rolls back alone.
- Whatever has queued while the last commit was syncing forms the next batch, in the order in which it came.
- No outcome leaves this thread before COMMIT has returned. A commit that fails fails its whole batch.
- A full disk refuses (`StorageFull`): nothing was written. The ballast is released, and only calls that make room run
  until there is space again.
- Any other fault of the disk leaves the outcome unknown (`StorageFailed`). The writer stops, reopens, checks, and
  moves the log into the database before it acknowledges anything again: after a failed sync the kernel may hold
  pages as clean that never reached the disk, and only writing them once more makes them durable.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Literal

import apsw
import structlog

from kept.wire.errors import Cancelled, DeadlinePassed, KeptError, StorageFailed, StorageFull

from ..clock import Clock
from ..config import Storage
from .ballast import Ballast
from .completions import Completions
from .database import FAULTS, WAL_FRAMES_LIMIT, UnusableDatabase, open_writer
from .unforeseen import unforeseen

log = structlog.get_logger(__name__)

_DAMAGED = "the database is damaged: only reads go on"
_FULL = "the disk is full: reads go on, and calls that make room"
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 5.0


@dataclass(frozen=True, slots=True)
class Written:
    """A request's encoded result, and the last change that it made (0 for none)."""

    result: bytes
    seq: int


Outcome = Written | KeptError


@dataclass(slots=True, eq=False)
class WriteJob:
    """One request for the writer. `run` is called inside a savepoint and may raise `KeptError`; `done` is called on
    the loop."""

    run: Callable[[apsw.Connection], Written]
    done: Callable[[Outcome], None]
    deadline: float
    size: int
    frees_space: bool = False
    cancelled: bool = False

    def cancel(self) -> None:
        """Give it up, unless its work has begun to count."""
        self.cancelled = True


@dataclass(slots=True)
class WriterStats:
    """What the writer has done since the start. Written by its thread, read by anyone."""

    since: int
    """When the state was taken, in microseconds since 1970."""
    state: Literal["ok", "full", "failed"] = "ok"
    detail: str = "in order"
    commits: int = 0
    writes: int = 0
    largest_batch: int = 0
    wal_frames: int = 0


class Writer:
    """Owns the writing connection. `submit` from the loop; outcomes come back through `completions`."""

    def __init__(
        self,
        path: Path,
        config: Storage,
        clock: Clock,
        completions: Completions,
        committed: Callable[[int], None],
        vfs: str = "",
    ) -> None:
        """`committed` is called on the loop after each commit, with the last change's sequence, after the replies."""
        self._path = path
        self._config = config
        self._clock = clock
        self._completions = completions
        self._committed = committed
        self._vfs = vfs
        self._ballast = Ballast(path, config.ballast_bytes)
        self._queue: SimpleQueue[WriteJob | None] = SimpleQueue()
        self._db = open_writer(path, vfs)
        self._watch_wal()
        self._pause = _FIRST_PAUSE
        self._next_try = 0.0
        self._thread = threading.Thread(target=self._serve, name="keptd-writer", daemon=True)
        self.stats = WriterStats(clock.now())

    def start(self) -> None:
        """Begin to serve. Without room for the ballast the disk counts as full: what is left is for what makes room."""
        if not self._ballast.hold():
            self._set_state("full", _FULL)
        self._thread.start()

    def submit(self, job: WriteJob) -> None:
        """Queue a request behind all that were submitted before."""
        self._queue.put(job)

    def queued(self) -> int:
        """How many requests wait."""
        return self._queue.qsize()

    def alive(self) -> bool:
        """Whether the thread still serves."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Finish what is queued, move the log into the database, close. Blocks until done."""
        self._queue.put(None)
        self._thread.join()
        if self.stats.state != "failed":
            self._checkpoint("TRUNCATE")
        self._db.close()

    def _serve(self) -> None:
        while True:
            batch, last = self._gather()
            if batch:
                self._commit(batch)
            if last:
                return
            self._mend()

    def _mend(self) -> None:
        """Between two batches: what the next one needs."""
        state = self.stats.state
        if state == "failed":
            if self._clock.monotonic() >= self._next_try:
                self._try_reopen()
        elif self.stats.wal_frames > (0 if state == "full" else WAL_FRAMES_LIMIT):
            # On a full disk always: a log that is in the database is written from its start again, and needs no room.
            self._checkpoint("PASSIVE")

    def _gather(self) -> tuple[list[WriteJob], bool]:
        """The next batch, bounded in number and bytes; True where the writer should end after it."""
        batch: list[WriteJob] = []
        size = 0
        wait = self._pause if self.stats.state == "failed" else None
        try:
            job = self._queue.get(timeout=wait)
            while job is not None:
                batch.append(job)
                size += job.size
                if len(batch) >= self._config.batch or size >= self._config.batch_bytes:
                    return batch, False
                job = self._queue.get_nowait()
        except Empty:
            return batch, False
        return batch, True

    def _commit(self, batch: Sequence[WriteJob]) -> None:
        if self.stats.state == "failed":
            self._post(batch, [self._failure() for _ in batch])
            return
        if self.stats.state == "full" and self._ballast.hold():
            self._set_state("ok", "in order")
        try:
            try:
                outcomes = self._transact(batch)
            except apsw.FullError:
                outcomes = self._make_room(batch)
        except apsw.Error as fault:
            self._next_try = self._clock.monotonic()
            self._set_state("failed", f"the disk failed ({type(fault).__name__}); checking the database")
            log.warning("storage failed", fault=type(fault).__name__, batch=len(batch))
            outcomes = [self._failure() for _ in batch]
        self._post(batch, outcomes)

    def _transact(self, batch: Sequence[WriteJob]) -> list[Outcome]:
        """Run and commit the batch; raises only what the storage raised, with nothing acknowledged."""
        self._db.execute("BEGIN IMMEDIATE")
        outcomes = [self._run(job) for job in batch]
        self._db.execute("COMMIT")
        stats = self.stats
        stats.commits += 1
        stats.writes += sum(isinstance(outcome, Written) for outcome in outcomes)
        stats.largest_batch = max(stats.largest_batch, len(batch))
        return outcomes

    def _run(self, job: WriteJob) -> Outcome:
        if job.cancelled:
            return Cancelled("cancelled before it was written")
        if self._clock.monotonic() > job.deadline:
            return DeadlinePassed("the deadline passed while the request was queued")
        if self.stats.state == "full" and not job.frees_space:
            return StorageFull("the disk is full")
        self._db.execute("SAVEPOINT request")
        try:
            outcome: Outcome = job.run(self._db)
        except KeptError as refusal:
            self._db.execute("ROLLBACK TO request")
            outcome = refusal
        except FAULTS:
            raise
        except Exception as mistake:  # noqa: BLE001 - one request's mistake must not end the thread that serves all.
            self._db.execute("ROLLBACK TO request")
            outcome = unforeseen("write", mistake)
        self._db.execute("RELEASE request")
        return outcome

    def _make_room(self, batch: Sequence[WriteJob]) -> list[Outcome]:
        """After the disk filled up: run what frees space, refuse the rest."""
        self._rollback()
        self._ballast.release()
        self._set_state("full", _FULL)
        try:
            return self._transact(batch)
        except apsw.FullError:
            self._rollback()
            return [StorageFull("the disk is full") for _ in batch]

    def _rollback(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _post(self, batch: Sequence[WriteJob], outcomes: Sequence[Outcome]) -> None:
        self._completions.post(partial(self._deliver, batch, outcomes))

    def _deliver(self, batch: Sequence[WriteJob], outcomes: Sequence[Outcome]) -> None:
        seq = 0
        for job, outcome in zip(batch, outcomes, strict=True):
            job.done(outcome)
            if isinstance(outcome, Written):
                seq = max(seq, outcome.seq)
        if seq:
            self._committed(seq)

    def _failure(self) -> StorageFailed:
        return StorageFailed("the disk failed, so it is not known whether this was written")

    def _set_state(self, state: Literal["ok", "full", "failed"], detail: str) -> None:
        if self.stats.state != state:
            log.warning("storage state", state=state, detail=detail)
            self.stats.since = self._clock.now()
        self.stats.state, self.stats.detail = state, detail

    def _try_reopen(self) -> None:
        """Go on after a fault, or look again after a longer pause."""
        try:
            obstacle = self._reopen()
        except apsw.FullError:
            # The log can't be moved without room for it: the next try has what the ballast gives.
            self._ballast.release()
            obstacle = "the disk failed, and is full"
        except (apsw.CorruptError, apsw.NotADBError):
            obstacle = _DAMAGED
        except (apsw.Error, UnusableDatabase) as fault:
            obstacle = f"the disk still fails ({type(fault).__name__})"
        if obstacle:
            self.stats.detail = obstacle
            self._next_try = self._clock.monotonic() + self._pause
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
            return
        self._pause = _FIRST_PAUSE
        if self._ballast.hold():
            self._set_state("ok", "in order after a fault of the disk")
        else:
            self._set_state("full", _FULL)

    def _reopen(self) -> str:
        """A new connection, a check of the whole file, the log written into it; returns what is in the way, if
        anything is."""
        self._db.close(True)
        self._db = open_writer(self._path, self._vfs)
        self._watch_wal()
        found = [str(row[0]) for row in self._db.execute("PRAGMA quick_check(5)")]
        if found != ["ok"]:
            log.error("the check found damage", findings=len(found))
            return _DAMAGED
        busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() or (1, 0, 0)
        if busy:
            return "waiting for reads to end, after the disk failed"
        self.stats.wal_frames = 0
        return ""

    def _watch_wal(self) -> None:
        def committed(_db: apsw.Connection, _name: str, frames: int) -> int:
            self.stats.wal_frames = frames
            return apsw.SQLITE_OK

        self._db.set_wal_hook(committed)

    def _checkpoint(self, mode: str) -> None:
        try:
            self.stats.wal_frames = 0  # Until the next commit, which says how many there are.
            self._db.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
        except apsw.Error as fault:
            # The commits stay in the log, which is durable; the next checkpoint takes them.
            log.warning("checkpoint failed", fault=type(fault).__name__)
