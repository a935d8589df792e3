"""Looking at a database: in constant time at every start, all of it where there is reason to. Changes nothing, not even
what is in the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import apsw
import structlog

from ..store import checksums
from ..store.database import integrity, is_damage, open_reader
from . import wal
from .pages import Pages

log = structlog.get_logger(__name__)

_STEPS = 100_000


class Examined(NamedTuple):
    """What was seen: why the database can't be used, if so; whether its pages have checksums; whether the end of its
    log
    was lost."""

    damage: str | None
    has_checksums: bool = True
    torn: bool = False


def examine(path: Path) -> Examined:
    """A look in constant time (and a microsecond for each frame of the log): the header, the log, the schema, and
    both ends
    of every table.

    What can't be read for another reason than damage, as on a full disk, is left for the store to report.
    """
    has_checksums = checksums.reserve(path) == checksums.RESERVED
    with path.open("rb") as file:
        if not checksums.header_is_sound(file.read(checksums.PAGE), file.read(checksums.PAGE)):
            return Examined("the header is damaged")
    try:
        with _opened(path) as db:
            torn = _look_at_log(db, path)
            if torn is None:
                return Examined("the log is damaged: SQLite would forget commits that were acknowledged", has_checksums)
            _look_at_tables(db)
    except apsw.Error as fault:
        if is_damage(fault):
            return Examined(f"a page is not what was written ({type(fault).__name__})", has_checksums)
        log.warning("the check could not be made", fault=type(fault).__name__)
        return Examined(None, has_checksums)
    return Examined(None, has_checksums, torn)


def examine_pages(path: Path) -> str | None:
    """Read every page, free ones included, which SQLite never looks at; gives the damage, if any. Nobody may write
    meanwhile. Raises `OSError`."""
    pages = Pages(path)
    try:
        count = sum(1 for _ in pages.damaged())
    finally:
        pages.close()
    return f"{count} pages are not what was written" if count else None


def examine_whole(path: Path, stop: Callable[[], bool] = lambda: False) -> str | None:
    """Read every page, with its checksum, and compare the indexes with their tables; gives the damage, if any.

    `stop` is asked from time to time; where it says so, the check ends and has found nothing. Raises what apsw raises
    where the disk fails.
    """
    try:
        with _opened(path) as db:
            db.set_progress_handler(stop, _STEPS)
            found = integrity(db)
            return f"the structure is damaged ({len(found)} findings)" if found else None
    except apsw.InterruptError:
        return None
    except apsw.Error as fault:
        if is_damage(fault):
            return f"a page is not what was written ({type(fault).__name__})"
        raise


@contextmanager
def _opened(path: Path) -> Iterator[apsw.Connection]:
    with closing(open_reader(path)) as db:
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        yield db


def _look_at_log(db: apsw.Connection, path: Path) -> bool | None:
    """Whether the end of the log was lost; None where more was."""
    log_path = path.with_name(path.name + "-wal")
    extent = wal.extent(log_path)
    if extent == 0:
        return False
    db.execute("SELECT 1 FROM sqlite_schema").fetchall()
    frames, _ = db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
    if extent == frames:
        return False
    found = wal.read(log_path)
    return None if found.damaged else found.torn


def _look_at_tables(db: apsw.Connection) -> None:
    for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0").fetchall():
        for order in ("ASC", "DESC"):
            # A text that is no UTF-8 was written by somebody else, and keeps no daemon from starting: its row was read.
            with suppress(UnicodeDecodeError):
                try:
                    db.execute(f'SELECT * FROM "{name}" ORDER BY rowid {order} LIMIT 1').fetchall()
                except apsw.SQLError:
                    db.execute(f'SELECT * FROM "{name}" LIMIT 1').fetchall()  # It has no rowid.
