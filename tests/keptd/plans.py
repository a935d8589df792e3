"""What SQLite means to do: the query plans that tests of every room look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import apsw


def plan(db: apsw.Connection, sql: str, bindings: Mapping[str, Any]) -> list[str]:
    """The lines of the query plan."""
    return [str(row[3]) for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", bindings)]


def growing(lines: list[str]) -> list[str]:
    """The lines of a plan whose cost grows with the table: a scan of it, or a sort."""
    return [line for line in lines if line.startswith("SCAN") or "TEMP B-TREE" in line]
