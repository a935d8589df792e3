"""The runner: one task per job, which waits until it is due, runs it, and has it written down how it went.

A job never overlaps itself, and one that hangs holds up no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import anyio
import apsw
from anyio.abc import TaskGroup

from kept.wire import Actor, Page
from kept.wire.errors import Conflict
from kept.wire.job import Job as Shown
from kept.wire.job import JobHistory, JobName, Result, Run, RunId

from ..clock import Clock, to_time
from ..config import Config
from ..domain import Domain, Job, JobCtx, SelfReport, Tell, to_nobody
from ..schedule import parse
from ..store import Store
from ..store.background import write
from ..store.changes import ChangeLog
from ..store.ids import new_id
from ..store.writer import Written
from . import store as runs
from .duty import Asked, Duty
from .ledger import Ledger, unknown
from .schedule import Now, Timer
from .work import Work

SUMMARY_LENGTH = 1000


class Runner:
    """The jobs of all rooms. Make it on the loop's thread, when the store is open; all but `report` belongs there."""

    def __init__(
        self,
        jobs: Iterable[Job],
        store: Store,
        clock: Clock,
        config: Callable[[], Config],
        actor: Actor,
        rooms: tuple[Domain, ...] = (),
        self_reports: Callable[[], Sequence[SelfReport]] = tuple,
    ) -> None:
        """`rooms` and `self_reports` are for jobs that look at all that there is."""
        self.ended = anyio.Event()
        self._store = store
        self._clock = clock
        self._config = config
        self._actor = actor
        self._rooms = rooms
        self._self_reports = self_reports
        self._ledger = Ledger(store, clock)
        self._stopping = False
        self._since = clock.now()
        self._tasks: TaskGroup
        self._duties = {job.name: self._duty(job) for job in sorted(jobs, key=lambda job: job.name)}

    async def run(self) -> None:
        """Run what is due, until `stop` or until cancelled."""
        await self._ledger.settle()
        async with anyio.create_task_group() as self._tasks:
            for duty in self._duties.values():
                self._tasks.start_soon(self._tend, duty)
        self.ended.set()

    def stop(self) -> None:
        """Begin nothing more, and interrupt what runs; `ended` tells when that is done."""
        self._stopping = True
        for duty in self._duties.values():
            if duty.work is not None:
                duty.work.give_up()
            duty.look()

    def configure(self) -> None:
        """Go by the present settings."""
        now = self._now()
        for duty in self._duties.values():
            duty.reschedule(self._setting(duty.job), now)

    def begin_anew(self) -> None:
        """Go by what is written down now: all that was known of the jobs may have been deleted. When they are due stays
        as it is."""
        self._ledger.forget()
        for name, duty in self._duties.items():
            duty.know(self._ledger.before(name))

    def listed(self) -> list[Shown]:
        """Every job as it is, by name."""
        now = self._now()
        return [duty.shown(now) for duty in self._duties.values()]

    async def history(self, call: JobHistory) -> Page[Run]:
        """Runs, newest first. Raises `NotFound`, `InvalidParams` naming `cursor`, and `StorageFailed`."""
        return await self._ledger.page(call, known=call.name in self._duties)

    def failing(self) -> tuple[str, ...]:
        """The jobs whose last run failed or took too long."""
        return tuple(name for name, duty in self._duties.items() if duty.fails)

    def report(self) -> SelfReport:
        """The component `keptd.jobs`."""
        failing = self.failing()
        paused = [name for name, duty in self._duties.items() if duty.paused]
        return SelfReport(
            "keptd.jobs",
            "degraded" if failing else "operational",
            50 if failing else 100,
            {"jobs": len(self._duties), "failing": list(failing), "paused": paused},
            self._clock.now(),
            self._since,
        )

    async def run_now(self, name: str, asked_by: Actor, progress: Tell) -> Run:
        """Run a job and wait for the end; who stops waiting does not stop it.

        Raises `NotFound`, and `Conflict` while it runs.
        """
        duty = self._find(name)
        if duty.work is not None or duty.asked is not None:
            raise Conflict(f"{name} is running", hint="Wait for its end; job.list shows when it is over.")
        if self._stopping:
            raise Conflict("the daemon is stopping", hint="Ask the next one.")
        asked = duty.asked = Asked(asked_by, progress)
        duty.look()
        try:
            return await asked.run.wait()
        finally:
            asked.progress = to_nobody

    async def pause(self, name: str, asked_by: Actor) -> Shown:
        """Keep a job from running by itself. Raises `NotFound`, `StorageFull` or `StorageFailed`."""
        return await self._set_paused(name, asked_by, "job.pause", paused=True)

    async def resume(self, name: str, asked_by: Actor) -> Shown:
        """Let a job run by itself again. Raises `NotFound`, `StorageFull` or `StorageFailed`."""
        return await self._set_paused(name, asked_by, "job.resume", paused=False)

    async def _set_paused(self, name: str, asked_by: Actor, method: str, *, paused: bool) -> Shown:
        duty = self._find(name)

        def keep(db: apsw.Connection) -> Written:
            changes = ChangeLog(db, self._clock.now(), asked_by, method)
            if runs.set_paused(db, name, to=paused):
                changes.add("job", name, name)
            return Written(b"", changes.last_seq)

        await write(self._store, self._clock, keep, frees_space=False)
        duty.paused = paused
        duty.look()
        return duty.shown(self._now())

    def _duty(self, job: Job) -> Duty:
        """A job with what is known of it from before."""
        before = self._ledger.before(job.name)
        timer = Timer.start(job.name, parse(self._setting(job)), before.past, self._now())
        return Duty(job, timer, before.paused, before.last)

    async def _tend(self, duty: Duty) -> None:
        """One job's task."""
        while not self._stopping:
            now = self._now()
            duty.timer = duty.timer.seen(now)
            left = duty.due_in(now)
            if duty.asked is not None or left == 0:
                await self._perform(duty)
            else:
                await duty.rest(self._clock, left)

    async def _perform(self, duty: Duty) -> None:
        """One run; returns when the job may run again."""
        asked, duty.asked = duty.asked, None
        work = duty.work = Work(duty.job)
        now, began = self._now(), self._clock.monotonic()
        duty.timer = duty.timer.begun(now)
        run_id, name = RunId(new_id()), JobName(duty.job.name)
        asked_by = asked.by.client if asked else None
        await self._ledger.begin(run_id, name, now.wall, asked_by)
        result, summary = await self._work(work, asked)
        run = Run(
            id=run_id,
            job=name,
            started_at=to_time(now.wall),
            seconds=round(self._clock.monotonic() - began, 6),
            result=result,
            summary=summary[:SUMMARY_LENGTH],
            asked_by=asked_by,
        )
        self._note(duty, run)
        await self._ledger.end(run)
        if asked is not None:
            asked.run.give(run)
        await work.ended.wait()
        duty.work = None

    async def _work(self, work: Work, asked: Asked | None) -> tuple[Result, str]:
        """How it went, told to who asked as it goes."""
        latest = (0, 0, "running")

        def progress(done: int, total: int, text: str) -> None:
            nonlocal latest
            latest = (done, total, text)
            tell()

        def tell() -> None:
            if asked is not None:
                asked.progress(*latest)

        context = JobCtx(
            self._store, self._clock, self._config(), self._actor, progress, self._rooms, self._self_reports
        )
        self._tasks.start_soon(work.run, context)
        return await work.result(self._clock, tell)

    def _note(self, duty: Duty, run: Run) -> None:
        was_failing = bool(self.failing())
        duty.last = run
        duty.timer = duty.timer.over(self._now(), ok=run.result == "ok")
        if bool(self.failing()) != was_failing:
            self._since = self._clock.now()

    def _find(self, name: str) -> Duty:
        duty = self._duties.get(name)
        if duty is None:
            raise unknown()
        return duty

    def _setting(self, job: Job) -> str:
        return str(getattr(self._config().jobs, job.setting))

    def _now(self) -> Now:
        return Now(self._clock.now(), self._clock.boot(), self._clock.zone())
