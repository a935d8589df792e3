"""The files that rooms keep beside the database (`Domain.folders`), as a backup has them: in its folder `files`, under
their names below the data folder, each with its size and its hash in the manifest.

A file that a backup before has as well is a hard link to that one's copy, so that it takes room once. It is never a
link to the file itself, nor a clone of it, which shares its blocks: what damages the one has to leave the other. Before
a link is made its copy is read, so that damage is not handed on.

A file that can't be read any more is taken from the newest backup that has it; a backup without it says so by not
naming it. On one line of time these files only grow, so that a sound one is never replaced by that of a backup.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, Self

import apsw

from kept.wire.backup import RestoreBackup
from kept.wire.event import DATABASE

from ..domain import Domain
from ..home import make_private, sync_folder
from ..store import Store, changes
from ..store.damage import Damage
from .archive import BESIDE, BadBackup, BesideFile, Manifest, steady
from .place import Found
from .work import PIECE, Work

FOLDER = "files"


class Original(NamedTuple):
    """What is backed up: a database, the rooms whose files lie beside it, and who hears of damage."""

    database: Path
    rooms: Sequence[Domain]
    damage: Damage

    @classmethod
    def of(cls, store: Store, rooms: Sequence[Domain]) -> Self:
        """That of an open database."""
        return cls(store.path, rooms, store.damage)

    @property
    def folder(self) -> Path:
        """The data folder."""
        return self.database.parent


def present(data: Path, rooms: Iterable[Domain]) -> list[str]:
    """The files of all rooms, by their names below the data folder."""
    folders = sorted({folder for room in rooms for folder in room.folders})
    return [
        f"{folder}/{path.name}"
        for folder in folders
        for path in sorted((data / folder).glob("*"))
        if path.is_file() and not path.is_symlink() and path.suffix != ".new" and BESIDE.match(f"{folder}/{path.name}")
    ]


def damaged(data: Path, rooms: Iterable[Domain]) -> list[str]:
    """Those that can't be read to their end. Reads all of them."""
    return [name for room in rooms if room.damaged_files is not None for name in room.damaged_files(data)]


def gather(original: Original, aside: Path, former: Sequence[Found], work: Work) -> tuple[BesideFile, ...]:
    """Put the files into a backup in the making; `former` are the backups before it, newest first. Raises `OSError` or
    `Stopped`."""
    there = [
        BesideFile(name, *_digest(original.folder / name, work)) for name in present(original.folder, original.rooms)
    ]
    known = {file for found in former for file in _files(found)}
    # What a backup has as it is was sound then; the others are read to their ends.
    bad = damaged(original.folder, original.rooms) if any(file not in known for file in there) else []
    for name in bad:
        original.damage.found(f"{name} can't be read to its end")
    taken = []
    for file in there:
        name = file.name
        source = copy_in(former, name, work) if name in bad else original.folder / name
        if source is not None:
            taken.append(_take(source, aside / FOLDER / name, name, former, work))
    for folder in {(aside / FOLDER / file.name).parent for file in taken}:
        sync_folder(folder)
        sync_folder(folder.parent)
    return tuple(taken)


def copy_in(backups: Iterable[Found], name: str, work: Work) -> Path | None:
    """A sound copy of a file in the first backup that has one."""
    for found in backups:
        for file in _files(found):
            copied = found.folder / FOLDER / name
            if file.name == name and _is_what_it_was(copied, file, work):
                return copied
    return None


def check_files(folder: Path, manifest: Manifest, work: Work) -> None:
    """Raise `BadBackup` unless each file is what it was when the backup was made. Raises `Stopped`."""
    for file in manifest.files or ():
        if not _is_what_it_was(folder / FOLDER / file.name, file, work):
            raise BadBackup(f"{file.name} in it is missing, or was changed after it was made")


def lay(source: Path, target: Path, work: Work) -> None:
    """Copy a file to where it belongs: whole or not at all. Raises `OSError` or `Stopped`."""
    make_private(target.parent)
    aside = target.with_name(f".{target.name}.back")
    aside.unlink(missing_ok=True)
    _copy(source, aside, work)
    aside.rename(target)
    sync_folder(target.parent)


def is_on_line(db: apsw.Connection, manifest: Manifest) -> bool:
    """Whether what is in the database came out of the backup's state by ordinary writes alone: nothing replaced all of
    it since, but going back to this very backup."""
    replaced = db.execute(
        "SELECT method, entity_id FROM change WHERE seq > ? AND entity = ? AND method <> ? ORDER BY seq",
        (manifest.last_seq, DATABASE, changes.RECOVERY),
    ).fetchall()
    if replaced:
        return replaced[-1] == (RestoreBackup.method, manifest.id)
    return changes.last_seq(db) >= manifest.last_seq


def bring_back(found: Found, data: Path, rooms: Iterable[Domain], quarantine: Path, work: Work) -> list[str]:
    """Put the backup's files in the places of those that are missing or can't be read, and these into quarantine; gives
    their names. Raises `OSError` or `Stopped`."""
    bad = damaged(data, rooms)
    brought = []
    for file in _files(found):
        target = data / file.name
        if file.name in bad:
            set_aside(target, quarantine / file.name)
        if file.name in bad or not target.exists():
            lay(found.folder / FOLDER / file.name, target, work)
            brought.append(file.name)
    return brought


def set_aside(path: Path, kept: Path) -> None:
    """Keep a damaged file as it is, also under another name, before something takes its place. Raises `OSError`."""
    for folder in (kept.parent.parent.parent, kept.parent.parent, kept.parent):
        make_private(folder)
    kept.unlink(missing_ok=True)
    os.link(path, kept)
    sync_folder(kept.parent)


def _files(found: Found) -> tuple[BesideFile, ...]:
    return (found.manifest.files or ()) if found.manifest is not None and found.problem is None else ()


def _take(source: Path, target: Path, name: str, former: Iterable[Found], work: Work) -> BesideFile:
    for folder in (target.parent.parent, target.parent):
        make_private(folder)
    size, sha256 = _digest(source, work)
    same = BesideFile(name, size, sha256)
    like = next((found for found in former if same in _files(found)), None)
    if like is not None and _is_what_it_was(copied := like.folder / FOLDER / name, same, work):
        os.link(copied, target)
        return same
    return BesideFile(name, *_copy(source, target, work))


def _is_what_it_was(path: Path, file: BesideFile, work: Work) -> bool:
    try:
        return _digest(path, work) == (file.bytes, file.sha256)
    except OSError:
        return False


def _digest(path: Path, work: Work) -> tuple[int, str]:
    with closing(_pieces(path, work)) as pieces:
        return _hashed(pieces)


def _copy(source: Path, target: Path, work: Work) -> tuple[int, str]:
    with steady(target) as file:

        def copied() -> Generator[bytes, None, None]:
            # Closed here and not when the generators happen to be collected: a fault's traceback holds them.
            with closing(_pieces(source, work)) as pieces:
                for piece in pieces:
                    file.write(piece)
                    yield piece

        with closing(copied()) as passed:
            return _hashed(passed)


def _hashed(pieces: Iterable[bytes]) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
    return size, digest.hexdigest()


def _pieces(path: Path, work: Work) -> Generator[bytes, None, None]:
    with path.open("rb", buffering=0) as file:
        while piece := file.read(PIECE):
            yield piece
            work.tick()
