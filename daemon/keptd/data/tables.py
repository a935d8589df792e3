"""The tables that an archive carries: which, in which order of rows, and how a row stands in a line.

A line is a JSON object with a member for each stored column. A BLOB is `{"blob": base64}`, a number that JSON has no
word for `{"real": "inf"}`; everything else is what SQLite holds. The order is that of the rowid or of the primary key,
so that the same rows give the same bytes.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import apsw
import msgspec

from ..domain import Domain
from ..store import ages, receipts

NOT_CARRIED = frozenset({"migration", receipts.TABLE, ages.LOOK})
"""The store's own tables that mean something on this machine alone."""

SEQUENCES = "sqlite_sequence"
"""Where each table's numbers go on, so that none is given twice, on another machine either."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class BadRow(ValueError):
    """A line is no row of its table. Never holds what is in it."""


class Table(NamedTuple):
    """A table: its stored columns in their order, and the order of its rows."""

    name: str
    columns: tuple[str, ...]
    order: str

    @property
    def listed(self) -> str:
        """The columns, for a statement."""
        return ", ".join(f'"{column}"' for column in self.columns)


def local(rooms: Iterable[Domain]) -> frozenset[str]:
    """The tables that stay on this machine."""
    return NOT_CARRIED.union(*(room.local_tables for room in rooms))


def carried(db: apsw.Connection, stays: Collection[str]) -> list[Table]:
    """The tables that an archive carries, by name; what is made from them (full-text indexes) is not among them."""
    names = [
        str(name)
        for (name,) in db.execute(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' "
            "AND name NOT GLOB 'sqlite_*' ORDER BY name"
        )
    ]
    return [_table(db, name) for name in names if name not in stays]


def _table(db: apsw.Connection, name: str) -> Table:
    columns = [
        (str(column), int(key))
        for column, key in db.execute(
            "SELECT name, pk FROM pragma_table_xinfo(?) WHERE hidden = 0 ORDER BY cid", (name,)
        )
    ]
    [(without_rowid,)] = db.execute(
        "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?", (name,)
    ).fetchall()
    keys = [f'"{column}"' for column, place in sorted(columns, key=_place) if place]
    return Table(name, tuple(column for column, _ in columns), ", ".join(keys) if without_rowid else "rowid")


def _place(column: tuple[str, int]) -> int:
    return column[1]


def count(db: apsw.Connection, table: Table) -> int:
    """How many rows it has."""
    [(rows,)] = db.execute(f'SELECT count(*) FROM "{table.name}"')
    return int(rows)


def lines(db: apsw.Connection, table: Table) -> Iterator[bytes]:
    """Its rows, one a line, without the ends of lines."""
    for row in db.execute(f'SELECT {table.listed} FROM "{table.name}" ORDER BY {table.order}'):
        yield _encode(dict(zip(table.columns, map(_to_json, row), strict=True)))


def sequence_lines(db: apsw.Connection, tables: Iterable[Table]) -> Iterator[bytes]:
    """Where the numbers of these tables go on, one a line, by name."""
    names = {table.name for table in tables}
    for name, seq in db.execute("SELECT name, seq FROM sqlite_sequence ORDER BY name"):
        if name in names:
            yield _encode({"name": name, "seq": seq})


def load(db: apsw.Connection, table: Table, rows: Iterable[bytes]) -> int:
    """Add lines to a table that is empty; how many. Raises `BadRow`, and what apsw raises for a broken constraint."""
    marks = ", ".join("?" * len(table.columns))
    sql = f'INSERT INTO "{table.name}" ({table.listed}) VALUES ({marks})'
    added = 0
    for line in rows:
        db.execute(sql, _values(table, line))
        added += 1
    return added


def sequences(rows: Iterable[bytes], tables: Iterable[Table]) -> dict[str, int]:
    """What `sequence_lines` gave. Raises `BadRow`."""
    names = {table.name for table in tables}
    found = {}
    for line in rows:
        name, seq = _values(Table(SEQUENCES, ("name", "seq"), ""), line)
        if name not in names or not isinstance(seq, int) or isinstance(seq, bool) or seq < 0:
            raise BadRow("a sequence belongs to no table")
        found[str(name)] = seq
    return found


def go_on(db: apsw.Connection, numbers: Mapping[str, int]) -> None:
    """Let the numbers of each table go on behind what it had and behind what is given."""
    for table, seq in numbers.items():
        db.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", (seq, table))
        if not db.changes():
            db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, seq))


def migrations(db: apsw.Connection) -> list[tuple[str, str]]:
    """The names and digests of the migrations that made the tables, in their order."""
    return [
        (str(name), str(digest)) for name, digest in db.execute("SELECT name, digest FROM migration ORDER BY rowid")
    ]


def numbers(db: apsw.Connection, schema: str, carried: Iterable[Table]) -> dict[str, int]:
    """Where the numbers of these tables have come to, in an attached database."""
    names = {table.name for table in carried}
    found = db.execute(f"SELECT name, seq FROM {schema}.sqlite_sequence")
    return {str(name): int(seq) for name, seq in found if name in names}


def has_broken_references(db: apsw.Connection) -> bool:
    """Whether some row refers to one that isn't there."""
    return db.execute("PRAGMA foreign_key_check").fetchone() is not None


def clear(db: apsw.Connection, table: Table) -> None:
    """Delete all of its rows."""
    db.execute(f'DELETE FROM main."{table.name}"')


def copy(db: apsw.Connection, table: Table, schema: str) -> None:
    """Add all rows of the table of that name in an attached database."""
    db.execute(
        f'INSERT INTO main."{table.name}" ({table.listed}) '
        f'SELECT {table.listed} FROM {schema}."{table.name}" ORDER BY {table.order}'
    )


def forget_statistics(db: apsw.Connection) -> None:
    """The planner's samples hold values of indexed columns."""
    for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE name GLOB 'sqlite_stat?'").fetchall():
        db.execute(f"DELETE FROM {name}")


def _values(table: Table, line: bytes) -> tuple[Any, ...]:
    try:
        row = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRow(f"{table.name} has a line that is no JSON object") from None
    if row.keys() != set(table.columns):
        raise BadRow(f"{table.name} has a line with other columns")
    return tuple(_from_json(table, row[column]) for column in table.columns)


def _to_json(value: apsw.SQLiteValue) -> Any:
    if isinstance(value, bytes):
        return {"blob": base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"real": repr(value)}
    return value


def _from_json(table: Table, value: Any) -> apsw.SQLiteValue:
    if value is None or isinstance(value, (str, float)):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        return value
    try:
        match value:
            case {"blob": str(text)} if len(value) == 1:
                return base64.b64decode(text, validate=True)
            case {"real": "inf" | "-inf" as text} if len(value) == 1:
                return float(text)
    except ValueError:
        pass
    raise BadRow(f"{table.name} has a value that no column can hold")
