"""Newest first: the two ways in which the journal's tables are read, each served by an index at any size.

The index is named in each statement: with the statistics that maintenance gathers, SQLite would prefer one that fits
less and reads more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import apsw

from ..clock import to_micros

Row = tuple[Any, ...]

END = 2**63 - 1
"""Above every sequence: before it lies the whole table."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the journal and what is read of it: `columns` starts with `seq`."""

    name: str
    columns: str

    def by(self, *columns: str) -> str:
        """The table in a FROM, read through its index by `columns`; without any, by `seq` itself."""
        if not columns:
            return f"{self.name} NOT INDEXED"
        return f"{self.name} INDEXED BY {self.name}_by_{'_and_'.join(columns)}"

    @property
    def latest(self) -> str:
        """The expression for the `latest_at` of a row that is added at `:at`."""
        return f"max(:at, coalesce((SELECT max(latest_at) FROM {self.name}), :at))"


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list is narrowed to. A table without a status column must get none."""

    project: str | None = None
    status: str | None = None
    since: datetime | None = None


def newest(db: apsw.Connection, table: Table, narrow: Filter, before: int, limit: int) -> Iterator[Row]:
    """Up to `limit` rows, newest first, from below the sequence `before`."""
    sql, bindings = newest_query(table, narrow, before, limit)
    return iter(db.execute(sql, bindings))


def newest_query(table: Table, narrow: Filter, before: int, limit: int) -> tuple[str, dict[str, Any]]:
    """The statement of `newest` and its bindings.

    "Since" starts at the first row by which the clock had reached that time; behind it, only rows that were made while
    the clock was set back can be older.
    """
    equal = {"project": narrow.project, "status": narrow.status}
    columns = [column for column, wanted in equal.items() if wanted is not None]
    where = ["seq < :before", *(f"{column} = :{column}" for column in columns)]
    if narrow.since is not None:
        first = f"SELECT seq FROM {table.by('time')} WHERE latest_at >= :since ORDER BY latest_at, seq LIMIT 1"
        where.append(f"seq >= ({first}) AND created_at >= :since")
    since = to_micros(narrow.since) if narrow.since is not None else None
    return (
        f"SELECT {table.columns} FROM {table.by(*columns)} WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT :limit",
        {**equal, "since": since, "before": before, "limit": limit},
    )


def at_hand(db: apsw.Connection, table: Table, project: str | None, status: str | None, limit: int) -> Iterator[Row]:
    """Up to `limit` rows of the project and of none, newest first: what concerns somebody who works in that project."""
    sql, bindings = at_hand_query(table, project, status, limit)
    return iter(db.execute(sql, bindings))


def count_at_hand(db: apsw.Connection, table: Table, project: str | None, status: str | None, limit: int) -> int:
    """How many rows `at_hand` could give, counted up to `limit`."""
    sql, bindings = count_query(table, project, status, limit)
    [(count,)] = db.execute(sql, bindings)
    return int(count)


def count_query(table: Table, project: str | None, status: str | None, limit: int) -> tuple[str, dict[str, Any]]:
    """The statement of `count_at_hand` and its bindings. It reads no column of a row, so the index is enough."""
    halves, bindings = _at_hand(table, "1", project, status, limit)
    return f"SELECT count(*) FROM ({halves} LIMIT :limit)", bindings


def at_hand_query(table: Table, project: str | None, status: str | None, limit: int) -> tuple[str, dict[str, Any]]:
    """The statement of `at_hand` and its bindings.

    SQLite merges the two halves, so that neither is sorted or read further than the limit (an OR would be sorted).
    """
    halves, bindings = _at_hand(table, table.columns, project, status, limit)
    return f"{halves} ORDER BY seq DESC LIMIT :limit", bindings


def _at_hand(
    table: Table, columns: str, project: str | None, status: str | None, limit: int
) -> tuple[str, dict[str, Any]]:
    source = table.by("project") if status is None else table.by("project", "status")
    condition = " AND status = :status" if status is not None else ""
    halves = (
        f"SELECT {columns} FROM {source} WHERE project = :project{condition} "
        f"UNION ALL SELECT {columns} FROM {source} WHERE project IS NULL{condition}"
    )
    return halves, {"project": project, "status": status, "limit": limit}
