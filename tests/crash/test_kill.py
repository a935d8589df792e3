"""SIGKILL under load: no acknowledged write is missing, none is applied twice, though clients repeat what they must."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kept.client import Client
from kept.wire.journal import LogAction
from kept.wire.memory import SetMemory
from tests.faulty_vfs import DEADLINE

from .homes import Home, home, stored

CLIENTS = 8
ROUNDS = int(os.environ.get("KEPT_CRASH_ROUNDS", "5"))


@dataclass
class Load:
    """Clients that write until they are told to stop, each in a thread, and what was acknowledged to them."""

    home: Home
    actions: set[str] = field(default_factory=set)
    versions: dict[str, int] = field(default_factory=dict)
    faults: list[BaseException] = field(default_factory=list)
    _grown: threading.Condition = field(default_factory=threading.Condition)
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        self._threads = [threading.Thread(target=self._run, args=(f"client-{number}",)) for number in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def acknowledged(self) -> int:
        return len(self.actions) + sum(self.versions.values())

    def wait_for(self, more: int) -> None:
        """Return when that many more writes have been acknowledged."""
        with self._grown:
            goal = self.acknowledged() + more
            assert self._grown.wait_for(lambda: self.acknowledged() >= goal or self.faults, 3 * DEADLINE)
        assert not self.faults

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(3 * DEADLINE)
            assert not thread.is_alive()

    def _run(self, name: str) -> None:
        try:
            with self.home.connect(name) as client:
                number = 0
                while not self._over.is_set():
                    number += 1
                    self._write(client, name, number)
        except BaseException as fault:  # noqa: BLE001 - of any kind: the test fails with it.
            with self._grown:
                self.faults.append(fault)
                self._grown.notify_all()

    def _write(self, client: Client, name: str, number: int) -> None:
        client.call(LogAction(action=f"{name} does {number}"))
        # Each write of a key raises its version by one: one that was applied twice would raise it by two.
        version = client.call(SetMemory(key=name, value=number)).version
        assert version == number, (name, number, version)
        with self._grown:
            self.actions.add(f"{name} does {number}")
            self.versions[name] = version
            self._grown.notify_all()


@pytest.mark.crash
def test_sigkill_rounds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dice = random.Random(ROUNDS)
    with home(tmp_path) as place:
        load = Load(place)
        load.start()
        try:
            for _ in range(ROUNDS):
                load.wait_for(dice.randrange(1, 120))
                place.end(signal.SIGKILL)
            load.wait_for(100)
        finally:
            load.stop()
        assert not load.faults
        place.end(signal.SIGTERM)
        with stored(place) as db:
            actions = Counter(str(action) for (action,) in db.execute("SELECT action FROM action"))
            rows = db.execute("SELECT key, value, version FROM memory")
            memories = {str(key): (str(value), version) for key, value, version in rows}
            (changes,) = next(db.execute("SELECT count(*) FROM change"))
        assert load.actions <= actions.keys()
        assert max(actions.values()) == 1
        assert memories == {name: (str(version), version) for name, version in load.versions.items()}
        assert place.starts() >= ROUNDS + 1
        with capsys.disabled():
            sys.stdout.write(
                f"\n{ROUNDS} rounds of SIGKILL under {CLIENTS} clients, {place.starts()} starts: {load.acknowledged()} "
                f"writes acknowledged, 0 missing, 0 applied twice; {changes} changes without a gap\n"
            )
