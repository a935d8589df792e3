"""Recovery: a new database is put together beside the damaged one, checked, and takes its place in one step.

The step is prepared in a folder that gets its name when everything in it is on the disk; from then on the rest is
renames, which the next start finishes if this one can't. The damaged files go to quarantine by rename: nothing of
them is deleted or written to, and where anything is in the way, nothing is touched at all.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import apsw
import structlog

from kept.paths import QUARANTINE, REPORTS
from kept.wire import Actor
from kept.wire.event import DATABASE

from ..clock import Clock, to_time
from ..domain import Domain
from ..home import make_private, sync_folder
from ..store import checksums, search
from ..store.changes import RECOVERY, ChangeLog, last_seq
from ..store.database import FAULTS, UnusableDatabase, open_writer
from ..store.migrations import Migration, NewerDatabase, migrate
from . import rebuild
from .pages import Pages
from .rebuild import Tally
from .report import FORM, Report, encoded, read, report
from .tables import Found, Tables, nothing

log = structlog.get_logger(__name__)

_READY, _PARTIAL, _REPORT = ".ready-", ".partial-", "report.json"
_FIRST_ROOT = 3
"""Where the table of migrations begins, which is the first table of any database: after the header and the pointer
map."""
_SPARE_BYTES = 16 * 1024 * 1024

Sets = Sequence[tuple[str, tuple[Migration, ...]]]


class Backup(NamedTuple):
    """A backup that was checked: a plain database file, which the recovery may change and deletes."""

    id: str
    path: Path


Backups = Callable[[Path], Iterable[Backup]]
"""The good backups, newest first, each unpacked into the folder given, and checked, as it is asked for."""


def no_backups(_folder: Path) -> Iterable[Backup]:
    """None."""
    return ()


class Recovery:
    """Of one database. The methods block, and raise `UnusableDatabase` with nothing touched."""

    def __init__(
        self, database: Path, sets: Sets, domains: Sequence[Domain], clock: Clock, actor: Actor, backups: Backups
    ) -> None:
        """`sets` are all migrations, the store's own first."""
        self._database = database
        self._sets = sets
        self._domains = domains
        self._clock = clock
        self._actor = actor
        self._backups = backups
        self._reports = database.with_name(REPORTS)

    def finish(self) -> Report | None:
        """Finish what a start before this one has prepared, if it has."""
        for ready in sorted(self._reports.glob(f"{_READY}*")):
            try:
                return self._settle(ready)
            except OSError as fault:
                raise UnusableDatabase(f"a recovery can't be finished ({fault.strerror}); start again") from None
        return None

    def run(self, reason: str) -> Report:
        """Put the database together again. Raises `NewerDatabase` where a newer kept has written it."""
        at = to_time(self._clock.now())
        log.error("recovering", reason=reason)
        try:
            make_private(self._reports)
            for left in self._reports.glob(f"{_PARTIAL}*"):
                shutil.rmtree(left)
            self._need_room()
            partial = self._reports / f"{_PARTIAL}{at.strftime(FORM)}"
            partial.mkdir(mode=0o700)
            try:
                return self._settle(self._prepare(partial, at, reason))
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        except (OSError, *FAULTS) as fault:
            raise UnusableDatabase(
                f"{self._database} is damaged ({reason}) and can't be recovered now: {type(fault).__name__}: {fault}. "
                "Nothing was deleted. Free some disk space, or see to the disk, and start again."
            ) from None

    def _need_room(self) -> None:
        wanted = _SPARE_BYTES + sum(2 * path.stat().st_size for path in self._files() if path.exists())
        room = os.statvfs(self._reports)
        if room.f_bavail * room.f_frsize < wanted:
            raise UnusableDatabase(
                f"{self._database} is damaged, and its disk has no room to recover it: free {wanted} bytes and start "
                "again. Nothing was touched."
            )

    def _files(self) -> list[Path]:
        return [self._database.with_name(self._database.name + end) for end in ("", "-wal", "-shm")]

    def _prepare(self, partial: Path, at: datetime, reason: str) -> Path:
        """Everything that the last step needs, in a folder that says so by its name."""
        quarantine = self._database.with_name(QUARANTINE) / at.strftime(FORM)
        pages = Pages(self._database)
        try:
            target = partial / self._database.name
            with closing(_scratch(target)) as db:
                with TemporaryDirectory(dir=partial) as aside:
                    backup_id, tally = self._rebuild(db, Tables(pages), Path(aside))
                found = report(at, reason, str(quarantine), backup_id, tally)
                with db:
                    changes = ChangeLog(db, self._clock.now(), self._actor, RECOVERY)
                    changes.add(DATABASE, at.strftime(FORM), found.lost)
                if db.pragma("integrity_check") != "ok":
                    raise UnusableDatabase(
                        f"{self._database} is damaged, and could not be put together. Nothing was touched. "
                        "Copy the whole folder to a safe place before anything else is tried."
                    )
        finally:
            pages.close()
        (partial / _REPORT).write_bytes(encoded(found))
        for path in (target, partial / _REPORT):
            _sync(path)
        sync_folder(partial)
        ready = self._reports / f"{_READY}{at.strftime(FORM)}"
        partial.rename(ready)
        sync_folder(self._reports)
        return ready

    def _settle(self, ready: Path) -> Report:
        """Rename the damaged files away and the new ones into place. May be done again, from wherever it was."""
        found = read(ready / _REPORT)
        rebuilt = ready / self._database.name
        if rebuilt.exists():
            quarantine = Path(found.quarantine)
            make_private(quarantine.parent)
            quarantine.mkdir(mode=0o700, exist_ok=True)
            for path in self._files():
                if path.exists():
                    path.rename(quarantine / path.name)
            sync_folder(quarantine)
            sync_folder(quarantine.parent)
            rebuilt.rename(self._database)
            sync_folder(self._database.parent)
        (ready / _REPORT).rename(self._reports / f"{found.stamp}.json")
        ready.rmdir()
        sync_folder(self._reports)
        log.error(
            "recovered",
            reason=found.reason,
            quarantine=found.quarantine,
            backup=found.backup_id,
            salvaged=sum(found.salvaged.values()),
            restored=sum(found.restored.values()),
            missing=len(found.missing),
        )
        return found

    def _rebuild(self, db: apsw.Connection, damaged: Tables, aside: Path) -> tuple[str | None, Tally]:
        roots, has_gaps = damaged.roots()

        usual = {rebuild.MIGRATIONS: _FIRST_ROOT} if has_gaps else {}

        def look(name: str) -> Found:
            if name in roots:
                return damaged.read(roots[name])
            return damaged.guess(usual[name]) if name in usual else nothing()

        applied = {str(row.values[0]): row.values[2] for row in look(rebuild.MIGRATIONS).rows if len(row.values) == 3}
        known = self._known(applied.keys())
        migrate(db, known, self._clock.now())
        if has_gaps:
            # Pages are given out in order, so that the same steps lead to the same roots.
            with closing(_scratch(aside / "usual.db")) as fresh:
                migrate(fresh, known, 0)
                tables = fresh.execute("SELECT name, rootpage FROM sqlite_schema WHERE type = 'table'")
                usual = {str(name): int(root) for name, root in tables}
        tally = Tally()
        found = {table.name: look(table.name) for table in self._tables(db)}
        with db:
            for table in self._tables(db):
                rebuild.salvage(db, table, found[table.name], tally)
            sequences = look(rebuild.SEQUENCES)
            numbers = {str(row.values[0]): row.values[1] for row in sequences.rows if isinstance(row.values[1], int)}
            rebuild.go_on(db, numbers, is_whole=not sequences.holes)
        migrate(db, self._sets, self._clock.now())
        with db:
            backup_id = self._fill(db, found, tally, aside)
            for name, at in applied.items():
                db.execute("UPDATE migration SET at = ? WHERE name = ?", (at, name))
            for domain in self._domains:
                domain.derive(db)
                for index in domain.indexes:
                    search.remake(db, index)
        return backup_id, tally

    def _fill(self, db: apsw.Connection, found: dict[str, Found], tally: Tally, aside: Path) -> str | None:
        """Fill the holes from the newest backup that the database grew out of, and account for the rest."""
        changes = found[rebuild.CHANGES].holes if rebuild.CHANGES in found else [*nothing().holes]
        moving = frozenset[str]().union(*(domain.moving for domain in self._domains))
        broken = [name for name, one in found.items() if one.holes]
        changed = rebuild.changed_since(db, 0, self._domains, changes)
        used = None
        for backup in self._backups(aside) if broken else ():
            with closing(open_writer(backup.path)) as source:
                migrate(source, self._sets, self._clock.now())
                if rebuild.is_ancestor(db, source, changes):
                    used = backup.id
                    changed = rebuild.changed_since(db, last_seq(source), self._domains, changes)
                    for table in self._tables(db):
                        if table.name in broken:
                            one = found[table.name]
                            rebuild.fill(db, source, table, one, changed, tally, moves=table.name in moving)
                    _take_numbers(db, source)
                    break
        rebuild.account(db, {name: found[name].holes for name in broken}, changed, tally)
        return used

    def _tables(self, db: apsw.Connection) -> list[rebuild.Table]:
        derived = frozenset[str]().union(*(domain.derived for domain in self._domains))
        return [table for table in rebuild.plain_tables(db) if table.name not in derived]

    def _known(self, applied: Iterable[str]) -> Sets:
        """The migrations that the damaged database has, in the order in which it got them; all, where that can't be
        read. Raises `NewerDatabase`."""
        names = list(applied)
        known = {f"{room}/{step.name}": (room, (step,)) for room, steps in self._sets for step in steps}
        if newer := sorted(set(names) - known.keys()):
            raise NewerDatabase(
                f"the database has {', '.join(newer)}, which this version does not know: it was written by a newer "
                "kept; install that version or a later one. It is damaged as well; nothing was touched."
            )
        return [known[name] for name in names] if names else self._sets


def _take_numbers(db: apsw.Connection, source: apsw.Connection) -> None:
    numbers = {str(name): int(seq) for name, seq in source.execute("SELECT name, seq FROM sqlite_sequence")}
    rebuild.go_on(db, numbers, is_whole=True)


def _scratch(path: Path) -> apsw.Connection:
    """A new database that is thrown away if anything goes wrong, so that it needs neither a journal nor syncs."""
    db = apsw.Connection(str(path), vfs=checksums.VFS if checksums.available() else None)
    if checksums.available():
        db.reserve_bytes(reserve=checksums.RESERVED)
    db.pragma("auto_vacuum", "INCREMENTAL")
    db.pragma("journal_mode", "OFF")
    db.pragma("synchronous", "OFF")
    return db


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
