"""The store against a model, under writes, repetitions, refusals, faults of the disk, crashes and restarts."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path

import apsw
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kept.wire.errors import Conflict, StorageFailed, StorageFull
from keptd.store.writer import Outcome, Written
from tests.faulty_vfs import Disk

from .desk import Desk, check, delete, put, refuse

TIMES = st.sampled_from([1, None])
NAMES = st.sampled_from([f"n{number}" for number in range(6)])


class StoreAgainstModel(RuleBasedStateMachine):
    """`present` is what must be there; `unknown` may be, after a commit whose outcome nobody knows."""

    def __init__(self) -> None:
        super().__init__()
        self.present: set[str] = set()
        self.used: set[str] = set()
        self.unknown: set[str] = set()

    @initialize()
    def open(self) -> None:
        self.disk = Disk()
        self.folder = Path(tempfile.mkdtemp())
        self.work = Desk(self.folder, vfs=self.disk.name)
        self.work.start()

    def teardown(self) -> None:
        if hasattr(self, "work"):
            self.disk.heal()
            self.work.close()
            check(self.work.path, self.present)
            shutil.rmtree(self.folder)

    @rule(name=NAMES)
    def put(self, name: str) -> None:
        """A key that was used gives its first result, even where the entry has gone since."""
        self.note(name, self.work.write(name))

    def note(self, name: str, outcome: Outcome) -> None:
        if isinstance(outcome, Written):
            if name not in self.used:
                self.present.add(name)
                self.used.add(name)
            self.unknown.discard(name)
        elif isinstance(outcome, StorageFailed) and name not in self.used:
            self.unknown.add(name)

    @rule(names=st.lists(NAMES, min_size=2, max_size=5, unique=True))
    def put_together(self, names: list[str]) -> None:
        for name in names:
            self.work.outcomes.pop(name, None)
            self.work.submit(name, put(name))
        for name, outcome in zip(names, self.work.settle(*names), strict=True):
            self.note(name, outcome)

    @precondition(lambda self: self.present and not self.unknown)
    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.present)))
        outcome = self.work.write("take", delete(name), frees_space=True)
        if isinstance(outcome, Written):
            self.present.discard(name)
        elif isinstance(outcome, StorageFailed):
            self.recover()
            self.present &= self.work.entries().keys()

    @rule()
    def refuse(self) -> None:
        assert isinstance(self.work.write("refused", refuse("refused")), (Conflict, StorageFailed, StorageFull))

    @rule(at=st.integers(1, 2), times=TIMES)
    def break_a_sync(self, at: int, times: int | None) -> None:
        self.disk.fail("sync", apsw.IOError, at=at, times=times)

    @rule(at=st.integers(1, 16), times=TIMES)
    def break_a_write(self, at: int, times: int | None) -> None:
        self.disk.fail("write", apsw.IOError, at=at, times=times)

    @rule(at=st.integers(1, 16), times=TIMES)
    def fill(self, at: int, times: int | None) -> None:
        self.disk.fail("write", apsw.FullError, at=at, times=times)

    @rule()
    def recover(self) -> None:
        self.disk.heal()
        self.work.write_until_taken("recovered")
        self.note("recovered", self.work.outcomes["recovered"])
        for name in list(self.unknown):
            self.put(name)

    @rule()
    def restart(self) -> None:
        self.work.close()
        self.reopen()

    @rule()
    def crash(self) -> None:
        """The files as they are in this moment, without the memory that connections share."""
        left = Path(tempfile.mkdtemp())
        with self.disk.frozen:
            for name in ("kept.db", "kept.db-wal"):
                if (self.folder / name).exists():
                    shutil.copy(self.folder / name, left / name)
        self.disk.heal()
        self.work.close()
        shutil.rmtree(self.folder)
        self.folder = left
        self.reopen()

    def reopen(self) -> None:
        self.disk = Disk()
        self.work = Desk(self.folder, vfs=self.disk.name)
        self.work.start()

    @invariant()
    def holds(self) -> None:
        found = Counter(str(name) for (name,) in self.work.reader.execute("SELECT name FROM entry"))
        assert self.present <= found.keys()
        assert found.keys() <= self.present | self.unknown
        assert all(number == 1 for number in found.values())


StoreAgainstModel.TestCase.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestStore = StoreAgainstModel.TestCase
