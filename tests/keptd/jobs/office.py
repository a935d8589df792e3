"""The runner without a daemon: a real store, a clock that the test moves, and jobs that do as they are told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec
import pytest

from kept.wire.job import Job as Shown
from kept.wire.job import JobHistory, Run
from keptd.config import Config, Jobs, Storage
from keptd.domain import Job, JobCtx
from keptd.jobs.runner import Runner
from keptd.jobs.schema import MIGRATIONS
from keptd.store import Store
from tests.harness import patience
from tests.rooms import ACTOR, FakeClock

DAY = 86_400.0
JITTER = 60.0
"""More than any job is late by."""

OFF = Jobs(**dict.fromkeys(Jobs.__struct_fields__, "off"))


class Chore:
    """A job that counts its runs. It waits where it is `held`, and raises what it is given."""

    def __init__(self, name: str, setting: str = "memory_expire", timeout: float = 3600) -> None:
        self.job = Job(name, f"Do {name}", setting, timeout, self._run)
        self.runs = 0
        self.at_work = 0
        self.ended = 0
        self.raises: Exception | None = None
        self.context: JobCtx
        self._gate: anyio.Event | None = None

    def hold(self) -> None:
        """From the next run on."""
        self._gate = anyio.Event()

    def let_go(self) -> None:
        assert self._gate is not None
        self._gate.set()
        self._gate = None

    async def _run(self, context: JobCtx) -> str:
        self.context = context
        self.runs += 1
        self.at_work += 1
        assert self.at_work == 1, "it overlaps itself"
        try:
            if self._gate is not None:
                await self._gate.wait()
            if self.raises is not None:
                raise self.raises
        finally:
            self.at_work -= 1
            self.ended += 1
        return f"run {self.runs}"


class Office:
    """A runner at work."""

    def __init__(self, store: Store, clock: FakeClock, jobs: Jobs, chores: Sequence[Chore]) -> None:
        self.store = store
        self.clock = clock
        self.config = Config(jobs=jobs)
        self.runner = Runner([chore.job for chore in chores], store, clock, lambda: self.config, ACTOR)

    def reload(self, **settings: str) -> None:
        self.config = Config(jobs=msgspec.structs.replace(self.config.jobs, **settings))
        self.runner.configure()

    async def rest(self, but: str = "") -> None:
        """Let every job come to its waiting, `but` one."""
        with patience("the rest of all jobs"):
            while not self._rests(but):
                await anyio.lowlevel.checkpoint()

    def _rests(self, but: str) -> bool:
        resting = [duty._resting for name, duty in self.runner._duties.items() if name != but]
        still = not any(moved.is_set() for moved in self.clock._waiting)
        return still and all(scope is not None and not scope.cancel_called for scope in resting)

    async def until(self, what: str, condition: object) -> None:
        """Let everything else run until `condition()` holds."""
        assert callable(condition)
        with patience(what):
            while not condition():
                await anyio.lowlevel.checkpoint()

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and what is due be done."""
        self.clock.advance(seconds)
        await self.rest()

    def shown(self, name: str) -> Shown:
        return next(job for job in self.runner.listed() if job.name == name)

    async def history(self, name: str | None = None) -> list[Run]:
        return (await self.runner.history(JobHistory(name=name, limit=1000))).items

    async def results(self, name: str) -> list[str]:
        """Newest first."""
        return [run.result for run in await self.history(name)]

    def fill_disk(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store.writer.stats.state = "full"
        monkeypatch.setattr(self.store.writer._ballast, "hold", lambda: False)

    def clear_disk(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(self.store.writer._ballast, "hold", lambda: True)


@asynccontextmanager
async def office(
    folder: Path, *chores: Chore, clock: FakeClock | None = None, dies: bool = False, **settings: str
) -> AsyncIterator[Office]:
    """`settings` are those of the section jobs; the others are off. `dies`: the end is a kill, and no stop."""
    clock = clock or FakeClock()
    store = Store(folder / "kept.db", [("jobs", MIGRATIONS)], Storage(ballast_bytes=0), clock, lambda _seq: None)
    opened = Office(store, clock, msgspec.structs.replace(OFF, **settings), chores)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.completions.deliver)
            tasks.start_soon(opened.runner.run)
            try:
                yield opened
                if not dies:
                    opened.runner.stop()
                    with patience("the end of the runner"):
                        await opened.runner.ended.wait()
            finally:
                tasks.cancel_scope.cancel()
    finally:
        store.close()
