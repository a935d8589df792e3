"""Making a backup: copy, count, compress, name. And the check that says whether it would come back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import apsw
import structlog

from kept.wire.backup import Kind
from kept.wire.errors import KeptError, StorageFailed

from .. import VERSION
from ..clock import Clock
from ..domain import Domain
from ..store import changes
from ..store.damage import Damage
from ..store.database import DamagedDatabase, UnusableDatabase, integrity, is_damage, open_reader
from ..store.migrations import Sets, applied
from .archive import FORMAT, BadBackup, Manifest, need_room, pack, write_manifest
from .beside import Original, gather
from .copy import copy, facts, file_bytes, open_copy, tick_within
from .place import Attempt, Found, Place, look, storage_faults
from .present import finish_all, finish_left, new_id
from .restore import check
from .retention import Kept, thin
from .work import Work

log = structlog.get_logger(__name__)

SHARE = 0.5
"""The part of the time in which a backup works beside others; for the rest it leaves the machine to them."""

_PROBLEM_LENGTH = 300


class Wanted(NamedTuple):
    """Which backup is to be made, and of what."""

    original: Original
    kind: Kind
    label: str | None = None


def make(place: Place, wanted: Wanted, clock: Clock, work: Work) -> Found:
    """Make a backup of the database as it is committed now. The caller works in `place` alone.

    Raises `StorageFull` or `StorageFailed`, with nothing left behind, or `Stopped`.
    """
    now = clock.now()
    backup_id = new_id(now)
    with storage_faults("the backup"), place.aside(backup_id) as aside:
        plain = aside / "kept.db"
        with _reading(wanted):
            with closing(open_reader(wanted.original.database)) as live:
                need_room(aside, file_bytes(live))
            copy(wanted.original.database, plain, clock, work)
        work.tell(0, 0, "counting rows")
        with closing(open_copy(plain, work)) as db:
            found = facts(db)
        packed = pack(plain, aside, work)
        plain.unlink()
        # After the snapshot: what moves out of the tables meanwhile is then in both, never in neither.
        files = gather(wanted.original, aside, place.listed(), work)
        manifest = Manifest(
            format=FORMAT,
            kept=VERSION,
            id=backup_id,
            kind=wanted.kind,
            label=wanted.label,
            created_at=now,
            **found._asdict(),
            **packed._asdict(),
            files=files,
        )
        write_manifest(aside, manifest)
        settled = place.settle(aside, backup_id)
    log.info("backup made", backup=backup_id, kind=wanted.kind, bytes=packed.archive_bytes, rows=found.rows)
    return look(settled)


def make_and_verify(place: Place, wanted: Wanted, sets: Sets, clock: Clock, work: Work) -> Found:
    """Make a backup and check it, alone in `place`; what comes of it is the last attempt.

    Raises `Conflict`, `StorageFull`, `StorageFailed` (also for a backup that was made and found bad: it stays, with its
    problem) or `Stopped`.
    """
    with place.alone(), _attempt(place, clock):
        finish_all(place, wanted.original, work)
        made = verify(place, make(place, wanted, clock, work).id, sets, clock, work)
        if made.problem:
            _look_at_database(wanted, work)
            raise StorageFailed(
                f"the backup was made, but it would not come back: {made.problem}",
                hint="The database or the disk is damaged. `kept maintenance check` says more.",
            )
    return made


def _look_at_database(wanted: Wanted, work: Work) -> None:
    """Whether the database itself is what a backup of it is bad for: one without checksums is copied as it is."""
    with storage_faults("the check"), _reading(wanted), closing(open_reader(wanted.original.database)) as db:
        tick_within(db, work)
        if findings := integrity(db, work.tell):
            wanted.original.damage.found(f"the structure is damaged ({len(findings)} findings)")


@contextmanager
def _reading(wanted: Wanted) -> Iterator[None]:
    """Read the database: damage that is met is heeded, and said in words of its own."""
    try:
        with wanted.original.damage.heeded():
            yield
    except apsw.Error as fault:
        if not is_damage(fault):
            raise
        raise StorageFailed(
            f"the database is damaged, so that no backup was made of it ({type(fault).__name__})",
            hint="The daemon ends, and its next start recovers the database: `kept status` then says what was lost.",
        ) from None


def verify(place: Place, backup_id: str, sets: Sets, clock: Clock, work: Work) -> Found:
    """Restore a backup aside, check the whole of it, and record what came of that. The caller works in `place` alone.

    Raises `NotFound`, `StorageFull`, `StorageFailed` or `Stopped`; a bad backup is no error but has a `problem`.
    """
    found = place.find(backup_id)
    if found.manifest is None:
        return found
    with storage_faults("the check"):
        with place.aside(f"check-{backup_id}") as aside:
            try:
                check(found.folder, found.manifest, sets, aside / "kept.db", work)
                problem = None
            except BadBackup as bad:
                problem = str(bad)
                log.warning("backup is bad", backup=backup_id, problem=problem)
        place.record_check(backup_id, Attempt(clock.now(), problem))
    return look(found.folder)


def before_migration(place: Place, rooms: Sequence[Domain], sets: Sets, clock: Clock, database: Path) -> None:
    """Keep a database that is about to be migrated. Raises `UnusableDatabase` where that can't be done, and
    `DamagedDatabase` where it is for damage: then nothing is migrated. A start that is tried again finds the backup of
    the first try.
    """
    damage = Damage(lambda _noticed: None)
    with closing(open_reader(database)) as db:
        present = (applied(db), changes.last_seq(db))
    for found in place.listed():
        if found.manifest and found.manifest.kind == "before_migration" and found.is_verified:
            schema = {step.name: step.digest for step in found.manifest.schema}
            if (schema, found.manifest.last_seq) == present:
                return
    try:
        make_and_verify(place, Wanted(Original(database, rooms, damage), "before_migration"), sets, clock, Work(clock))
    except KeptError as fault:
        kind = DamagedDatabase if damage.detail else UnusableDatabase
        raise kind(
            f"{database} has to be changed for this version, and is backed up before: {fault.message}. "
            "Nothing was changed."
        ) from None


def clear(place: Place, clock: Clock, database: Path, rooms: Sequence[Domain]) -> None:
    """At start: remove what a crash left, have a backup that it cut off count as the last attempt, which failed, and
    make a backup of a state that a restore had replaced. Raises `OSError` or `UnusableHome`."""
    for backup_id in place.clear():
        log.warning("backup cut off", backup=backup_id)
        place.record_attempt(
            Attempt(clock.now(), f"the daemon ended before the backup {backup_id} was made and checked")
        )
    finish_left(place, database, rooms, clock)


def thin_out(place: Place, clock: Clock) -> list[str]:
    """Delete the backups that are no longer kept; returns their ids. Raises `Conflict` where somebody is at work, and
    `StorageFailed`."""
    with place.alone(), storage_faults("the thinning of backups"):
        known = [
            Kept(found.id, found.created_at, found.manifest.kind == "automatic", found.is_verified, found.manifest.rows)
            for found in place.listed()
            if found.manifest is not None
        ]
        leaving = thin(known, clock.now())
        for backup_id in leaving:
            place.delete(backup_id)
    if leaving:
        log.info("backups thinned out", backups=leaving)
    return leaving


@contextmanager
def _attempt(place: Place, clock: Clock) -> Iterator[None]:
    """Record whether the block ended well. `Stopped` is neither."""
    try:
        yield
    except KeptError as fault:
        with storage_faults("the record of the last backup"):
            place.record_attempt(Attempt(clock.now(), fault.message[:_PROBLEM_LENGTH]))
        raise
    with storage_faults("the record of the last backup"):
        place.record_attempt(Attempt(clock.now(), None))
