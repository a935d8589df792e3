"""Domains on a real database without a loop or a socket: a call goes in, the handler's result comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from kept.wire import Actor, Call, Write
from keptd.config import Config
from keptd.domain import Domain, ReadCtx, SelfReport, WriteCtx
from keptd.store import changes
from keptd.store.database import open_reader, open_writer
from keptd.store.migrations import migrate

R = TypeVar("R")

ACTOR = Actor(client="tester", uid=1000, pid=42)


class FakeClock:
    """Time that moves only when a test says so. It starts at 2026-01-01T00:00:00Z."""

    def __init__(self) -> None:
        self.micros = 1_767_225_600_000_000
        self.seconds = 1000.0

    def now(self) -> int:
        return self.micros

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.micros += round(seconds * 1_000_000)
        self.seconds += seconds


class Rooms:
    """Some domains over one database file: `rooms(SetMemory(...))` gives what the handler gives, or raises what it
    raises."""

    def __init__(self, folder: Path, domains: Sequence[Domain], config: Config | None = None) -> None:
        self.clock = FakeClock()
        self.config = config or Config()
        self.writer = open_writer(folder / "kept.db")
        sets = [("changes", changes.MIGRATIONS), *((domain.name, domain.migrations) for domain in domains)]
        migrate(self.writer, sets, self.clock.now())
        self.reader = open_reader(folder / "kept.db")
        self.full = False
        """What the handlers are told of the disk."""
        self.self_reports: Callable[[], Sequence[SelfReport]] = tuple
        self.handlers = {handler.call: handler for domain in domains for handler in domain.handlers}

    def __call__(self, call: Call[R], caller: Actor = ACTOR) -> R:
        run = self.handlers[type(call)].run
        if isinstance(call, Write):
            log = changes.ChangeLog(self.writer, self.clock.now(), caller, call.method)
            with self.writer:
                written: R = run(WriteCtx(self.writer, self.clock, caller, self.config, log, self.full), call)
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
