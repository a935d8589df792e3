"""Everything away: the rows, what the database's file and log still hold of them, and the files beside it.

In the file: `secure_delete` writes zeros over what is deleted, text indexes are dropped and made anew, and the
planner's samples go. A checkpoint brings the zeros into the file and cuts the log off, VACUUM drops the empty pages.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import apsw
import msgspec

from kept.paths import QUARANTINE, REPORTS
from kept.wire import Actor
from kept.wire.errors import StorageFailed
from kept.wire.event import DATABASE

from .. import transfers
from ..domain import Domain, Tell
from ..home import overwrite
from ..store.changes import ChangeLog
from ..store.replacing import unfinished
from ..store.search import renew
from ..store.writer import Written
from . import tables

COPIES = ("backups", QUARANTINE, REPORTS)
"""Folders with copies of what was kept, which are removed only where that is asked for."""

_SCHEMA = frozenset({"migration"})
PATIENCE_SECONDS = 60.0

_encode = msgspec.json.Encoder().encode


class Wiped(msgspec.Struct, frozen=True):
    """How many rows went."""

    rows: int


class Removed(NamedTuple):
    """How many files went, and the folders that were left."""

    files: int
    left: tuple[str, ...]


def empty(db: apsw.Connection, rooms: Sequence[Domain], log: tuple[int, Actor, str]) -> Written:
    """Delete every row but those that say which version the tables have, in one transaction, on the writer's
    connection. The change log goes on with one row that tells of it."""
    db.execute("BEGIN IMMEDIATE")
    db.execute("PRAGMA defer_foreign_keys = ON")
    rows = 0
    for table in tables.carried(db, _SCHEMA):
        rows += tables.count(db, table)
        tables.clear(db, table)
    for room in rooms:
        for index in room.indexes:
            renew(db, index.name, index.create)
    tables.forget_statistics(db)
    changes = ChangeLog(db, *log)
    changes.add(DATABASE, "", "deleted")
    db.execute("COMMIT")
    return Written(_encode(Wiped(rows)), changes.last_seq)


def scrub(db: apsw.Connection) -> None:
    """Take what was deleted out of the database's file and its log, on the writer's connection, outside a transaction.

    Raises `StorageFailed` where a read goes on for so long that the log can't be cut off.
    """
    _cut_log(db)
    db.execute("VACUUM")
    _cut_log(db)


def _cut_log(db: apsw.Connection) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() or (1, 0, 0)
        if not busy:
            return
        if time.monotonic() >= end:
            raise StorageFailed(
                "everything is deleted, but the database's log still holds it, because something reads the database",
                hint="Repeat it when nothing else reads: `kept daemon status` shows the connections.",
            )


def remove_files(data_folder: Path, rooms: Iterable[Domain], tell: Tell, *, copies: bool) -> Removed:
    """Overwrite and remove the files of all rooms, of exports and imports, and, with `copies`, those in `COPIES`."""
    folders = {transfers.FOLDER, *(folder for room in rooms for folder in room.folders)}
    folders |= set(unfinished(data_folder))
    if copies:
        folders |= set(COPIES)
    files = 0
    for folder in sorted(folders):
        files += _remove(data_folder / folder, partial(_tell_of, files, tell))
    left = () if copies else tuple(folder for folder in COPIES if _has_files(data_folder / folder))
    return Removed(files, left)


def _tell_of(before: int, tell: Tell, count: int) -> None:
    tell(before + count, 0, "overwriting files")


def _remove(folder: Path, tell: Callable[[int], None]) -> int:
    count = 0
    if folder.is_symlink():
        folder.unlink()
    elif folder.is_dir():
        for parent, _, names in os.walk(folder):
            for name in names:
                overwrite(Path(parent, name))
                count += 1
                tell(count)
        shutil.rmtree(folder)
    return count


def _has_files(folder: Path) -> bool:
    return any(path.is_file() for path in folder.rglob("*"))
