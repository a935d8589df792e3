"""The store: the one database, its writer, its readers. Owns connections and the tables `age`, `change`, `receipt` and
`migration`.

Refuses to know any domain's tables: those come as migrations and handlers. `Store` is its face.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import anyio
import apsw
import structlog

from kept.wire.component import Status

from ..clock import Clock
from ..config import Storage
from ..domain import SelfReport
from . import ages, changes, receipts
from .attached import Attached
from .ballast import Ballast
from .completions import Completions
from .damage import Damage
from .database import FAULTS, DamagedDatabase, UnusableDatabase, is_damage, open_reader, open_writer, snapshot
from .migrations import ChangedMigration, Migration, NewerDatabase, applied, migrate, pending
from .readers import Readers
from .upkeep import Upkeep
from .writer import Writer

log = structlog.get_logger(__name__)

OWN: tuple[tuple[str, tuple[Migration, ...]], ...] = (
    ("changes", changes.MIGRATIONS),
    ("receipts", receipts.MIGRATIONS),
    ("ages", ages.MIGRATIONS),
)
"""The store's own migrations, which come before the rooms'."""

_HEALTH: Mapping[str, tuple[Status, int]] = {
    "ok": ("operational", 100),
    "full": ("degraded", 30),
    "failed": ("down", 0),
}


class Store:
    """The open database. Make it on the loop's thread; `inline` belongs to that thread."""

    def __init__(
        self,
        path: Path,
        migrations: Sequence[tuple[str, tuple[Migration, ...]]],
        config: Storage,
        clock: Clock,
        committed: Callable[[int], None],
        vfs: str = "",
        before_migration: Callable[[Path], None] | None = None,
    ) -> None:
        """`migrations` are the rooms' sets, by name, applied first, after the store's own. Raises
        `UnusableDatabase` (`DamagedDatabase` for damage), `NewerDatabase` or `ChangedMigration`, with nothing changed.

        `before_migration` is called with the path of a database that has something in it and is about to be changed;
        what it raises ends the start, with nothing changed.
        """
        self.path = path
        self.migrations = (*OWN, *migrations)
        """Every set of migrations, in the order in which they are applied."""
        self.upkeep = Upkeep()
        """Held by work on the whole of what is kept, so that an export never runs into a deletion."""
        self.attached = Attached()
        """What rooms have in memory, and nobody else's."""
        self.completions = Completions()
        self.dead = anyio.Event()
        """Set when a thread has met what nobody foresaw: everything is refused from then on."""
        self.mistake: BaseException | None = None
        self.damage = Damage(self.completions.post)
        _migrate(path, self.migrations, config, clock, vfs, before_migration)
        self.writer = Writer(
            path, config, clock, self.completions, committed, vfs, died=self._died, damaged=self.damage.found
        )
        self.readers = Readers(
            path, config.readers, clock, self.completions, vfs, died=self._died, faulted=self.damage.heed
        )
        self.inline = open_reader(path, vfs)
        self._maintenance = open_writer(path, vfs)
        self._config = config
        self._clock = clock
        self.writer.start()
        self.readers.start()

    async def maintain(self) -> None:
        """Move the log into the database from time to time, away from the path of writes; until cancelled."""
        stats = self.writer.stats
        moved = 0
        while True:
            await anyio.sleep(self._config.checkpoint_seconds)
            commits = stats.commits
            is_due = stats.wal_frames > self._config.checkpoint_frames and commits != moved
            if is_due and stats.state == "ok" and not self.damage.detail:
                moved = commits if await self.checkpoint() else 0

    async def checkpoint(self) -> bool:
        """Move what can be moved of the log into the database; whether all of it was. A fault is logged."""
        return await anyio.to_thread.run_sync(self._checkpoint)

    @contextmanager
    def snapshot(self) -> Iterator[apsw.Connection]:
        """A connection of its own that can't write, in one read transaction, for work in a thread. Damage that it meets
        is heeded."""
        with self.damage.heeded(), snapshot(self.path) as db:
            yield db

    def report(self) -> SelfReport:
        """The component `keptd.storage`."""
        stats = self.writer.stats
        state, detail = ("failed", self.damage.detail) if self.damage.detail else (stats.state, stats.detail)
        status, health = _HEALTH[state]
        return SelfReport(
            "keptd.storage",
            status,
            health,
            {"state": state, "detail": detail},
            self._clock.now(),
            stats.since,
        )

    def close(self) -> None:
        """Finish what is queued, deliver its outcomes, close. Blocks; call on the loop's thread when no request can
        come. Of a damaged database, the log stays as it is, for the recovery."""
        self.attached.close()
        self.readers.stop()
        self._maintenance.close()
        self.inline.close()
        self.writer.stop(keep_log=bool(self.damage.detail))
        self.completions.drain()
        self.completions.close()

    def _checkpoint(self) -> bool:
        """Whether all of the log is in the database."""
        try:
            busy, frames, moved = next(self._maintenance.execute("PRAGMA wal_checkpoint(PASSIVE)"))
        except apsw.Error as fault:
            log.warning("checkpoint failed", fault=type(fault).__name__)
            return False
        return not busy and frames == moved

    def _died(self, mistake: BaseException) -> None:
        self.mistake = mistake
        self.dead.set()


def _migrate(
    path: Path,
    sets: Sequence[tuple[str, tuple[Migration, ...]]],
    config: Storage,
    clock: Clock,
    vfs: str,
    before: Callable[[Path], None] | None,
) -> None:
    try:
        db = _open_first(path, config, vfs)
        try:
            if before is not None and pending(db, sets) and applied(db):
                before(path)
            for name in migrate(db, sets, clock.now()):
                log.info("migrated", migration=name)
        except (NewerDatabase, ChangedMigration):
            # Refused is untouched: what a crash left in the log stays there.
            db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            raise
        finally:
            db.close()
    except FAULTS as fault:
        if is_damage(fault):
            raise DamagedDatabase(f"{path} is damaged ({type(fault).__name__})") from None
        room = os.statvfs(path.parent)
        raise UnusableDatabase(
            f"{path} can't be used ({type(fault).__name__}: {fault}); "
            f"its disk has {room.f_bavail * room.f_frsize} bytes left"
        ) from None


def _open_first(path: Path, config: Storage, vfs: str) -> apsw.Connection:
    """Even reads need some room, for the memory that connections share. On a full disk the ballast gives it."""
    try:
        return open_writer(path, vfs)
    except (apsw.FullError, apsw.IOError, apsw.CantOpenError):
        Ballast(path, config.ballast_bytes).release_all()
        return open_writer(path, vfs)
