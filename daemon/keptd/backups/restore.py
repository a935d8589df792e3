"""Going back to a backup: the check before anything is replaced, the copy that is made ready aside, and the one step.

The step runs on the writer's connection, which then has the database to itself. It keeps the present state (see
`present`: a copy of the pages, which becomes a backup after the step, since every write waits for it), and copies the
prepared file into the live database with SQLite's backup API: in WAL mode that is one commit of the log, so that
readers go on with the old state until they look again and then see the new one, and a crash leaves one of the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import apsw

from kept.wire import Actor
from kept.wire.backup import RestoreBackup
from kept.wire.errors import Conflict

from ..clock import Clock
from ..domain import Domain
from ..store.database import integrity, is_damage, open_writer
from ..store.migrations import ChangedMigration, NewerDatabase, Sets, migrate, pending
from ..store.replacing import Replacing
from ..store.succession import succeed
from ..store.writer import Written
from .archive import BadBackup, Manifest, need_room, unpack
from .beside import check_files
from .copy import facts, file_bytes, open_copy
from .place import storage_faults
from .work import Work


def check(folder: Path, manifest: Manifest, sets: Sets, database: Path, work: Work) -> None:
    """Restore a backup to the new file `database` and look at all of it, its files as well.

    Raises `BadBackup` where it is damaged or newer than this kept, and `OSError` or `Stopped`.
    """
    if problem := unknown(manifest, sets):
        raise BadBackup(problem)
    check_files(folder, manifest, work)
    check_database(folder, manifest, sets, database, work)


def check_database(folder: Path, manifest: Manifest, sets: Sets, database: Path, work: Work) -> None:
    """The same for its database alone, which may be good where a file beside it is not."""
    if problem := unknown(manifest, sets):
        raise BadBackup(problem)
    need_room(database.parent, manifest.database_bytes)
    unpack(folder, manifest, database, work)
    work.tell(0, 0, "checking")
    try:
        with closing(open_copy(database, work)) as db:
            _examine(db, manifest, sets, work)
    except apsw.Error as fault:
        if not (isinstance(fault, apsw.SQLError) or is_damage(fault)):
            raise
        raise BadBackup(f"the database in it is damaged ({type(fault).__name__})") from None
    except (NewerDatabase, ChangedMigration) as refusal:
        raise BadBackup(str(refusal)) from None


def unknown(manifest: Manifest, sets: Sets) -> str | None:
    """What is newer in it than this kept, as a sentence."""
    known = {f"{room}/{step.name}" for room, steps in sets for step in steps}
    newer = sorted({step.name for step in manifest.schema} - known)
    if not newer:
        return None
    return f"it was made by a newer kept: it has {', '.join(newer)}, which this version does not know"


def _examine(db: apsw.Connection, manifest: Manifest, sets: Sets, work: Work) -> None:
    if findings := integrity(db, work.tell):
        raise BadBackup(f"the database in it is damaged: {len(findings)} findings of the integrity check")
    work.tell(0, 0, "checking")
    if db.execute("PRAGMA foreign_key_check").fetchone():
        raise BadBackup("the database in it has rows that refer to rows which are not there")
    found = facts(db)
    if found != (manifest.schema, manifest.last_seq, manifest.tables, manifest.rows):
        raise BadBackup("the database in it has not the rows that the manifest counts")
    pending(db, sets)


def prepare(database: Path, sets: Sets, now: int) -> apsw.Connection:
    """Open a checked copy aside and bring its schema up to date. Raises what apsw raises."""
    db = open_writer(database)
    try:
        migrate(db, sets, now)
    except BaseException:
        db.close()
        raise
    return db


class Replacement:
    """The one step. `run` is for the writer, alone; it may be run again after it failed."""

    def __init__(
        self,
        backup_id: str,
        prepared: apsw.Connection,
        keep_present: Callable[[apsw.Connection], str],
        files: Replacing | None,
        rooms: Sequence[Domain],
        clock: Clock,
        actor: Actor,
    ) -> None:
        self._backup_id = backup_id
        self._prepared = prepared
        self._keep_present = keep_present
        self._files = files
        self._rooms = rooms
        self._clock = clock
        self._actor = actor
        self.undo: str | None = None
        """The id of the backup that the present state becomes, once it is kept."""
        self.seq = 0

    def run(self, live: apsw.Connection) -> Written:
        """Keep what is there, and put the prepared copy in its place.

        Raises `KeptError` with nothing replaced, and what apsw raises where the live database's disk fails.
        """
        _agree(live, self._prepared)
        if self.undo is None:
            self.undo = self._keep_present(live)
        with storage_faults("the restore"):
            if not self.seq:
                log = (self._clock.now(), self._actor, RestoreBackup.method)
                self.seq = succeed(live, self._prepared, self._rooms, log, self._backup_id)
            need_room(Path(live.filename), file_bytes(self._prepared))
            if self._files is not None:
                self._files.swap()
        with live.backup("main", self._prepared, "main") as steps:
            while not steps.done:
                steps.step()
        return Written(b"", self.seq)


def _agree(live: apsw.Connection, prepared: apsw.Connection) -> None:
    """Pages are copied as they are, which takes pages of the same form."""
    for db_form in ("page_size", "encoding"):
        if live.pragma(db_form) != prepared.pragma(db_form):
            raise Conflict(
                f"the backup's {db_form} is {prepared.pragma(db_form)}, the database's {live.pragma(db_form)}"
            )
    if live.reserve_bytes() != prepared.reserve_bytes():
        raise Conflict("the backup's pages reserve another number of bytes than the database's")
