"""The state that going back replaces: first kept as it is, in the writer's exclusive step, and made into a backup after
it, while writes go on.

Compressing and counting take many times as long as copying, and every write waits for the step. So all that is done
within it is a copy of the pages, on the disk before anything is replaced. It has the name of the backup that it
becomes, and a note (`present.json`) which says that it is not one yet: until that note is gone the backup is listed
with this as its problem. A crash, or a caller that gives up, leaves the copy; the next start or the next backup makes
it whole.

A read snapshot held over the step would cost nothing in it, but a crash would lose what is only in the snapshot.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import apsw
import msgspec
import structlog
from msgspec import Struct

from kept.wire.backup import Kind
from kept.wire.errors import KeptError, StorageFailed

from .. import VERSION
from ..clock import Clock, to_time
from ..domain import Domain
from ..home import sync_folder, write_whole
from ..store.damage import Damage
from .archive import ARCHIVE, FORMAT, MANIFEST, BesideFile, Manifest, need_room, pack, write_manifest
from .beside import FOLDER, Original, gather
from .copy import copy_alone, facts, file_bytes, open_copy
from .place import UNFINISHED, Found, Place, look, storage_faults
from .work import Work

log = structlog.get_logger(__name__)

_PLAIN = "kept.db"


class Note(Struct, frozen=True, kw_only=True):
    """What the manifest will say that the copy doesn't. `files` are those that were put beside it within the step; None
    where they are gathered with the rest."""

    kind: Kind
    label: str | None
    created_at: int
    files: tuple[BesideFile, ...] | None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Note).decode


def new_id(now: int) -> str:
    """The name of a backup that is made now (microseconds since 1970): its time, and random digits."""
    return f"{to_time(now):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def keep(
    place: Place, live: apsw.Connection, original: Original, label: str, clock: Clock, work: Work, *, with_files: bool
) -> str:
    """Copy the database of `live`, which nobody writes to meanwhile, and give the id of the backup to come: the copy is
    on the disk when this returns.

    `with_files` says that the files beside the database are about to be replaced too: then they are gathered now. Else
    they only grow, and what moves out of the tables meanwhile is in both. Raises `StorageFull` or `StorageFailed`, with
    nothing left behind, and what apsw raises where the database can't be read.
    """
    now = clock.now()
    backup_id = new_id(now)
    with storage_faults("the copy of the present state"), place.aside(backup_id) as aside:
        need_room(aside, file_bytes(live))
        with original.damage.heeded():
            copy_alone(live, aside / _PLAIN, work)
        files = gather(original, aside, place.listed(), work) if with_files else None
        note = Note(kind="before_restore", label=label, created_at=now, files=files)
        write_whole(aside / UNFINISHED, _encode(note))
        place.settle(aside, backup_id)
    log.info("present state kept", backup=backup_id)
    return backup_id


def finish(place: Place, backup_id: str, original: Original, work: Work) -> Found:
    """Make a kept state into a backup; the caller works in `place` alone. One that was begun is begun anew.

    Raises `NotFound`, `StorageFull` or `StorageFailed`, with the copy still there, or `Stopped`.
    """
    folder = place.find(backup_id).folder
    with storage_faults("the backup"):
        if (folder / _PLAIN).exists():
            try:
                note = _decode((folder / UNFINISHED).read_bytes())
            except msgspec.DecodeError:
                raise StorageFailed(f"the note {UNFINISHED} of the backup {backup_id} is damaged") from None
            _pack(place, backup_id, note, original, work)
            sync_folder(folder)
            (folder / _PLAIN).unlink()
            sync_folder(folder)
        (folder / UNFINISHED).unlink(missing_ok=True)
        sync_folder(folder)
    log.info("backup made", backup=backup_id, kind="before_restore")
    return look(folder)


def finish_all(place: Place, original: Original, work: Work) -> None:
    """The same for every one that was left. Raises what `finish` raises."""
    for backup_id in place.unfinished():
        finish(place, backup_id, original, work)


def finish_left(place: Place, database: Path, rooms: Sequence[Domain], clock: Clock) -> None:
    """The same at a start, which goes on where the disk doesn't allow it: the copy waits for the next try."""
    if not place.unfinished():
        return
    try:
        with place.alone():
            finish_all(place, Original(database, rooms, Damage(lambda _noticed: None)), Work(clock))
    except KeptError as refusal:
        log.warning("a state that was replaced is not a backup yet", backups=place.unfinished(), reason=refusal.message)


def _pack(place: Place, backup_id: str, note: Note, original: Original, work: Work) -> None:
    folder = place.folder / backup_id
    for name in (ARCHIVE, MANIFEST):
        (folder / name).unlink(missing_ok=True)
    work.tell(0, 0, "counting rows")
    with closing(open_copy(folder / _PLAIN, work)) as db:
        found = facts(db)
    packed = pack(folder / _PLAIN, folder, work)
    files = note.files
    if files is None:
        shutil.rmtree(folder / FOLDER, ignore_errors=True)
        files = gather(original, folder, place.listed(), work)
    manifest = Manifest(
        format=FORMAT,
        kept=VERSION,
        id=backup_id,
        kind=note.kind,
        label=note.label,
        created_at=note.created_at,
        **found._asdict(),
        **packed._asdict(),
        files=files,
    )
    write_manifest(folder, manifest)
