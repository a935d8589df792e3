"""How the daemon stands, in figures and in a sentence: what `daemon.status` and the service manager are told.

Refuses to look for what it tells: the supervisor gives it.
"""

from __future__ import annotations

import os

from kept.paths import Paths
from kept.wire.daemon import Storage

from . import home, recovery
from .store import Store
from .store.writer import WriterStats


def sentence(clients: int, changes: int, stats: WriterStats) -> str:
    """How many are served, what is kept, and what is wrong with the disk."""
    trouble = "" if stats.state == "ok" else f"; {stats.detail}"
    return f"serving {_counted(clients, 'client')}; {_counted(changes, 'change')} kept{trouble}"


def storage(
    paths: Paths,
    store: Store,
    found: recovery.Start,
    files: recovery.Report | None,
    last_seq: int,
    *,
    is_checked: bool,
) -> Storage:
    """The database, its log and its disk; what the start found, and put together again."""
    stats = store.writer.stats
    recovered = [report for report in (found.recovered, files) if report is not None]
    room = os.statvfs(paths.data_dir)
    return Storage(
        state=stats.state,
        detail=stats.detail,
        database_bytes=home.size_of(paths.database),
        wal_bytes=home.size_of(f"{paths.database}-wal"),
        free_bytes=room.f_bavail * room.f_frsize,
        last_seq=last_seq,
        commits=stats.commits,
        writes=stats.writes,
        largest_batch=stats.largest_batch,
        queued=store.writer.queued(),
        ending=found.ending,
        is_checked=is_checked,
        recovered=recovery.summed_up(recovered),
    )


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
