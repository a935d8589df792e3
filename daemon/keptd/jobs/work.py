"""Work: one run of a job, from its beginning until its function has really ended, which may be long after its time was
up.

A function that is cancelled ends at its next wait; a thread that it waits for can't be stopped. So the result is there
in time, and `ended` tells when the job may run again.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio
import structlog

from kept.wire.errors import KeptError
from kept.wire.job import Result

from ..clock import Clock
from ..domain import Job, JobCtx
from ..store.unforeseen import unforeseen

log = structlog.get_logger(__name__)

PULSE_SECONDS = 15.0
"""Longest silence towards whoever waits for a run: clients give up on a connection that says nothing for a minute."""

STOPPED = "the daemon was stopped during this run"


class Work:
    """A job at work. Make it, `start` its `run` as a task, and await `result`."""

    def __init__(self, job: Job) -> None:
        self.ended = anyio.Event()
        self._job = job
        self._outcome: tuple[Result, str] | None = None
        self._given_up = False
        self._running = anyio.CancelScope()
        self._waiting = anyio.CancelScope()

    async def run(self, context: JobCtx) -> None:
        """Do it; what goes wrong is an outcome."""
        try:
            with self._running:
                self._outcome = await self._attempt(context)
        finally:
            self._waiting.cancel()
            self.ended.set()

    async def result(self, clock: Clock, pulse: Callable[[], None]) -> tuple[Result, str]:
        """How it went, and in which words, at the latest when its time is up: then it is cancelled. `pulse` is called
        from time to time."""
        deadline = clock.monotonic() + self._job.timeout
        with self._waiting:
            while (left := deadline - clock.monotonic()) > 0:
                await clock.wait(min(left, PULSE_SECONDS))
                pulse()
        if self._outcome is not None:
            return self._outcome
        self._running.cancel()
        if self._given_up:
            return "interrupted", STOPPED
        log.warning("job timed out", job=self._job.name, seconds=self._job.timeout)
        return "timeout", f"it took longer than {self._job.timeout:g} seconds"

    def give_up(self) -> None:
        """The daemon ends: have a result now."""
        self._given_up = True
        self._running.cancel()
        self._waiting.cancel()

    async def _attempt(self, context: JobCtx) -> tuple[Result, str]:
        name = self._job.name
        try:
            return "ok", await self._job.run(context)
        except KeptError as refusal:
            log.warning("job failed", job=name, reason=refusal.type)
            return "failed", refusal.message
        except Exception as mistake:  # noqa: BLE001 - one job's mistake must not end the task that runs it.
            return "failed", unforeseen(name, mistake).message
