"""An archive into the database: checked and unpacked beside it, brought to the present schema, then taken over in one
transaction.

What is unpacked is a database of its own, made by the migrations that the archive names, so that an archive of an older
version goes through the same migrations as its database would have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import apsw
import msgspec

from kept.wire import Actor
from kept.wire.errors import Conflict
from kept.wire.event import DATABASE

from ..domain import Domain, Tell
from ..home import private
from ..store import ages
from ..store.changes import ChangeLog
from ..store.database import FAULTS
from ..store.migrations import Migration, migrate
from ..store.replacing import Replacing
from ..store.search import remake
from ..store.writer import Written
from . import archive, tables
from .archive import BadArchive, Member, Reading
from .tables import BadRow

NOTES = ("change", ages.TABLE)
"""Tables that are about the rest: who has nothing else has nothing."""

Sets = Sequence[tuple[str, tuple[Migration, ...]]]

_encode = msgspec.json.Encoder().encode


class Source(NamedTuple):
    """What an import goes by: the archive, the id under which it is known, the rooms, and every migration there is."""

    path: Path
    id: str
    rooms: Sequence[Domain]
    migrations: Sets

    @property
    def aside(self) -> Path:
        """The database that the archive is unpacked into."""
        return self.path.with_name(f"{self.id}.db")


class Unpacked(NamedTuple):
    """What came out of an archive: rows by table, and how many files."""

    rows: dict[str, int]
    files: int


class TakenOver(msgspec.Struct, frozen=True):
    """What a transaction did: rows that went."""

    replaced: int


def unpack(source: Source, replacing: Replacing, now: int, tell: Tell) -> Unpacked:
    """Check the archive, and unpack it beside the database. Raises `Conflict` where it is no good, and what a disk
    raises."""
    try:
        with Reading(source.path) as reading:
            members = []
            for number, member in enumerate(reading.check()):
                tell(number, len(reading.manifest.members), "checking")
                members.append(member)
            former = _former(source.migrations, dict(reading.manifest.migrations))
            files = _stage(source, reading, members, replacing)
            with closing(_open_aside(source.aside)) as db:
                migrate(db, former, now)
                rows = _load(db, reading, members, tables.local(source.rooms), tell)
                migrate(db, source.migrations, now)
            return Unpacked(rows, files)
    except (BadArchive, BadRow, apsw.ConstraintError) as bad:
        why = "its rows don't fit together" if isinstance(bad, apsw.ConstraintError) else str(bad)
        raise Conflict(
            f"the archive can't be imported: {why}", hint="Nothing was changed. Export it again, or fetch it again."
        ) from None


def _former(known: Sets, named: Mapping[str, str]) -> list[tuple[str, tuple[Migration, ...]]]:
    """The migrations that made the archive's tables, each room's first ones."""
    former = []
    left = dict(named)
    for room, steps in known:
        of_room = [step for step in steps if left.pop(f"{room}/{step.name}", None) == step.digest]
        if of_room != list(steps[: len(of_room)]):
            raise BadArchive("it was written by another version of kept, which changed its tables in another way")
        former.append((room, tuple(of_room)))
    if left:
        raise BadArchive("it was written by a newer kept; install that version or a later one")
    return former


def _open_aside(path: Path) -> apsw.Connection:
    """Without any care for crashes: it is only a way station."""
    db = apsw.Connection(str(path))
    db.pragma("journal_mode", "off")
    db.pragma("synchronous", "off")
    db.pragma("temp_store", "memory")
    db.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    return db


def _load(
    db: apsw.Connection, reading: Reading, members: Iterable[Member], stays: frozenset[str], tell: Tell
) -> dict[str, int]:
    expected = {table.name: table for table in tables.carried(db, stays)}
    found = {name: member for member in members if (name := archive.table_of(member.name)) is not None}
    if found.keys() != {*expected, tables.SEQUENCES}:
        raise BadArchive("it has other tables than its version")
    total = sum(member.rows or 0 for member in found.values())
    done = 0
    rows = {}
    with db:
        for name, table in expected.items():
            rows[name] = tables.load(db, table, _counted(reading.lines(found[name]), done, total, tell))
            done += rows[name]
        tables.go_on(db, tables.sequences(reading.lines(found[tables.SEQUENCES]), expected.values()))
    if tables.has_broken_references(db):
        raise BadRow("its rows refer to rows that it hasn't")
    return rows


def _counted(lines: Iterable[bytes], done: int, total: int, tell: Tell) -> Iterator[bytes]:
    for number, line in enumerate(lines):
        if not number % 1000:
            tell(done + number, total, "unpacking")
        yield line


def _stage(source: Source, reading: Reading, members: Iterable[Member], replacing: Replacing) -> int:
    folders = {folder for room in source.rooms for folder in room.folders}
    replacing.stage(folders)
    count = 0
    for member in members:
        if archive.table_of(member.name) is not None:
            continue
        folder, name = archive.file_of(member.name)
        if folder not in folders:
            raise BadArchive("it holds a file that no part of kept knows")
        with open(replacing.place(folder, name), "xb", opener=private) as target:
            reading.extract(member, target)
        count += 1
    return count


def present(db: apsw.Connection, rooms: Sequence[Domain]) -> dict[str, int]:
    """How many rows there are, by table, but for `NOTES`; only tables with some."""
    counts = {table.name: tables.count(db, table) for table in tables.carried(db, tables.local(rooms))}
    return {name: rows for name, rows in counts.items() if rows and name not in NOTES}


def refuse_unless_empty(found: Mapping[str, int]) -> None:
    """Raises `Conflict`, with what there is."""
    if found:
        told = ", ".join(f"{rows} in {name}" for name, rows in sorted(found.items()))
        raise Conflict(
            f"the home is not empty ({told})",
            hint='Import into a new home (KEPT_HOME), or send on_conflict="replace": a backup is made first.',
            rows=dict(found),
        )


def take_over(db: apsw.Connection, source: Source, log: tuple[int, Actor, str], *, replace: bool) -> Written:
    """Put what was unpacked into the place of what there is, on the writer's connection, in one transaction.

    Raises `Conflict` where the home is not empty and is not to be replaced.
    """
    db.execute("ATTACH ? AS aside", (str(source.aside),))
    try:
        db.execute("BEGIN IMMEDIATE")
        try:
            written = _replace(db, source, log, replace=replace)
            db.execute("COMMIT")
        except (Conflict, *FAULTS, apsw.Error):
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
    finally:
        db.execute("DETACH aside")
    return written


def _replace(db: apsw.Connection, source: Source, log: tuple[int, Actor, str], *, replace: bool) -> Written:
    there = present(db, source.rooms)
    if not replace:
        refuse_unless_empty(there)
    db.execute("PRAGMA defer_foreign_keys = ON")
    carried = tables.carried(db, tables.local(source.rooms))
    carries = [takes(db) for room in source.rooms for takes in (room.succession, room.going_on) if takes is not None]
    for table in carried:
        tables.clear(db, table)
    for table in carried:
        tables.copy(db, table, "aside")
    for room in source.rooms:
        for index in room.indexes:
            remake(db, index)
    for carry in carries:
        carry(db)
    tables.go_on(db, tables.numbers(db, "aside", carried))
    changes = ChangeLog(db, *log)
    changes.add(DATABASE, source.id, "imported")
    return Written(_encode(TakenOver(sum(there.values()))), changes.last_seq)


def remove(source: Source) -> None:
    """Remove the way station."""
    for path in source.path.parent.glob(f"{source.id}.db*"):
        path.unlink()
