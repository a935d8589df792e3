"""The good backups, as a recovery wants them: each restored aside and checked, newest first, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import structlog

from ..backups.archive import BadBackup
from ..backups.place import Place
from ..backups.restore import check_database
from ..backups.work import Work
from ..clock import Clock
from .recover import Backup, Backups, Sets

log = structlog.get_logger(__name__)


def from_backups(place: Place, sets: Sets, clock: Clock) -> Backups:
    """What a recovery may build on."""
    return partial(_good, place, sets, clock)


def _good(place: Place, sets: Sets, clock: Clock, folder: Path) -> Iterator[Backup]:
    for found in place.listed():
        if found.manifest is None:
            continue
        database = folder / f"{found.id}.db"
        try:
            check_database(found.folder, found.manifest, sets, database, Work(clock))
        except (BadBackup, OSError) as problem:
            log.warning("backup not usable", backup=found.id, reason=type(problem).__name__)
            database.unlink(missing_ok=True)
            continue
        yield Backup(found.id, database)
