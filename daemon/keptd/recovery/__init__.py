"""Recovery at start: how the last run ended, whether the database is sound, and what is done where it isn't.

The promise is that no wrong answer is ever served, and that nothing that can still be read is lost.

- *Every start* looks at the header, the log, the schema and both ends of every table: constant time, whatever the size.
- *After an unclean end* all of the database is read and compared, *beside serving* where its pages have checksums. A
  power cut is how WSL2 always stops, so that waiting for the check would make every start there take as long as the
  database is large; and it would guard against little: a commit is whole or absent by the log's own checksums, which
  are looked at before serving, and each page is compared with its checksum whenever it is read, also during the
  check. What the check adds is damage that nobody has read yet. A database without checksums is checked *before*
  serving, as nothing else guards it.
- *Damage met while serving* ends the run: the request that met it is refused, nothing new is taken on, what is in
  flight is answered, and the process exits with `DAMAGED`, so that systemd or the next client starts it anew. It
  could recover in place, but connections hold pages that they read before, and a start from a checked file is the one
  path that is tested for everything else. That start checks all of the database before it serves, and recovers where
  that finds anything; where it doesn't, the fault was not on the disk.
- *A damaged database* goes to quarantine, and a new one is put together from what can be read of it and of the newest
  good backup (`recover`, `rebuild`).

Owns the folders `quarantine` and `recovery` and the file `running` in the data folder. Refuses to delete or to write to
anything of a damaged database, to trust a page whose checksum is wrong, and to start empty without saying so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import structlog

from kept.paths import DAMAGED
from kept.wire import Actor

from ..clock import Clock
from ..config import Storage
from ..domain import Domain
from ..store.ballast import Ballast
from .check import examine, examine_pages, examine_whole
from .marker import Ending, Marker
from .recover import Backup, Backups, Recovery, Sets, no_backups
from .report import Report, summed_up

log = structlog.get_logger(__name__)


class Start(NamedTuple):
    """What a start has found and done. `is_checked` is whether all of the database was read."""

    ending: Ending
    is_checked: bool
    recovered: Report | None
    torn: bool
    """The last commit in the log was not whole, and is not there."""


def at_start(
    database: Path,
    sets: Sets,
    domains: Sequence[Domain],
    config: Storage,
    clock: Clock,
    actor: Actor,
    backups: Backups = no_backups,
) -> Start:
    """Look at the database, and recover it where it is damaged. Before anything else opens it; blocks.

    `sets` are all migrations, the store's own first. Raises `UnusableDatabase` or `NewerDatabase`, with nothing
    touched, and `OSError`.
    """
    recovery = Recovery(database, sets, domains, clock, actor, backups)
    ending = Marker(database.parent).ending()
    if finished := recovery.finish():
        return Start(ending, True, finished, False)
    damage, is_checked, torn = _damage(database, ending)
    if damage is None:
        return Start(ending, is_checked, None, torn)
    Ballast(database, config.ballast_bytes).release_all()
    return Start(ending, True, recovery.run(damage), False)


def _damage(database: Path, ending: Ending) -> tuple[str | None, bool, bool]:
    """The damage, whether all was looked at, and whether the log's end was lost."""
    if not database.exists() or not database.stat().st_size:
        there_was_one = ending != "clean" or _is_left(database)
        return ("the database file is missing" if there_was_one else None), True, False
    seen = examine(database)
    if seen.torn:
        log.warning("the last commit was not whole", ending=ending)
    whole = ending == "damaged" or (ending == "unclean" and not seen.has_checksums)
    damage = seen.damage or (examine_whole(database) if whole else None)
    if damage is None and ending == "damaged":
        damage = examine_pages(database)
    return damage, whole or ending == "clean", seen.torn


def _is_left(database: Path) -> bool:
    """Whether something says that there has been a database: its log, or a backup."""
    wal = database.with_name(database.name + "-wal")
    backups = database.with_name("backups")
    return (wal.exists() and wal.stat().st_size > 0) or any(
        not name.name.startswith(".") for name in (backups.iterdir() if backups.is_dir() else ())
    )


__all__ = [
    "DAMAGED",
    "Backup",
    "Backups",
    "Ending",
    "Marker",
    "Report",
    "Start",
    "at_start",
    "examine_whole",
    "no_backups",
    "summed_up",
]
