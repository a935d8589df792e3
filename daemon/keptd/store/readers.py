"""Reader threads, for reads whose cost grows with the data: each with its own connection, in one snapshot, with a
deadline.

SQLite's progress handler asks every few thousand steps whether the deadline has passed or the caller has cancelled,
so that no request can hold a thread longer than that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import apsw

from kept.wire.errors import Cancelled, DeadlinePassed, KeptError, StorageFailed

from ..clock import Clock
from .completions import Completions
from .database import FAULTS, open_reader
from .turns import Turns
from .unforeseen import bare, unforeseen

_STEPS = 10_000
"""Virtual machine steps between two looks at the deadline: under a millisecond."""

_REPORT_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class ReadJob:
    """One heavy read. `run` gives the encoded result; `done` and `progress` (seconds so far) are called on the loop."""

    run: Callable[[apsw.Connection], bytes]
    done: Callable[[bytes | KeptError], None]
    progress: Callable[[float], None]
    deadline: float
    owner: object = None
    """Who asks; everybody gets the same share of the threads."""
    cancelled: bool = False
    name: str = "read"
    """What is being done, for the log: the method."""

    def cancel(self) -> None:
        """Give it up, also in the middle."""
        self.cancelled = True


class Readers:
    """A small pool. `submit` from the loop."""

    def __init__(
        self,
        path: Path,
        count: int,
        clock: Clock,
        completions: Completions,
        vfs: str = "",
        died: Callable[[BaseException], None] = lambda _mistake: None,
        faulted: Callable[[apsw.Error], None] = lambda _fault: None,
    ) -> None:
        """`died` is called on the loop when a thread can do nothing more than refuse; `faulted` hears of each fault of
        the storage, on a reader's thread."""
        self._died = died
        self._clock = clock
        self._faulted = faulted
        self._completions = completions
        self._queue: Turns[ReadJob] = Turns()
        connections = [open_reader(path, vfs) for _ in range(count)]
        self._threads = [
            threading.Thread(target=self._serve, args=(db,), name=f"keptd-reader-{number}", daemon=True)
            for number, db in enumerate(connections)
        ]

    def start(self) -> None:
        """Begin to serve."""
        for thread in self._threads:
            thread.start()

    def submit(self, job: ReadJob) -> None:
        """Queue a read; any free thread takes it when its owner has the turn."""
        self._queue.put(job.owner, job)

    def stop(self) -> None:
        """Finish what is queued and close. Blocks until done."""
        self._queue.close()
        for thread in self._threads:
            thread.join()

    def _serve(self, db: apsw.Connection) -> None:
        job: ReadJob | None = None
        try:
            while (job := self._queue.get()) is not None:
                outcome = self._run(db, job)
                self._completions.post(partial(job.done, outcome))
                del outcome
            db.close()
        except BaseException as mistake:  # noqa: BLE001 - a thread that ends silently leaves everybody waiting.
            self._completions.post(partial(self._died, mistake))
            while job is not None:
                self._completions.post(partial(job.done, _lost()))
                job = self._queue.get()

    def _run(self, db: apsw.Connection, job: ReadJob) -> bytes | KeptError:
        began = reported = self._clock.monotonic()
        if job.cancelled or began > job.deadline:
            return _stopped(job)

        def stop() -> bool:
            nonlocal reported
            now = self._clock.monotonic()
            if now - reported >= _REPORT_SECONDS:
                reported = now
                self._completions.post(partial(job.progress, now - began))
            return job.cancelled or now > job.deadline

        db.set_progress_handler(stop, _STEPS)
        try:
            db.execute("BEGIN")
            return job.run(db)
        except apsw.InterruptError:
            return _stopped(job)
        except KeptError as refusal:
            return bare(refusal)
        except FAULTS as fault:
            self._faulted(fault)
            return StorageFailed(
                f"the read failed ({type(fault).__name__})", hint="Run `kept status`; the log has more."
            )
        except Exception as mistake:  # noqa: BLE001 - one request's mistake must not end a thread that serves all.
            return unforeseen(job.name, mistake)
        finally:
            db.set_progress_handler(None)
            if db.in_transaction:
                db.execute("ROLLBACK")


def _stopped(job: ReadJob) -> KeptError:
    if job.cancelled:
        return Cancelled("cancelled")
    return DeadlinePassed("the deadline for this read passed")


def _lost() -> StorageFailed:
    return StorageFailed("a thread of the daemon failed, and it starts again", hint="Nothing was changed. Try again.")
