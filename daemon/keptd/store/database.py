"""Connections: how the one database is opened, for the writer and for readers.

Every page of a new database ends in a checksum (see `checksums`), so that a flipped bit is an error of the read that
meets it and never a wrong row. A database that was made without goes on without.

Refuses a network or Windows file system implicitly (WAL needs shared memory: the journal mode is checked, not
assumed), an SQLite without FTS5, and to write to a database with checksums where they can't be kept. Knows no table.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from ..domain import Tell, to_nobody
from ..home import sync_folder
from . import checksums, okapi

WAL_FRAMES_LIMIT = 10_000
"""Frames after which the writer itself checkpoints between two batches: the safety net behind the maintenance task."""

FAULTS = (
    apsw.FullError,
    apsw.IOError,
    apsw.CorruptError,
    apsw.CantOpenError,
    apsw.NotADBError,
    apsw.ReadOnlyError,
    apsw.NoMemError,
    apsw.BusyError,
    apsw.InterruptError,
)
"""What the storage raises. Any other apsw error is a mistake in a statement of ours."""

_DAMAGE = (apsw.SQLITE_IOERR_DATA, apsw.SQLITE_IOERR_CORRUPTFS)
_FINDINGS = 20
"""How many findings the check is asked for."""
_TICK_STEPS = 1000
"""Steps of SQLite between two ticks: a page of a tree, or a few rows, in each."""
_CACHE_KIB = 16 * 1024
BUSY_MS = 5000
_JOURNAL_BYTES = 64 * 1024 * 1024


class UnusableDatabase(Exception):
    """The database can't be opened in the way that kept's promises need."""


def open_writer(path: Path, vfs: str = "") -> apsw.Connection:
    """The read-write connection: WAL, `synchronous=FULL`, no automatic checkpoint (a failing one would raise from a
    COMMIT that is durable). The names of the database and of its log are on the disk when it returns.

    Raises `UnusableDatabase`, or what apsw raises where the disk fails.
    """
    db = apsw.Connection(str(path), vfs=_vfs_for(path, vfs))
    db.set_busy_timeout(BUSY_MS)
    if db.pragma("page_count") == 0:
        # Only for a new one: on any other this is a write, which a full disk or a newer database must not see. The
        # reserve comes first; once there is anything else, it has no effect.
        if vfs or checksums.available():
            db.reserve_bytes(reserve=checksums.RESERVED)
        db.pragma("auto_vacuum", "INCREMENTAL")
    mode = db.pragma("journal_mode", "wal")
    if mode != "wal":
        db.close()
        raise UnusableDatabase(
            f"{path}: journal mode is {mode!r}, not WAL; keep the database on a local Linux file system"
        )
    db.pragma("synchronous", "FULL")
    db.wal_autocheckpoint(0)
    _tune(db)
    _sync_names(path.parent)
    _refuse_zeros(db, path)
    return db


def open_reader(path: Path, vfs: str = "") -> apsw.Connection:
    """A connection that can't write. The database must exist."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=_vfs_for(path, vfs, reads=True))
    db.set_busy_timeout(BUSY_MS)
    _tune(db)
    db.pragma("query_only", True)
    return db


class DamagedDatabase(UnusableDatabase):
    """The database was found damaged when it was opened: the next start recovers it."""


def integrity(db: apsw.Connection, tell: Tell = to_nobody) -> list[str]:
    """What SQLite's check finds in all pages, text indexes included; none where all is well. Its words name tables and
    pages, never a value. Raises what apsw raises, also for a page whose checksum is wrong.

    It first follows every tree, which reads each page once: `tell` takes how many of how many. Then it looks each row
    up in its indexes, and text indexes through; how often it comes back to a page for that nobody knows before, so
    that only the pages that were read again are told.
    """
    pages = int(db.pragma("page_count")) - int(db.pragma("freelist_count"))
    before, _ = db.status(apsw.SQLITE_DBSTATUS_CACHE_MISS)

    def tick() -> None:
        read = db.status(apsw.SQLITE_DBSTATUS_CACHE_MISS)[0] - before
        if read < pages:
            tell(read, pages, "reading every page")
        else:
            tell(read - pages, 0, "comparing rows with indexes")

    tell(0, pages, "reading every page")
    with ticking(db, tick):
        found = [str(row[0]) for row in db.execute(f"PRAGMA integrity_check({_FINDINGS})")]
    return [] if found == ["ok"] else found


@contextmanager
def ticking(db: apsw.Connection, tick: Callable[[], None]) -> Iterator[None]:
    """Call `tick` often while statements of a connection run, in the same thread. What it raises ends the statement."""

    def ticked() -> bool:
        tick()
        return False

    db.set_progress_handler(ticked, _TICK_STEPS, id=ticked)
    try:
        yield
    finally:
        db.set_progress_handler(None, id=ticked)


@contextmanager
def snapshot(path: Path) -> Iterator[apsw.Connection]:
    """A connection of its own that can't write, in one read transaction, for work in a thread. It sees the state of its
    first read."""
    db = open_reader(path)
    try:
        db.execute("BEGIN")
        yield db
    finally:
        db.close(True)


def is_damage(fault: apsw.Error) -> bool:
    """Whether a fault says that what was read is not what was written, rather than that it could not be read now."""
    return isinstance(fault, (apsw.CorruptError, apsw.NotADBError)) or getattr(fault, "extendedresult", 0) in _DAMAGE


def _vfs_for(path: Path, vfs: str, *, reads: bool = False) -> str | None:
    """A file system that a caller names keeps the checksums itself."""
    if vfs:
        return vfs
    if checksums.available():
        return checksums.READING if reads else checksums.VFS
    if checksums.reserve(path) == checksums.RESERVED:
        raise UnusableDatabase(
            f"{path} has a checksum on every page, and this installation of apsw can't keep them (no cksumvfs in it). "
            "Install apsw from its wheel on PyPI."
        )
    return None


def _refuse_zeros(db: apsw.Connection, path: Path) -> None:
    """Have a row whose text has a NUL be damage: a page of zeros in the middle of a long text passes for sound."""
    if checksums.reserve(path) == checksums.RESERVED:
        db.set_row_trace(_without_zeros)


def _without_zeros(_cursor: apsw.Cursor, row: apsw.SQLiteValues) -> apsw.SQLiteValues:
    for value in row:
        if value.__class__ is str and "\0" in value:
            raise apsw.CorruptError("a text has a NUL")
    return row


def _sync_names(folder: Path) -> None:
    """SQLite does this for a log that it makes, but only once, and only the connection that made it: it stays undone
    where that sync fails, or another connection's comes first."""
    try:
        sync_folder(folder)
    except OSError as fault:
        if fault.errno != errno.EINVAL:  # Said by file systems whose folders need no sync.
            raise UnusableDatabase(f"{folder} can't be synced: {fault.strerror}") from None


def _tune(db: apsw.Connection) -> None:
    db.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
    db.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)
    db.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    db.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    db.pragma("foreign_keys", True)
    db.pragma("temp_store", "MEMORY")
    db.pragma("secure_delete", True)
    db.pragma("cache_size", -_CACHE_KIB)
    db.pragma("journal_size_limit", _JOURNAL_BYTES)
    okapi.prepare(db)
