"""What maintenance asks of SQLite itself: sizes, integrity, statistics, merging, vacuum. It reads no room's rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, cast

import apsw

from kept.wire.maintenance import Size

from ..domain import SearchIndex

VACUUM_PAGES = 32
MERGE_PAGES = 8
"""Pages that one step of a vacuum or a merge works on: one to two milliseconds in the median, with the commit."""

_ANALYZED_ROWS = 400
"""Rows of an index that ANALYZE looks at (https://www.sqlite.org/lang_analyze.html, section 4.1)."""

FEWEST_ROWS = 1000
"""Rows from which on a table has statistics. What is true of a handful misleads when there are many: told that a table
has one row, SQLite reads all of it where it could look one up, until the next statistics."""


class Pages(NamedTuple):
    """The database file: bytes of a page, pages in all, and pages that hold nothing."""

    page_bytes: int
    pages: int
    free: int

    @property
    def bytes(self) -> int:
        """The size of the file, once the log is in it."""
        return self.page_bytes * self.pages


def pages(db: apsw.Connection) -> Pages:
    """How large the database is."""
    return Pages(int(db.pragma("page_size")), int(db.pragma("page_count")), int(db.pragma("freelist_count")))


def sizes(db: apsw.Connection) -> tuple[Size, ...]:
    """Every table and index, largest first. Reads every page."""
    tables = {str(name) for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    found = db.execute("SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE ORDER BY pgsize DESC, name").fetchall()
    return tuple(
        Size(name=str(name), bytes=cast("int", size), rows=_rows(db, str(name)) if name in tables else None)
        for name, size in found
    )


def broken_references(db: apsw.Connection) -> dict[str, int]:
    """Rows that refer to rows that aren't there, by table."""
    found: dict[str, int] = {}
    for table, *_ in db.execute("PRAGMA foreign_key_check"):
        found[str(table)] = found.get(str(table), 0) + 1
    return found


def unindexed(db: apsw.Connection, indexes: Iterable[SearchIndex]) -> dict[str, int]:
    """Rows that are in a table and not in its text index, or the other way round, by index.

    The index keeps no text, so that only its rows can be compared.
    """
    found = {}
    for index in indexes:
        docs = f"{index.name}_docsize"
        [(missing,)] = db.execute(
            f"SELECT (SELECT count(*) FROM {index.table} WHERE {index.rows} AND rowid NOT IN (SELECT id FROM {docs})) "
            f"+ (SELECT count(*) FROM {docs} WHERE id NOT IN (SELECT rowid FROM {index.table} WHERE {index.rows}))"
        )
        if missing:
            found[index.name] = int(missing)
    return found


def stale_statistics(db: apsw.Connection) -> list[str]:
    """The statements that would bring the planner's statistics up to date. None of them is run."""
    shadows = {str(name) for (name,) in db.execute("SELECT name FROM pragma_table_list WHERE type = 'shadow'")}
    _look_at_few_rows(db)
    wanted = [str(row[0]) for row in db.execute("PRAGMA optimize(-1)")]
    tables = {sql.split(".")[-1].strip('"'): sql for sql in wanted if sql.startswith("ANALYZE")}
    # SQLite asks again and again for those of a table that has none.
    return [sql for table, sql in tables.items() if table not in shadows and _has_many_rows(db, table)]


def misleading_statistics(db: apsw.Connection) -> list[str]:
    """The tables that have statistics, and too few rows for them."""
    if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'").fetchone():
        return []
    tables = [str(table) for (table,) in db.execute("SELECT DISTINCT tbl FROM sqlite_stat1")]
    return [table for table in tables if not _has_many_rows(db, table)]


def forget(db: apsw.Connection, table: str) -> None:
    """Remove the statistics of a table. Connections that have read them keep them until the next start."""
    for (statistics,) in db.execute("SELECT name FROM sqlite_schema WHERE name LIKE 'sqlite_stat_'").fetchall():
        db.execute(f"DELETE FROM {statistics} WHERE tbl = ?", (table,))


def analyze(db: apsw.Connection, sql: str) -> None:
    """Run one of `stale_statistics`."""
    _look_at_few_rows(db)
    db.execute(sql)


def text_indexes(db: apsw.Connection) -> list[str]:
    """The names of the full-text indexes."""
    rows = db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%fts5%'")
    return [str(name) for (name,) in rows]


def merge(db: apsw.Connection, index: str, *, begin: bool) -> bool:
    """One step of the merging of a text index; whether more is to do.

    The first step takes all of its segments together, so that tokens of removed rows go
    (https://www.sqlite.org/fts5.html, section 6.8).
    """
    before = db.total_changes()
    size = -MERGE_PAGES if begin else MERGE_PAGES
    db.execute(f"INSERT INTO {index} ({index}, rank) VALUES ('merge', ?)", (size,))
    return db.total_changes() - before >= 2


def vacuum(db: apsw.Connection) -> int:
    """Give up to `VACUUM_PAGES` free pages back to the disk; how many are left."""
    db.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()
    return int(db.pragma("freelist_count"))


def _look_at_few_rows(db: apsw.Connection) -> None:
    db.execute(f"PRAGMA analysis_limit = {_ANALYZED_ROWS}").fetchall()


def _has_many_rows(db: apsw.Connection, table: str) -> bool:
    found = db.execute(f'SELECT 1 FROM "{table}" LIMIT 1 OFFSET ?', (FEWEST_ROWS - 1,)).fetchone()
    return found is not None


def _rows(db: apsw.Connection, table: str) -> int:
    [(rows,)] = db.execute(f'SELECT count(*) FROM "{table}"')
    return int(rows)
