"""Domains on a real database without a loop or a socket: a call goes in, the handler's result comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, tzinfo
from pathlib import Path
from typing import TypeVar

import anyio

from kept.wire import Actor, Call, Write
from keptd import trash
from keptd.config import Config
from keptd.domain import Domain, ReadCtx, SelfReport, WriteCtx
from keptd.store import OWN, changes
from keptd.store.database import open_reader, open_writer
from keptd.store.migrations import migrate

R = TypeVar("R")

ACTOR = Actor(client="tester", uid=1000, pid=42)


class FakeClock:
    """Time that moves only when a test says so. It starts at 2026-01-01T00:00:00Z."""

    def __init__(self) -> None:
        self.micros = 1_767_225_600_000_000
        self.seconds = 1000.0
        self.asleep = 0.0
        self.where: tzinfo = UTC
        self.of_run = "first"
        self._waiting: set[anyio.Event] = set()

    def now(self) -> int:
        return self.micros

    def monotonic(self) -> float:
        return self.seconds

    def boot(self) -> float:
        return self.seconds + self.asleep

    def run(self) -> str:
        return self.of_run

    def zone(self) -> tzinfo:
        return self.where

    async def wait(self, seconds: float) -> None:
        """Return when time has moved: the caller looks again."""
        if seconds > 0:
            moved = anyio.Event()
            self._waiting.add(moved)
            try:
                await moved.wait()
            finally:
                self._waiting.discard(moved)
        else:
            await anyio.lowlevel.checkpoint()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.micros += round(seconds * 1_000_000)
        self.seconds += seconds
        self._tell()

    def suspend(self, seconds: float) -> None:
        """The machine sleeps for a while: nothing but the calendar and the boot clock goes on."""
        self.micros += round(seconds * 1_000_000)
        self.asleep += seconds
        self._tell()

    def pause(self, seconds: float, run: str) -> None:
        """The machine is off for a while; what runs afterwards is another `run`, with other clocks."""
        self.micros += round(seconds * 1_000_000)
        self.seconds, self.asleep, self.of_run = 5.0, 0.0, run
        self._tell()

    def put(self, seconds: float) -> None:
        """Somebody sets the wall clock forward, or back where `seconds` is negative."""
        self.micros += round(seconds * 1_000_000)
        self._tell()

    def _tell(self) -> None:
        for moved in self._waiting:
            moved.set()


class Rooms:
    """Some domains over one database file: `rooms(SetMemory(...))` gives what the handler gives, or raises what it
    raises. The trash, which every room may use, is always there."""

    def __init__(self, folder: Path, domains: Sequence[Domain], config: Config | None = None) -> None:
        domains = domains if trash.DOMAIN in domains else (trash.DOMAIN, *domains)
        self.clock = FakeClock()
        self.config = config or Config()
        self.writer = open_writer(folder / "kept.db")
        self.writer.pragma("synchronous", "OFF")  # A handler's result is the subject; nothing here loses power.
        sets = [*OWN, *((domain.name, domain.migrations) for domain in domains)]
        migrate(self.writer, sets, self.clock.now())
        self.reader = open_reader(folder / "kept.db")
        self.full = False
        """What the handlers are told of the disk."""
        self.self_reports: Callable[[], Sequence[SelfReport]] = tuple
        self.restorers = {entity: how for domain in domains for entity, how in domain.restorers.items()}
        self.purgers = {entity: how for domain in domains for entity, how in domain.purgers.items()}
        self.handlers = {handler.call: handler for domain in domains for handler in domain.handlers}

    def __call__(self, call: Call[R], caller: Actor = ACTOR) -> R:
        run = self.handlers[type(call)].run
        if isinstance(call, Write):
            log = changes.ChangeLog(self.writer, self.clock.now(), caller, call.method)
            with self.writer:
                written: R = run(
                    WriteCtx(
                        self.writer, self.clock, caller, self.config, log, self.full, self.restorers, self.purgers
                    ),
                    call,
                )
            return written
        with self.reader:
            read: R = run(ReadCtx(self.reader, self.clock, caller, self.config, self.self_reports), call)
        return read

    def changes(self) -> list[tuple[str, str, str]]:
        """What the change log holds: method, entity, label."""
        return [(change.method, change.entity, change.label) for change in changes.after(self.reader, 0, None, 100_000)]

    def close(self) -> None:
        self.reader.close()
        self.writer.close()
