"""Everything into one archive, from one snapshot of the database, in a worker thread."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import apsw

from kept.wire.data import Archive
from kept.wire.errors import StorageFull

from .. import VERSION
from ..clock import to_time
from ..domain import Domain, Tell
from ..home import private
from ..store import Store, changes
from ..transfers import SPARE_BYTES, Transfers
from . import archive, tables


def export(store: Store, rooms: Sequence[Domain], at: int, tell: Tell) -> Archive:
    """Write the archive into the folder of transfers. Raises `QuotaExceeded`, `StorageFull`, OSError, and what apsw
    raises."""
    folder = store.path.parent
    if shutil.disk_usage(folder).free < SPARE_BYTES:
        raise StorageFull("the disk has no room for an archive")
    name, target = Transfers(folder).new()
    aside = target.with_suffix(".making")
    try:
        with store.snapshot() as db, open(aside, "w+b", opener=private) as file:
            writing = archive.Writing(file, to_time(at))
            rows = _tables(db, writing, rooms, tell)
            # After the snapshot: what moves out of the tables meanwhile is then in both, never in neither.
            count = sum(_file(writing, path) for path in _files(folder, rooms))
            writing.finish(VERSION, changes.last_seq(db), tables.migrations(db))
            file.flush()
            os.fsync(file.fileno())
        tell(1, 1, "making the checksum")
        digest = archive.sha256(aside)
        aside.rename(target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    return Archive(id=name, bytes=target.stat().st_size, sha256=digest, created_at=to_time(at), rows=rows, files=count)


def _tables(db: apsw.Connection, writing: archive.Writing, rooms: Iterable[Domain], tell: Tell) -> dict[str, int]:
    carried = tables.carried(db, tables.local(rooms))
    total = sum(tables.count(db, table) for table in carried)
    done = 0
    written = {}
    for table in carried:
        written[table.name] = writing.lines(table.name, _counted(tables.lines(db, table), done, total, tell))
        done += written[table.name]
    writing.lines(tables.SEQUENCES, tables.sequence_lines(db, carried))
    return written


def _counted(lines: Iterable[bytes], done: int, total: int, tell: Tell) -> Iterator[bytes]:
    for number, line in enumerate(lines):
        if not number % 1000:
            tell(done + number, total, "exporting")
        yield line


def _files(data_folder: Path, rooms: Iterable[Domain]) -> Iterator[Path]:
    for folder in sorted({folder for room in rooms for folder in room.folders}):
        for path in sorted((data_folder / folder).glob("*")):
            if path.is_file() and not path.is_symlink() and archive.FILE_NAME.fullmatch(path.name):
                yield path


def _file(writing: archive.Writing, path: Path) -> int:
    with path.open("rb") as source:
        writing.copy(archive.name_of_file(path.parent.name, path.name), source)
    return 1
