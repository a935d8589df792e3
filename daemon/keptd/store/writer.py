"""The writer: one thread, one connection, grouped commits.

Keeps these rules:

- Every request runs in its own savepoint of the batch's transaction; one that is refused rolls back alone.
- Whatever has queued while the last commit was syncing forms the next batch, in the order in which it came.
- No outcome leaves this thread before COMMIT has returned. A commit that fails fails its whole batch.
- A full disk refuses (`StorageFull`): nothing was written. The ballast is released, and only calls that make room run
  until there is space again, one by one, with the log moved into the database before each, so that the next one is
  written over it. What they free is given back to the file system.
- For that, the log is never longer than what the ballast frees can take into the database.
- Any other fault of the disk leaves the outcome unknown (`StorageFailed`). The writer stops, reopens, checks, and
  moves the log into the database before it acknowledges anything again: after a failed sync the kernel may hold
  pages as clean that never reached the disk, and only writing them once more makes them durable.
- A thread that comes upon what nobody foresaw goes on only to refuse: `died` has the daemon end, and start again.
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

from kept.wire.errors import Busy, Cancelled, DeadlinePassed, KeptError, StorageFailed

from ..clock import Clock
from ..config import Storage
from ..home import size_of
from .ballast import Ballast
from .completions import Completions
from .database import FAULTS, WAL_FRAMES_LIMIT, UnusableDatabase, is_damage, open_writer
from .pulse import Pulse
from .unforeseen import bare, unforeseen

log = structlog.get_logger(__name__)

_DAMAGED = "the database is damaged: only reads go on"
_DEAD = "the writer met what nobody foresaw: the daemon ends"
_RETRY_MS = 1000
_PAGE_BYTES = 4096
_SHRINK_PAGES = 512
"""Pages given back in one transaction: few enough for the room that the log has."""
HELD_SECONDS = 600.0
"""By how much at most the deadline of a write moves for work that had the writer to itself meanwhile."""
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
    alone: bool = False
    """True where `run` needs the connection to itself, outside any transaction; such a job is a batch of its own."""
    cancelled: bool = False
    name: str = "write"
    """What is being done, for the log: the method."""
    held_before: float = 0.0
    """Seconds for which others had had the writer to themselves when it was submitted. Kept by the writer."""

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
        died: Callable[[BaseException], None] = lambda _mistake: None,
        damaged: Callable[[str], None] = lambda _detail: None,
    ) -> None:
        """`committed` is called on the loop after each commit, with the last change's sequence, after the replies.
        `died` is called there when the thread can do nothing more than refuse, and `damaged` on the writer's thread
        when its check has found damage."""
        self._died = died
        self._damaged = damaged
        self._path = path
        self._config = config
        self._clock = clock
        self._completions = completions
        self._committed = committed
        self._vfs = vfs
        self._ballast = Ballast(path, config.ballast_bytes)
        self._queue: SimpleQueue[WriteJob | Literal["nudge"] | None] = SimpleQueue()
        self._next: WriteJob | None = None
        self._db = open_writer(path, vfs)
        self._watch_wal()
        self._checkpoint_at = self._frames_limit()
        self._held = 0.0
        self._pause = _FIRST_PAUSE
        self._next_try = 0.0
        self._thread = threading.Thread(target=self._serve, name="keptd-writer", daemon=True)
        self.stats = WriterStats(clock.now())
        self.pulse = Pulse()
        """Where a nudge doesn't move it, and it isn't slow, the thread hangs."""

    def start(self) -> None:
        """Begin to serve. Without room for the ballast the disk counts as full: what is left is for what makes room."""
        if not self._ballast.hold():
            self._set_state("full", self._ballast.told())
        self._thread.start()

    def submit(self, job: WriteJob) -> None:
        """Queue a request behind all that were submitted before."""
        job.held_before = self._held
        self._queue.put(job)

    def nudge(self) -> None:
        """Have an idle thread move its pulse."""
        self._queue.put("nudge")

    def queued(self) -> int:
        """How many requests wait."""
        return self._queue.qsize()

    def stop(self, *, keep_log: bool = False) -> None:
        """Finish what is queued, move the log into the database unless it is to be kept, close. Blocks until done."""
        self._queue.put(None)
        self._thread.join()
        if keep_log:
            self._db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        elif self.stats.state != "failed":
            self._checkpoint("TRUNCATE")
        self._db.close()

    def _serve(self) -> None:
        batch: list[WriteJob] = []
        last = False
        try:
            while True:
                batch, last = self._gather()
                if batch:
                    outcomes = self._commit(batch)
                    self._completions.post(partial(self._deliver, batch, outcomes))
                    del outcomes
                # What is idle must not hold on to the last requests.
                batch = []
                if last:
                    return
                with self.pulse.slow():
                    self._mend()
        except BaseException as mistake:  # noqa: BLE001 - a thread that ends silently leaves everybody waiting.
            self._refuse_all(batch, last, mistake)

    def _refuse_all(self, batch: Sequence[WriteJob], last: bool, mistake: BaseException) -> None:
        """The end of the thread: answer what it had begun, and all that still comes, until it is stopped."""
        self.stats.state, self.stats.detail = "failed", _DEAD
        self._completions.post(partial(self._died, mistake))
        self._completions.post(partial(self._deliver, batch, [self._failure() for _ in batch]))
        while not last and (job := self._take(None)) is not None:
            self._completions.post(partial(self._deliver, [job], [self._failure()]))

    def _mend(self) -> None:
        """Between two batches: what the next one needs."""
        state = self.stats.state
        if state == "failed":
            if self._clock.monotonic() >= self._next_try:
                self._try_reopen()
        elif state == "full":
            self._regain()
        elif self.stats.wal_frames > self._checkpoint_at:
            self._checkpoint("PASSIVE")

    def _frames_limit(self) -> int:
        """How long the log may get: on a full disk, moving it may take as much room again, and it must have that."""
        ballast = self._config.ballast_bytes
        return min(WAL_FRAMES_LIMIT, ballast // (2 * _PAGE_BYTES)) if ballast else WAL_FRAMES_LIMIT

    def _batch_bytes(self) -> int:
        """A batch takes up to four times its bytes in the log (row, index, receipt, what was there before)."""
        ballast = self._config.ballast_bytes
        return min(self._config.batch_bytes, ballast // 8) if ballast else self._config.batch_bytes

    def _gather(self) -> tuple[list[WriteJob], bool]:
        """The next batch, bounded in number and bytes; True where the writer should end after it."""
        batch: list[WriteJob] = []
        size = 0
        wait = self._pause if self.stats.state == "failed" else None
        try:
            job = self._next or self._take(wait)
            self._next = None
            while job is not None:
                if job.alone and batch:
                    self._next = job
                    return batch, False
                batch.append(job)
                size += job.size
                if job.alone or len(batch) >= self._config.batch or size >= self._batch_bytes():
                    return batch, False
                job = self._take(0)
        except Empty:
            return batch, False
        return batch, True

    def _take(self, seconds: float | None) -> WriteJob | None:
        """What is next, waited for so long (None: for ever). Raises `Empty`."""
        while True:
            found = self._queue.get(timeout=seconds)
            self.pulse.beat()
            if not isinstance(found, str):
                return found

    def _commit(self, batch: Sequence[WriteJob]) -> list[Outcome]:
        if self.stats.state == "failed":
            return [self._failure() for _ in batch]
        if self.stats.state == "full" and self._ballast.hold():
            self._set_state("ok", "in order")
        try:
            if self.stats.state == "full":
                return [self._squeeze(job) for job in batch]
            try:
                return self._transact(batch)
            except apsw.FullError:
                return self._make_room(batch)
        except apsw.Error as fault:
            self._fail(fault, len(batch))
            return [self._failure() for _ in batch]

    def _transact(self, batch: Sequence[WriteJob]) -> list[Outcome]:
        """Run and commit the batch; raises only what the storage raised, with nothing acknowledged."""
        if batch[0].alone:
            return [self._run_alone(batch[0])]
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except apsw.BusyError:
            # Another program has the file. Nothing was begun, so nothing is unknown.
            log.warning("database locked by another program", batch=len(batch))
            return [_locked() for _ in batch]
        outcomes = [self._run(job) for job in batch]
        self._db.execute("COMMIT")
        stats = self.stats
        stats.commits += 1
        stats.writes += sum(isinstance(outcome, Written) for outcome in outcomes)
        stats.largest_batch = max(stats.largest_batch, len(batch))
        return outcomes

    def _run_alone(self, job: WriteJob) -> Outcome:
        """Raises what the storage raised."""
        if obstacle := self._not_now(job):
            return obstacle
        began = self._clock.monotonic()
        try:
            with self.pulse.slow():
                return job.run(self._db)
        except KeptError as refusal:
            return bare(refusal)
        except FAULTS:
            raise
        except Exception as mistake:  # noqa: BLE001 - as for any other request.
            return unforeseen(job.name, mistake)
        finally:
            self._rollback()
            self._held += self._clock.monotonic() - began
            # The log may be as large as the database now: moving it here would make writes wait once more.
            self._checkpoint_at = self._frames_limit() + size_of(f"{self._path}-wal") // _PAGE_BYTES

    def _not_now(self, job: WriteJob) -> KeptError | None:
        """Why a job is not even begun, if so."""
        if job.cancelled:
            return Cancelled("cancelled before it was written")
        # Who waited while somebody else had the writer was queued, not lost.
        if self._clock.monotonic() > job.deadline + min(self._held - job.held_before, HELD_SECONDS):
            return DeadlinePassed("the deadline passed while the request was queued")
        if self.stats.state == "full" and not job.frees_space:
            return self._ballast.refusal()
        return None

    def _run(self, job: WriteJob) -> Outcome:
        if obstacle := self._not_now(job):
            return obstacle
        self._db.execute("SAVEPOINT request")
        try:
            outcome: Outcome = job.run(self._db)
        except KeptError as refusal:
            self._db.execute("ROLLBACK TO request")
            outcome = bare(refusal)
        except FAULTS:
            raise
        except Exception as mistake:  # noqa: BLE001 - one request's mistake must not end the thread that serves all.
            self._db.execute("ROLLBACK TO request")
            outcome = unforeseen(job.name, mistake)
        self._db.execute("RELEASE request")
        self.pulse.beat()
        return outcome

    def _make_room(self, batch: Sequence[WriteJob]) -> list[Outcome]:
        """After the disk filled up: run what frees space, refuse the rest."""
        self._rollback()
        self._fill_up()
        return [self._squeeze(job) for job in batch]

    def _fill_up(self) -> None:
        """The disk is full. What the ballast gives is for moving the log, before anybody else takes it, and then for
        what makes room."""
        self._ballast.release()
        try:
            _, frames, moved = next(self._db.execute("PRAGMA wal_checkpoint(RESTART)"))
            self.stats.wal_frames = int(frames - moved)
        except apsw.Error as fault:
            log.warning("the log can't be moved", frames=self.stats.wal_frames, fault=type(fault).__name__)
        self._set_state("full", self._ballast.told())

    def _squeeze(self, job: WriteJob) -> Outcome:
        """On a full disk, a request by itself: what a log that is in the database takes, the next one takes again."""
        if obstacle := self._not_now(job):
            return obstacle
        self._empty_log()
        try:
            [outcome] = self._transact([job])
        except apsw.FullError:
            self._rollback()
            return self._ballast.refusal()
        return outcome

    def _regain(self) -> None:
        """On a full disk: give what was deleted back to the file system, and go on when there is room enough."""
        try:
            while self._empty_log() and self._shrink() and self._queue.empty():
                pass
        except apsw.FullError:
            self._rollback()
        except apsw.Error as fault:
            self._fail(fault, 0)
            return
        # Until then the log stays as long as it is: nobody else can take the room that it has.
        if self._is_room() and self._checkpoint("TRUNCATE") and self._ballast.hold():
            self._set_state("ok", "in order")

    def _is_room(self) -> bool:
        """Without a ballast there is no telling; the next write finds out."""
        return bool(self._config.ballast_bytes) and self._ballast.fits(size_of(f"{self._path}-wal"))

    def _empty_log(self) -> bool:
        """Whether all of the log is in the database, and is written from its start again."""
        return not self.stats.wal_frames or self._checkpoint("RESTART")

    def _shrink(self) -> bool:
        """Make the database smaller by some of its free pages; False where it has none."""
        if not self._db.pragma("freelist_count"):
            return False
        self._db.execute(f"PRAGMA incremental_vacuum({_SHRINK_PAGES})").fetchall()
        return True

    def _fail(self, fault: apsw.Error, batch: int) -> None:
        self._next_try = self._clock.monotonic()
        self._set_state("failed", f"the disk failed ({type(fault).__name__}); checking the database")
        log.warning("storage failed", fault=type(fault).__name__, batch=batch)

    def _rollback(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _deliver(self, batch: Sequence[WriteJob], outcomes: Sequence[Outcome]) -> None:
        seq = 0
        for job, outcome in zip(batch, outcomes, strict=True):
            try:
                job.done(outcome)
            except Exception as mistake:  # noqa: BLE001 - what is wrong with one must not keep the others of its batch waiting.
                unforeseen(job.name, mistake)
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
        except apsw.Error as fault:
            obstacle = _DAMAGED if is_damage(fault) else f"the disk still fails ({type(fault).__name__})"
        except UnusableDatabase as fault:
            obstacle = f"the disk still fails ({type(fault).__name__})"
        if obstacle:
            if obstacle is _DAMAGED:
                self._damaged(obstacle)
            self.stats.detail = obstacle
            self._next_try = self._clock.monotonic() + self._pause
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
            return
        self._pause = _FIRST_PAUSE
        if self._ballast.hold():
            self._set_state("ok", "in order after a fault of the disk")
        else:
            self._set_state("full", self._ballast.told())

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
            if frames < WAL_FRAMES_LIMIT:
                self._checkpoint_at = self._frames_limit()
            return apsw.SQLITE_OK

        self._db.set_wal_hook(committed)

    def _checkpoint(self, mode: str) -> bool:
        """Move the log into the database; whether all of it was."""
        try:
            busy, frames, moved = next(self._db.execute(f"PRAGMA wal_checkpoint({mode})"))
            # A long read, as for a backup, keeps the log from being begun anew: to try after each commit would only
            # slow them.
            self._checkpoint_at = self._frames_limit() + (0 if moved == frames else frames)
        except apsw.FullError:
            # Before the log has taken what is left: what makes room needs it.
            self._fill_up()
            return not self.stats.wal_frames
        except apsw.Error as fault:
            # The commits stay in the log, which is durable; the next checkpoint takes them.
            log.warning("checkpoint failed", fault=type(fault).__name__)
            return False
        # Where it is all moved, the next commit says how many there are.
        self.stats.wal_frames = int(frames - moved)
        return not busy and frames == moved


def _locked() -> Busy:
    return Busy(
        "another program has locked the database file",
        hint="Nothing was written. End what else has it open (an SQLite shell?), and try again.",
        retry_after_ms=_RETRY_MS,
    )
