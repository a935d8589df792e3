"""Going back to a backup in the running daemon: check, prepare, one exclusive step of the writer, and then the way
back, which is made into a backup and checked. Everybody else is served meanwhile, but for the step itself, during which
writes wait.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import apsw
import structlog

from kept.paths import QUARANTINE
from kept.wire import Actor
from kept.wire.errors import Conflict, KeptError, StorageFailed

from ..clock import Clock
from ..domain import Domain, Tell
from ..store import Store, changes
from ..store.background import read, write_alone
from ..store.replacing import Replacing, took_effect
from .archive import BadBackup, Manifest
from .beside import FOLDER, Original, bring_back, is_on_line, lay
from .create import SHARE, verify
from .place import Found, Place, storage_faults
from .present import finish, keep
from .restore import Replacement, check, prepare
from .work import Work, on_thread

log = structlog.get_logger(__name__)


class Swapped(NamedTuple):
    """What was gone back to, the backup of what was there before, and the change's place in the log."""

    backup: Found
    undo: Found
    seq: int


async def go_back(
    store: Store,
    rooms: Sequence[Domain],
    clock: Clock,
    actor: Actor,
    tell: Tell,
    backup_id: str,
    replaced: Callable[[], Coroutine[Any, Any, None]],
) -> Swapped:
    """Restore a backup, and wait for `replaced`, which brings up to date what is made from the database.

    Raises `NotFound`, `Conflict` for a bad backup or where somebody else is at work, `StorageFull` and `StorageFailed`:
    with nothing replaced.
    """
    place = Place.of(store)
    with place.alone():
        found = place.find(backup_id)
        with storage_faults("the restore"), place.aside(f"restore-{backup_id}") as aside:
            database = aside / "kept.db"
            await on_thread(
                store.completions, work := Work(clock, tell), lambda: _checked(store, found, database, work)
            )
            with closing(await anyio.to_thread.run_sync(prepare, database, store.migrations, clock.now())) as prepared:
                files = await _files(store, rooms, found, clock)
                original = Original.of(store, rooms)

                def keep_present(live: apsw.Connection) -> str:
                    with_files, work = files is not None, Work(clock, tell)
                    return keep(place, live, original, f"before {backup_id}", clock, work, with_files=with_files)

                step = Replacement(backup_id, prepared, keep_present, files, rooms, clock, actor)
                # What is in the log need not be moved, or read from there, while writes wait.
                await store.checkpoint()
                try:
                    await write_alone(store, clock, step.run)
                except KeptError as refusal:
                    if step.undo is not None and not isinstance(refusal, StorageFailed):
                        # Nothing was replaced, so that there is nothing to undo.
                        place.delete(step.undo)
                    raise
                finally:
                    with anyio.CancelScope(shield=True):
                        await _settle(store, files, clock)
        assert step.undo is not None
        undo = place.find(step.undo)
        log.warning("restored", backup=backup_id, undo=undo.id, seq=step.seq)
        try:
            await replaced()
            # Away from the path of writes: the log is as large as the database.
            await store.checkpoint()
            undo = await _verified(store, place, original, undo, clock, tell)
        except anyio.get_cancelled_exc_class():
            # It has happened: whoever gave up is told that at once. Nothing is awaited after this.
            log.warning("the backup from before the restore was not checked", backup=undo.id, reason="cancelled")
    return Swapped(found, undo, step.seq)


def _checked(store: Store, found: Found, database: Path, work: Work) -> None:
    if found.manifest is None:
        raise _refusal(found.problem or "it has no manifest")
    try:
        check(found.folder, found.manifest, store.migrations, database, work)
    except BadBackup as bad:
        raise _refusal(str(bad)) from None


async def _files(store: Store, rooms: Sequence[Domain], found: Found, clock: Clock) -> Replacing | None:
    """Make the files ready. On the same line of time only what is missing or damaged comes back, at once; None then.
    Else all of them change with the database."""
    manifest, data = found.manifest, store.path.parent
    if manifest is None or manifest.files is None:
        return None
    last_seq, _, on_line = (await read(store, clock, lambda db: _line(db, manifest))).partition(b" ")
    name = f"restore-{found.id}+{int(last_seq)}"
    work = Work(clock)
    if on_line:
        quarantine = data / QUARANTINE / name
        back = await on_thread(store.completions, work, lambda: bring_back(found, data, rooms, quarantine, work))
        if back:
            log.warning("files brought back", backup=found.id, files=back)
        return None
    replacing = Replacing(data, name)
    await on_thread(store.completions, work, lambda: _stage(replacing, found, rooms, work))
    return replacing


def _line(db: apsw.Connection, manifest: Manifest) -> bytes:
    return b"%d %s" % (changes.last_seq(db), b"on" if is_on_line(db, manifest) else b"")


def _stage(replacing: Replacing, found: Found, rooms: Sequence[Domain], work: Work) -> None:
    assert found.manifest is not None
    try:
        replacing.stage({folder for room in rooms for folder in room.folders})
        for file in found.manifest.files or ():
            folder, _, name = file.name.partition("/")
            lay(found.folder / FOLDER / file.name, replacing.place(folder, name), work)
    except BaseException:
        replacing.end(took_effect=False)
        raise


async def _settle(store: Store, files: Replacing | None, clock: Clock) -> None:
    """The change log tells whether it took effect. Where that can't be read, the next start does this."""
    if files is None:
        return
    try:
        told = await read(store, clock, lambda db: b"yes" if took_effect(db, files.name) else b"")
    except KeptError as refusal:
        log.warning("the files of a restore are not settled", reason=refusal.type)
        return
    await anyio.to_thread.run_sync(lambda: files.end(took_effect=bool(told)))


def _refusal(problem: str) -> Conflict:
    return Conflict(
        f"the backup can't be restored: {problem}", hint="Nothing was changed. Use another; backup.list shows them."
    )


async def _verified(store: Store, place: Place, original: Original, undo: Found, clock: Clock, tell: Tell) -> Found:
    """Make the way back a backup, and check it. That it is bad, as of a damaged database, undoes no restore."""
    work = Work(clock, tell, SHARE)

    def run() -> Found:
        finish(place, undo.id, original, work)
        return verify(place, undo.id, store.migrations, clock, work)

    try:
        return await on_thread(store.completions, work, run)
    except KeptError as fault:
        log.warning("the backup from before the restore was not checked", backup=undo.id, reason=fault.type)
        return undo
