"""The copy of a database that is written to while it is copied."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from keptd.backups import copy as copying
from keptd.backups.archive import steady
from keptd.backups.copy import Restarted, copy
from keptd.backups.work import PIECE, Stopped, Work
from tests.rooms import FakeClock

from .shelf import Shelf, notes, shelf


class Interrupted(Work):
    """Between any two steps somebody else commits."""

    def __init__(self, shelf: Shelf) -> None:
        super().__init__(shelf.clock)
        self.shelf = shelf
        self.ticks = 0

    def tick(self, *, rests: bool = True) -> None:
        self.ticks += 1
        self.shelf.write(1, "x" * 5000)
        if self.ticks % 7 == 0:
            self.shelf.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        super().tick(rests=rests)


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "PIECE", 2 * 4096)


@pytest.mark.usefixtures("small_steps")
def test_what_is_committed_during_the_copy_is_not_in_it_and_does_not_begin_it_anew(tmp_path: Path) -> None:
    with shelf(tmp_path, 200) as work:
        work.write(50, "y" * 4000)
        busy = Interrupted(work)
        copy(work.path, tmp_path / "copy.db", work.clock, busy)
        assert busy.ticks > 20
        assert notes(tmp_path / "copy.db") == list(range(1, 251))
        assert len(notes(work.path)) == 250 + busy.ticks


@pytest.mark.usefixtures("small_steps")
def test_a_copy_that_is_begun_anew_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is without the read transaction: each commit of somebody else throws it back."""
    execute = apsw.Connection.execute

    class Careless(apsw.Connection):
        def execute(self, statements: str, *rest: object) -> apsw.Cursor:  # type: ignore[override]
            return execute(self, "SELECT 1" if statements in ("BEGIN", "COMMIT") else statements)

    with shelf(tmp_path, 200) as work:
        work.write(50, "y" * 4000)
        monkeypatch.setattr(copying, "open_reader", lambda path: Careless(str(path)))
        with pytest.raises(Restarted):
            copy(work.path, tmp_path / "copy.db", work.clock, Interrupted(work))


@pytest.mark.usefixtures("small_steps")
def test_after_the_copy_the_log_can_be_begun_anew(tmp_path: Path) -> None:
    with shelf(tmp_path, 50) as work:
        busy = Interrupted(work)
        copy(work.path, tmp_path / "copy.db", work.clock, busy)
        ((refused, _, _),) = work.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert not refused
        assert work.path.with_name("kept.db-wal").stat().st_size == 0


def test_a_target_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("somebody's")
    with shelf(tmp_path) as work, pytest.raises(FileExistsError):
        copy(work.path, tmp_path / "copy.db", work.clock, Work(work.clock))
    with pytest.raises(FileExistsError), steady(tmp_path / "copy.db"):
        pass
    assert (tmp_path / "copy.db").read_text() == "somebody's"


class Slow(FakeClock):
    """Every question takes a while."""

    def monotonic(self) -> float:
        self.seconds += 0.001
        return self.seconds


def test_work_rests_by_its_share_and_not_when_it_has_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    work = Work(Slow(), share=0.25)
    monkeypatch.setattr(work._stop, "wait", rests.append)
    work.tick()
    work.tick()
    assert rests == pytest.approx([0.003, 0.003])
    work.tick(rests=False)
    assert len(rests) == 2


def test_work_tells_how_far_it_is_a_few_times_a_second() -> None:
    told: list[tuple[int, int, str]] = []
    clock = FakeClock()

    def tell(done: int, total: int, text: str) -> None:
        told.append((done, total, text))

    work = Work(clock, tell)
    for number in range(100):
        work.tell(number, 100, "copying")
        clock.advance(0.01)
    assert len(told) in (4, 5)
    assert told[0] == (0, 100, "copying")
    work.stop()
    with pytest.raises(Stopped):
        work.tick()


def test_pages_that_are_only_in_the_log_yet_have_checksums_in_the_copy(tmp_path: Path) -> None:
    """More of them than the copy's cache holds."""
    with shelf(tmp_path, 0) as work:
        work.write(2000, "z" * 3000)
        assert (tmp_path / "kept.db-wal").stat().st_size > 2 * PIECE
        made = work.verified()
    assert made.problem is None
    assert made.manifest is not None
    assert made.manifest.rows == 2000
