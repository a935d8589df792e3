"""Putting a database together again: the rows that a damaged one still has, and from a backup those that it lost.

The damaged database is the newest truth wherever it can be read, deletions included: a row that is not where it would
have to be was deleted, and does not come back. A backup only fills the holes: rows whose place could not be read,
unless the change log says that they were deleted after the backup was made. In a table whose rows move when they
change, a row that was changed after the backup and is nowhere to be found comes back as the backup has it.

A backup of another line of time (made before everything was deleted, or before another backup was restored) fills
nothing. Tables without rowids and text indexes are left to the rooms, which make them anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import apsw

from ..domain import Domain
from .records import Row, Value
from .tables import HIGHEST, LOWEST, Found, Hole

CHANGES = "change"
SEQUENCES = "sqlite_sequence"
MIGRATIONS = "migration"

SEQUENCE_LEAP = 10_000
"""How far the numbers of changes go on where it is not known which was the last: none is given twice."""

_ANCESTORS = 100


@dataclass(slots=True)
class Tally:
    """What came of it, by table: rows of the damaged database, rows of the backup, and what is not as it was.

    `lost` and `older` are entities by the change log, each with its type and its label; `doubtful` are the tables of
    which more may be missing than the change log can say.
    """

    salvaged: dict[str, int] = field(default_factory=dict)
    restored: dict[str, int] = field(default_factory=dict)
    lost: list[tuple[str, str]] = field(default_factory=list)
    older: list[tuple[str, str]] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)


class Table(NamedTuple):
    """A table's columns as they are stored, and the one that is the rowid, if one is."""

    name: str
    stored: tuple[tuple[str, bool], ...]
    """Names, and whether the value is generated from others."""
    alias: str | None


class Changed(NamedTuple):
    """What the change log says of the time after the backup: the last method of each entity."""

    since: int
    """The backup's last change; 0 without a backup."""
    last: Mapping[str, str]
    endings: frozenset[str]
    is_whole: bool

    def ended(self, entity_id: object) -> bool:
        """Whether the entity was deleted."""
        return self.last.get(str(entity_id), "") in self.endings


def plain_tables(db: apsw.Connection) -> list[Table]:
    """The tables whose rows are salvaged: the change log first, since the others are judged by it."""
    names = [
        str(name)
        for (name,) in db.execute(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND NOT wr "
            "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name <> ? ORDER BY name <> ?, name",
            (MIGRATIONS, CHANGES),
        )
    ]
    return [_table(db, name) for name in names]


def _table(db: apsw.Connection, name: str) -> Table:
    columns = list(db.execute("SELECT name, type, pk, hidden FROM pragma_table_xinfo(?) ORDER BY cid", (name,)))
    keys = [str(column) for column, kind, pk, _ in columns if pk and str(kind).upper() == "INTEGER"]
    alone = sum(bool(pk) for _, _, pk, _ in columns) == 1
    return Table(
        name,
        tuple((str(column), hidden == 3) for column, _, _, hidden in columns if hidden in {0, 3}),
        keys[0] if keys and alone else None,
    )


def salvage(db: apsw.Connection, table: Table, found: Found, tally: Tally) -> None:
    """Take a damaged database's rows of a table.

    A row that doesn't fit the table is another table's, on a page that was written to the wrong place: then nothing is
    known of what should be there.
    """
    count = 0
    for row in found.rows:
        try:
            taken = _insert(db, table, row)
        except (apsw.ConstraintError, apsw.MismatchError):
            taken = False
        if taken:
            count += 1
        else:
            found.holes.append((LOWEST, HIGHEST))
    tally.salvaged[table.name] = count


def is_ancestor(db: apsw.Connection, backup: apsw.Connection, holes: Sequence[Hole]) -> bool:
    """Whether the damaged database, whose change log is in `db`, grew out of the backup.

    The newest of the backup's changes that must be in the log is there, and nothing replaced all of the database since.
    """
    columns = "seq, at, actor, method, entity_id"
    newest: list[tuple[Any, ...]]
    newest = backup.execute(f"SELECT {columns} FROM change ORDER BY seq DESC LIMIT ?", (_ANCESTORS,)).fetchall()
    for row in newest:
        if not any(low <= row[0] <= high for low, high in holes):
            if db.execute(f"SELECT {columns} FROM change WHERE seq = ?", (row[0],)).fetchone() != row:
                return False
            break
    last = newest[0][0] if newest else 0
    replaced = "SELECT 1 FROM change WHERE seq > ? AND entity = 'database' AND method <> 'recovery'"
    return db.execute(replaced, (last,)).fetchone() is None


def changed_since(db: apsw.Connection, last_seq: int, domains: Sequence[Domain], holes: Sequence[Hole]) -> Changed:
    """What the change log says of the time after `last_seq`."""
    last: dict[str, str] = {}
    for entity_id, method in db.execute("SELECT entity_id, method FROM change WHERE seq > ? ORDER BY seq", (last_seq,)):
        last[str(entity_id)] = str(method)
    endings = frozenset[str]().union(*(domain.endings for domain in domains))
    return Changed(last_seq, last, endings, not any(high > last_seq for _, high in holes))


