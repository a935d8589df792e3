"""A duty: one job as the runner has it. State only, on the loop's thread; what to do with it is the runner's.

Other threads may read it (a self-report is told to readers).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import anyio

from kept.wire import Actor
from kept.wire.job import Job as Shown
from kept.wire.job import JobName, Run

from ..clock import SECOND, Clock, to_time
from ..domain import Job, Tell
from ..schedule import parse
from ..store.background import Answer
from .ledger import Before
from .schedule import Now, Timer
from .work import Work


@dataclass(slots=True, eq=False)
class Asked:
    """Somebody who wants a run and waits for it. `progress` becomes `to_nobody` when nobody waits any more."""

    by: Actor
    progress: Tell
    run: Answer[Run] = field(default_factory=Answer)


@dataclass(slots=True, eq=False)
class Duty:
    """A job, its time, and its runs."""

    job: Job
    timer: Timer
    paused: bool
    last: Run | None
    asked: Asked | None = None
    work: Work | None = None
    _resting: anyio.CancelScope | None = None

    async def rest(self, clock: Clock, seconds: float | None) -> None:
        """Wait until it may be due, or until `look`. None: for as long as it takes."""
        with anyio.CancelScope() as self._resting:
            if seconds is None:
                await anyio.sleep_forever()
            else:
                await clock.wait(seconds)
        self._resting = None

    def look(self) -> None:
        """Something has changed: rest no more."""
        if self._resting is not None:
            self._resting.cancel()

    def due_in(self, now: Now) -> float | None:
        """Seconds until it runs by itself; None for never."""
        return None if self.paused else self.timer.left(now)

    def reschedule(self, setting: str, now: Now) -> None:
        """Go by this setting from now on."""
        self.timer = self.timer.changed(parse(setting), now)
        self.look()

    def know(self, before: Before) -> None:
        """Go by this of its past, but for when it last ran."""
        self.paused, self.last = before.paused, before.last
        self.timer = replace(self.timer, failures=before.failures)
        self.look()

    @property
    def fails(self) -> bool:
        """Whether the last run went wrong, and not because the daemon ended."""
        return self.last is not None and self.last.result in ("failed", "timeout")

    def shown(self, now: Now) -> Shown:
        """As job.list shows it."""
        last, left = self.last, None if self.work else self.due_in(now)
        return Shown(
            name=JobName(self.job.name),
            description=self.job.description,
            schedule=str(self.timer.schedule),
            paused=self.paused,
            running=self.work is not None,
            next_at=None if left is None else to_time(now.wall + round(left * SECOND)),
            last_at=last.started_at if last else None,
            last_seconds=last.seconds if last else None,
            last_result=last.result if last else None,
            last_error=last.summary if last and last.result != "ok" else None,
            failures=self.timer.failures,
        )
