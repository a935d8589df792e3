"""The check of the whole database says how far it is in pages, from the first to the last."""

from __future__ import annotations

from contextlib import closing
from itertools import pairwise
from pathlib import Path

import apsw
import pytest

from keptd.domain import to_nobody
from keptd.store.database import integrity, open_reader, open_writer

READING = "reading every page"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Some 12,000 pages, of which a sixth is free."""
    path = tmp_path / "kept.db"
    with closing(open_writer(path)) as db, db:
        db.execute("CREATE TABLE note (seq INTEGER PRIMARY KEY, at INTEGER, text TEXT NOT NULL)")
        db.execute("CREATE INDEX note_by_at ON note (at)")
        text = "x" * 3000
        db.executemany("INSERT INTO note (at, text) VALUES (?, ?)", ((n * 7919 % 10007, text) for n in range(12000)))
        db.execute("DELETE FROM note WHERE seq > 10000")
    return path


def test_every_page_that_holds_something_is_told_evenly_and_then_those_that_are_read_again(database: Path) -> None:
    told: list[tuple[int, int, str]] = []
    with closing(open_reader(database)) as db:
        pages = int(db.pragma("page_count")) - int(db.pragma("freelist_count"))
        assert integrity(db, lambda *one: told.append(one)) == []
    reading = [done for done, _, text in told if text == READING]
    assert {total for _, total, text in told if text == READING} == {pages}
    assert reading[0] == 0
    assert reading[-1] >= pages * 0.7
    assert max(after - before for before, after in pairwise(reading)) <= 1100
    again = [one for one in told if one[2] != READING]
    assert {total for _, total, _ in again} == {0}
    assert told == [*(one for one in told if one[2] == READING), *again], "the parts follow each other"


def test_a_check_can_be_ended_by_whoever_is_told(database: Path) -> None:
    def enough(done: int, _total: int, _text: str) -> None:
        if done:
            raise InterruptedError

    with closing(open_reader(database)) as db:
        with pytest.raises(InterruptedError):
            integrity(db, enough)
        assert db.execute("SELECT count(*) FROM note").get == 10000
        assert integrity(db, to_nobody) == []


def test_nobody_is_called_after_the_check(database: Path) -> None:
    calls: list[object] = []
    with closing(open_reader(database)) as db:
        integrity(db, lambda *one: calls.append(one))
        before = len(calls)
        db.execute("SELECT sum(length(text)) FROM note").fetchall()
    assert isinstance(db, apsw.Connection)
    assert len(calls) == before
