"""The power goes off at every write and every sync of a workload, and what is found afterwards holds the promise."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from random import Random

import apsw
import pytest

from kept.wire.errors import StorageFailed
from keptd.store.writer import Written
from tests.faulty_vfs import SURVIVALS, Disk, Step, Survival, after_cut, restore

from .desk import Desk, check, put, refuse


class Acknowledgements:
    """The names that were acknowledged, each with the number of steps that the disk had done by then."""

    def __init__(self, work: Desk, disk: Disk) -> None:
        self._at: list[tuple[int, str]] = []

        def hear(name: str, outcome: object) -> None:
            if isinstance(outcome, Written):
                self._at.append((len(disk.steps), name))

        work.heard = hear

    def by(self, cut: int) -> list[str]:
        return [name for steps, name in self._at if steps <= cut]


def workload(work: Desk) -> None:
    """Batches of one and of several, refusals, a value of several pages, a log that is emptied and written again."""
    work.write("single")
    for batch in range(3):
        names = [f"batch-{batch}-{number}" for number in range(4)]
        for name in names:
            work.submit(name, put(name))
        work.submit("refused", refuse("refused"))
        work.settle(*names)
        work.write(f"large-{batch}", put(f"large-{batch}", "x" * 10_000))
        if batch == 1:
            checkpoint(work)
    work.write("last")


def checkpoint(work: Desk) -> None:
    db = apsw.Connection(str(work.path), vfs=work.vfs)
    db.pragma("synchronous", "FULL")
    with suppress(apsw.IOError):  # It is where a fault may strike, like any other place.
        db.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
    db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    db.close()


def record(folder: Path, disk: Disk) -> tuple[list[Step], Acknowledgements]:
    work = Desk(folder, vfs=disk.name)
    acknowledged = Acknowledgements(work, disk)
    work.start()
    workload(work)
    work.close()
    return disk.steps, acknowledged


def cut(
    steps: list[Step], acknowledged: Acknowledgements, cuts: Iterable[int], survival: Survival, folder: Path
) -> None:
    for place in cuts:
        restored = folder / "restored"
        restore(after_cut(steps[:place], survival, Random(place)), restored)
        check(restored / "kept.db", acknowledged.by(place))
        shutil.rmtree(restored)


@pytest.mark.parametrize("survival", SURVIVALS)
def test_a_power_cut_loses_no_acknowledged_write_and_doubles_none(
    tmp_path: Path, disk: Disk, survival: Survival
) -> None:
    steps, acknowledged = record(tmp_path, disk)
    assert len(acknowledged.by(len(steps))) == 17
    cut(steps, acknowledged, range(len(steps) + 1), survival, tmp_path)


@pytest.mark.parametrize("survival", ["dropped", "shuffled"])
@pytest.mark.parametrize("at", range(1, 12))
def test_a_power_cut_after_a_sync_that_failed_loses_no_acknowledged_write(
    tmp_path: Path, disk: Disk, at: int, survival: Survival
) -> None:
    """What a failed sync was to write is gone from the kernel's memory of what is unwritten: the next sync does not
    bring it to the disk, and what is acknowledged later must not build on it."""
    work = Desk(tmp_path, vfs=disk.name)
    acknowledged = Acknowledgements(work, disk)
    work.start()
    disk.fail("sync", apsw.IOError, at=at)
    failed_at = len(disk.steps)
    workload(work)
    unknown = [name for name, outcome in work.outcomes.items() if isinstance(outcome, StorageFailed)]
    for name in unknown:
        work.write_until_taken(name)
    work.close()
    steps = disk.steps
    assert any(step.kind == "lost" for step in steps)
    syncs = [place for place in range(failed_at, len(steps)) if steps[place].kind in {"sync", "lost"}]
    cut(steps, acknowledged, [*syncs, *(place + 1 for place in syncs), len(steps)], survival, tmp_path)
