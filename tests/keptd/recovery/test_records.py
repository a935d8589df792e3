"""Rows as SQLite stores them, read without SQLite: the same as it reads, and a refusal of anything else."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keptd.recovery import records
from keptd.recovery.pages import Pages
from keptd.recovery.records import INTERIOR, LEAF, Row, Unreadable
from keptd.recovery.tables import Tables
from keptd.store.checksums import PAGE, RESERVED
from keptd.store.database import open_writer

USABLE = PAGE - RESERVED

values = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0, 1, -1, 127, 128, -129, 2**15, 2**23, 2**31, 2**47, 2**47 - 1, -(2**47) - 1]),
    st.floats(allow_nan=False),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60),
    st.binary(max_size=60),
    st.builds(lambda text, times: text * times, st.sampled_from(["é", "ab", "€"]), st.integers(1000, 9000)),
)


@settings(max_examples=25, deadline=None)
@given(rows=st.lists(st.tuples(values, values), min_size=1, max_size=12), rowids=st.randoms())
def test_what_sqlite_wrote_is_read_as_it_reads_it(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[object, object]], rowids: object
) -> None:
    path = tmp_path_factory.mktemp("rows") / "kept.db"
    with closing(open_writer(path)) as db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a ANY, b ANY) STRICT")
        for number, row in enumerate(rows):
            db.execute("INSERT INTO t VALUES (?, ?, ?)", (2**62 if number == 0 else number * 300, *row))
        expected = {row[0]: row[1:] for row in db.execute("SELECT id, a, b FROM t")}
        ((root,),) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 't'")
    pages = Pages(path)
    try:
        found = Tables(pages).read(int(root))
        read = {row.rowid: row.values[1:] for row in found.rows}
    finally:
        pages.close()
    assert not found.holes
    assert {key: tuple(map(repr, row)) for key, row in read.items()} == {
        key: tuple(map(repr, row)) for key, row in expected.items()
    }


@settings(deadline=None)
@given(data=st.binary(min_size=64, max_size=256), kind=st.sampled_from([LEAF, INTERIOR]), cells=st.integers(0, 2000))
def test_any_bytes_are_rows_or_refused(data: bytes, kind: int, cells: int) -> None:
    """Whatever a page holds, and wherever its pointers lead: an answer, in time."""
    page = bytearray((data * (PAGE // len(data) + 1))[:PAGE])
    page[0] = kind
    page[3:5] = cells.to_bytes(2, "big")
    for row in records.rows(bytes(page), 2, USABLE, lambda number: bytes(page) if number % 3 else None):
        assert row is None or isinstance(row, (int, Row))
    try:
        children = records.children(bytes(page), 2)
    except Unreadable:
        return
    assert len(children) == cells + 1


def test_a_chain_of_pages_that_leads_back_to_itself_is_refused() -> None:
    page = bytearray(PAGE)
    page[0], page[3:5], page[8:10] = LEAF, (1).to_bytes(2, "big"), (100).to_bytes(2, "big")
    page[100:110] = bytes([0xFF] * 8 + [0x7F, 0x05])  # A row of 2**63 bytes, with the rowid 5.
    page[100] = 0x81
    asked: list[int] = []

    def get(number: int) -> bytes:
        asked.append(number)
        return (7).to_bytes(4, "big") + bytes(PAGE - 4)

    found = list(records.rows(bytes(page), 2, USABLE, get))
    assert [row for row in found if isinstance(row, Row)] == []
    assert asked == [0, 7]


@pytest.mark.parametrize("number", [0, -1, 10_000])
def test_a_page_that_can_not_be_is_none(tmp_path: Path, number: int) -> None:
    for checksums in (True, False):
        path = tmp_path / f"{checksums}.db"
        if checksums:
            open_writer(path).close()
        with closing(apsw.Connection(str(path), vfs="unix" if not checksums else None)) as db:
            db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY) STRICT")
        pages = Pages(path)
        try:
            assert pages[number] is None
            assert pages[1] is not None
        finally:
            pages.close()