def fill(
    db: apsw.Connection,
    backup: apsw.Connection,
    table: Table,
    found: Found,
    changed: Changed,
    tally: Tally,
    *,
    moves: bool,
) -> None:
    """Take from the backup the rows that the damaged database has lost, and leave the holes that reach past it."""
    count = 0
    holes = _joined(found.holes)
    names = [name for name, _ in table.stored]
    by_id = names.index("id") if "id" in names else None
    for row, was_here in _candidates(backup, table, holes, everything=moves):
        entity = row.values[by_id] if by_id is not None else None
        if entity is not None and changed.ended(entity):
            continue
        if not was_here and not (entity in changed.last or (holes and not changed.is_whole)):
            continue  # It was where nothing is missing, and nothing says that it went elsewhere.
        if _insert(db, table, row):
            count += 1
            if entity in changed.last:
                tally.older.append((table.name, str(entity)))
    tally.restored[table.name] = count
    # Rowids grow: the backup had all the rows of a hole that ends before its own last row.
    [(last,)] = backup.execute(f'SELECT ifnull(max(rowid), ?) FROM "{table.name}"', (LOWEST,))
    found.holes = [hole for hole in holes if hole[1] > last]


def _candidates(
    backup: apsw.Connection, table: Table, holes: Sequence[Hole], *, everything: bool
) -> Iterator[tuple[Row, bool]]:
    """The backup's rows that may be missing, and whether each would be in a hole."""
    columns = ", ".join(f'"{name}"' for name, _ in table.stored)
    select = f'SELECT rowid, {columns} FROM "{table.name}"'
    if everything:
        for rowid, *values in backup.execute(select):
            yield Row(rowid, tuple(values)), any(low <= rowid <= high for low, high in holes)
        return
    for hole in holes:
        for rowid, *values in backup.execute(f"{select} WHERE rowid BETWEEN ? AND ?", hole):
            yield Row(rowid, tuple(values)), True


def _joined(holes: Sequence[Hole]) -> list[Hole]:
    """The same rowids in as few holes as can be, in order."""
    joined: list[Hole] = []
    for low, high in sorted(holes):
        if joined and low <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return joined


def account(db: apsw.Connection, broken: Mapping[str, Sequence[Hole]], changed: Changed, tally: Tally) -> None:
    """Say what is missing, of the tables that had holes: by the change log where it names the rows, else by the holes
    that are left."""
    for name, holes in broken.items():
        entities = _entities(db, name)
        if holes if entities is None else not changed.is_whole:
            tally.doubtful.append(name)
        if entities is None:
            continue
        labels: dict[str, str] = {}
        for entity_id, label, method in db.execute(
            "SELECT entity_id, label, method FROM change WHERE entity = ? AND seq > ? ORDER BY seq",
            (name, changed.since),
        ):
            labels[str(entity_id)] = str(label)
            if method in changed.endings:
                del labels[str(entity_id)]
        tally.lost += [(name, label) for entity_id, label in labels.items() if entity_id not in entities]
        older = {entity_id for table, entity_id in tally.older if table == name}
        tally.older = [one for one in tally.older if one[0] != name]
        tally.older += [(name, labels.get(entity_id, "")) for entity_id in sorted(older)]


def _entities(db: apsw.Connection, name: str) -> set[str] | None:
    """The ids in a table, where the change log speaks of its rows."""
    if not db.execute("SELECT 1 FROM change WHERE entity = ? LIMIT 1", (name,)).fetchone():
        return None
    if not db.execute("SELECT 1 FROM pragma_table_info(?) WHERE name = 'id'", (name,)).fetchone():
        return None
    return {str(entity_id) for (entity_id,) in db.execute(f'SELECT id FROM "{name}"')}


def go_on(db: apsw.Connection, sequences: Mapping[str, int], *, is_whole: bool) -> None:
    """Never give a number twice that was given before, as a cursor or a place in the change log."""
    for name, seq in sequences.items():
        db.execute(f"UPDATE {SEQUENCES} SET seq = max(seq, ?) WHERE name = ?", (seq, name))
        if not db.changes() and db.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (name,)).fetchone():
            db.execute(f"INSERT INTO {SEQUENCES} (name, seq) VALUES (?, ?)", (name, seq))
    if not is_whole:
        db.execute(f"UPDATE {SEQUENCES} SET seq = seq + ?", (SEQUENCE_LEAP,))


def _insert(db: apsw.Connection, table: Table, row: Row) -> bool:
    """Add a row at its place; False where another has it, or what is unique in it. Raises `ConstraintError`."""
    if len(row.values) > len(table.stored):
        return False
    given: dict[str, Value] = {} if table.alias else {"rowid": row.rowid}
    for (name, is_generated), value in zip(table.stored, row.values, strict=False):
        if not is_generated:
            given[name] = row.rowid if name == table.alias else value
    names = ", ".join(f'"{name}"' for name in given)
    marks = ", ".join("?" * len(given))
    db.execute(f'INSERT OR IGNORE INTO "{table.name}" ({names}) VALUES ({marks})', tuple(given.values()))
    return db.changes() == 1
