"""SIGKILL while a backup is made or gone back to."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kept.faults import Fault
from kept.wire import Call
from kept.wire.backup import CreateBackup, ListBackups, RestoreBackup, VerifyBackup
from kept.wire.component import GetComponent
from kept.wire.errors import KeptError
from kept.wire.event import ListEvents
from kept.wire.job import JobHistory, RunJob
from kept.wire.journal import ListActions, LogAction
from tests.crash.homes import Home, home
from tests.faulty_vfs import DEADLINE
from tests.places import on_disk

MOMENTS = (".partial-restore", ".partial-2", "2", ".partial-check")
"""What comes into the folder, one after the other: the copy that is checked, the copy of the present state in the
making and done (then the database is replaced, and the copy made into a backup), and its check (then it has been)."""

ROUNDS = int(os.environ.get("KEPT_CRASH_ROUNDS", str(len(MOMENTS))))
"""Each moment once, unless it is to be more."""


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with on_disk() as folder:
        yield folder


def wait_for(folder: Path, known: set[str], moment: str, work: threading.Thread) -> None:
    """Return as soon as something new that is named so is in the folder, or the work is done: on a busy machine what is
    there for a moment is never seen."""
    end = time.monotonic() + DEADLINE
    while work.is_alive() and not any(name.startswith(moment) for name in set(os.listdir(folder)) - known):
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
            wait_for(tmp_path / "backups", known, MOMENTS[number % len(MOMENTS)], thread)
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
            assert list(tmp_path.glob("backups/*/present.json")) == []
        with place.connect() as client:
            for item in client.call(ListBackups()).items:
                assert client.call(VerifyBackup(id=item.id)).problem is None


@pytest.mark.crash
@pytest.mark.parametrize("moment", [".partial-2", ".partial-check"])
@pytest.mark.parametrize("by_job", [False, True])
def test_a_backup_that_sigkill_cut_off_is_cleaned_away_and_told_of(tmp_path: Path, moment: str, by_job: bool) -> None:
    with home(tmp_path) as place:
        with place.connect() as client:
            for number in range(40):
                client.call(LogAction(action=f"action {number}", details="x" * 20_000))
            good = client.call(CreateBackup(label="good"))
            assert client.call(GetComponent(name="keptd.backups")).status == "operational"
        call: Call[Any] = RunJob(name="backup.create") if by_job else CreateBackup()
        thread = threading.Thread(target=ask, args=(place, call))
        known = set(os.listdir(tmp_path / "backups"))
        thread.start()
        wait_for(tmp_path / "backups", known, moment, thread)
        place.end(signal.SIGKILL)
        thread.join()
        with place.connect() as client:
            names = os.listdir(tmp_path / "backups")
            assert [name for name in names if name.startswith((".partial", ".deleted"))] == []
            listed = client.call(ListBackups()).items
            assert [one.id for one in listed if one.verified_at] == [good.id]
            component = client.call(GetComponent(name="keptd.backups"))
            assert component.status == "down"
            assert "the daemon ended before the backup" in component.metadata["problem"]
            runs = client.call(JobHistory(name="backup.create")).items if by_job else []
            assert [(run.result, run.summary) for run in runs] == [
                ("interrupted", "the daemon ended during this run") for _ in range(by_job)
            ]
            client.call(CreateBackup())
            assert client.call(GetComponent(name="keptd.backups")).status == "operational"


def ask(place: Home, call: Call[Any]) -> None:
    """The daemon is killed meanwhile."""
    with suppress(KeptError, Fault, OSError), place.connect(patience=1) as client:
        client.call(call)


def go_back(place: Home, backup_id: str) -> None:
    """Ask for it; the daemon is killed meanwhile."""
    ask(place, RestoreBackup(id=backup_id))
