"""The copy of the live database, taken while it is in use, and what is in such a copy.

The copy is one committed state: a read transaction holds it for as long as the copying takes, so that what others
commit meanwhile neither gets into it nor makes SQLite begin it anew. Until it ends, the write-ahead log can be moved
into the database but not begun again, so it grows by what is written; past `SNAPSHOT_SECONDS` the copying rests no
more.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import apsw

from ..clock import Clock
from ..store import ages, changes, checksums, receipts
from ..store.database import open_reader
from ..store.migrations import applied
from .archive import Migrated, need_room
from .work import PIECE, Work

SNAPSHOT_SECONDS = 60.0

_STEPS = 20_000
"""Virtual machine steps between two ticks: about a millisecond's work."""

_CACHE_KIB = 2048
_SYNC_PIECES = 4
_LARGE_PIECES = 64

_NOTES = frozenset({"change", "migration", receipts.TABLE, ages.TABLE, ages.LOOK})
"""Tables whose size says nothing about how much somebody put in."""


class Restarted(Exception):
    """SQLite began the copy anew: the read transaction did not hold."""


class Facts(NamedTuple):
    """What is in a database. `tables` has -1 for a table that can't be read."""

    schema: tuple[Migrated, ...]
    last_seq: int
    tables: dict[str, int]
    rows: int


def copy(database: Path, target: Path, clock: Clock, work: Work) -> None:
    """Copy the database as it is committed now to a new file, in small steps.

    Raises what apsw raises, `OSError` or `Stopped`. The target is complete when it returns, but may not be on the disk.
    """
    began = clock.monotonic()
    descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with (
            _snapshot(database) as source,
            closing(_scratch(target, checksums.reserve(database) == checksums.RESERVED)) as copied,
            copied.backup("main", source, "main") as steps,
        ):
            _step(steps, source, descriptor, work, lambda: clock.monotonic() - began < SNAPSHOT_SECONDS)
    finally:
        # After SQLite has closed the file: closing any descriptor of it would give up SQLite's locks.
        os.close(descriptor)


def copy_alone(live: apsw.Connection, target: Path, work: Work) -> None:
    """Copy the database of a connection that has it to itself to a new file, as fast as the disk allows; on the disk
    when it returns. Raises what apsw raises, or `OSError`.

    The connection's own cache and checks are used: nobody else waits for the interpreter's lock, and a few large syncs
    hold up nobody, since nobody commits.
    """
    descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        has_checksums = live.reserve_bytes() == checksums.RESERVED
        with closing(_scratch(target, has_checksums)) as copied, copied.backup("main", live, "main") as steps:
            while not steps.done:
                steps.step(_LARGE_PIECES * PIECE // int(live.pragma("page_size")))
                os.fdatasync(descriptor)
                work.tell(steps.page_count - steps.remaining, steps.page_count, "keeping the present state")
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _snapshot(database: Path) -> Iterator[apsw.Connection]:
    with closing(open_reader(database)) as source:
        source.execute("BEGIN")
        source.execute("SELECT 1 FROM sqlite_schema").fetchall()  # It begins with the first read.
        yield source
        source.execute("COMMIT")


def _scratch(target: Path, has_checksums: bool) -> apsw.Connection:
    """A database that is thrown away if anything goes wrong, so that it needs neither a journal nor syncs.

    Pages in the log have no checksum, and get one when they are written to a file whose header reserves the room for
    it. The header is copied last, when the cache has long let go of others: so there is one from the beginning.
    """
    db = apsw.Connection(str(target))
    db.pragma("journal_mode", "OFF")
    db.pragma("synchronous", "OFF")
    db.pragma("cache_size", -_CACHE_KIB)
    if has_checksums:
        db.reserve_bytes(reserve=checksums.RESERVED)
        db.execute("CREATE TABLE header (x); DROP TABLE header")
    return db


def _step(
    steps: apsw.Backup, source: apsw.Connection, descriptor: int, work: Work, has_time: Callable[[], bool]
) -> None:
    pages = PIECE // int(source.pragma("page_size"))
    remaining = None
    number = 0
    while not steps.done:
        steps.step(pages)
        if remaining is not None and steps.remaining >= remaining > 0:
            raise Restarted
        remaining = steps.remaining
        number += 1
        if number % _SYNC_PIECES == 0:
            need_room(descriptor)
            os.fdatasync(descriptor)
        work.tell(steps.page_count - remaining, steps.page_count, "copying")
        work.tick(rests=has_time())
    os.fdatasync(descriptor)


def open_copy(database: Path, work: Work) -> apsw.Connection:
    """A copy that nobody changes, opened to be read. Long statements tick."""
    db = apsw.Connection(
        f"file:{quote(str(database))}?immutable=1", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    )
    db.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    db.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    db.pragma("cache_size", -_CACHE_KIB)
    db.pragma("temp_store", "MEMORY")
    tick_within(db, work)
    return db


def tick_within(db: apsw.Connection, work: Work) -> None:
    """Have long statements of a connection tick."""

    def ticked() -> bool:
        work.tick()
        return False

    db.set_progress_handler(ticked, _STEPS)


def file_bytes(db: apsw.Connection) -> int:
    """The size of a database without its log."""
    return int(db.pragma("page_count")) * int(db.pragma("page_size"))


def facts(db: apsw.Connection) -> Facts:
    """Count what is there. Raises what apsw raises for a schema or a log that can't be read."""
    tables: dict[str, int] = {}
    rows = 0
    listed = db.execute("SELECT name, type FROM pragma_table_list WHERE schema = 'main' ORDER BY name").fetchall()
    for name, kind in ((str(name), str(kind)) for name, kind in listed):
        if kind not in ("table", "shadow") or name.startswith("sqlite_"):
            continue
        tables[name] = found = _count(db, name)
        if kind == "table" and name not in _NOTES:
            rows += max(found, 0)
    schema = tuple(Migrated(name, digest) for name, digest in applied(db).items())
    return Facts(schema, changes.last_seq(db), tables, rows)


def _count(db: apsw.Connection, table: str) -> int:
    quoted = table.replace('"', '""')
    try:
        ((count,),) = db.execute(f'SELECT count(*) FROM "{quoted}"')
    except apsw.CorruptError:
        return -1
    return int(count)
