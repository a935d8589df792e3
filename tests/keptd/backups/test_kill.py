"""SIGKILL while a backup is made or gone back to."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from kept.faults import Fault
from kept.wire.backup import CreateBackup, ListBackups, RestoreBackup
from kept.wire.errors import KeptError
from kept.wire.event import ListEvents
from kept.wire.journal import ListActions, LogAction
from tests.crash.homes import Home, home
from tests.faulty_vfs import DEADLINE

MOMENTS = (".partial-restore", ".partial-2", "2", ".partial-check")
"""What comes into the folder, one after the other: the copy that is checked, the backup of the present state in the
making and done (then the database is replaced), and its check (then it has been)."""

ROUNDS = 8


def wait_for(folder: Path, known: set[str], moment: str) -> None:
    """Return as soon as something new that is named so is in the folder."""
    end = time.monotonic() + DEADLINE
    while not any(name.startswith(moment) for name in set(os.listdir(folder)) - known):
        assert time.monotonic() < end, moment


def actions(place: Home) -> list[str]:
    with place.connect() as client:
        return [action.action for action in client.call(ListActions(limit=1000)).items]


@pytest.mark.crash
def test_sigkill_leaves_the_old_state_or_the_new_and_nothing_aside(tmp_path: Path) -> None:
    with home(tmp_path) as place:
        with place.connect() as client:
            for number in range(20):
                client.call(LogAction(action=f"old {number}", details="x" * 20_000))
            old = client.call(CreateBackup(label="old"))
            for number in range(20):
                client.call(LogAction(action=f"new {number}", details="y" * 20_000))
            new = client.call(CreateBackup(label="new"))
        states = {name: [f"old {number}" for number in range(20)] for name in (old.id, new.id)}
        states[new.id] = states[new.id] + [f"new {number}" for number in range(20)]
        present = new.id
        for number in range(ROUNDS):
            wanted = old.id if number % 2 else new.id
            thread = threading.Thread(target=go_back, args=(place, wanted))
            known = set(os.listdir(tmp_path / "backups"))
            thread.start()
            wait_for(tmp_path / "backups", known, MOMENTS[number % len(MOMENTS)])
            place.end(signal.SIGKILL)
            thread.join()
            found = actions(place)[::-1]
            assert found in (states[present], states[wanted])
            present = wanted if found == states[wanted] else present
            with place.connect() as client:
                listed = client.call(ListBackups())
                assert [item.problem for item in listed.items if item.problem] == []
                seqs = [change.seq for change in client.call(ListEvents(limit=1000)).items]
                assert seqs == sorted(set(seqs))
            names = [path.name for path in (tmp_path / "backups").iterdir()]
            assert [name for name in names if name.startswith((".partial", ".deleted"))] == []


def go_back(place: Home, backup_id: str) -> None:
    """Ask for it; the daemon is killed meanwhile."""
    with suppress(KeptError, Fault, OSError), place.connect(patience=1) as client:
        client.call(RestoreBackup(id=backup_id))
