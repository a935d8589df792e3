"""The files of an import, or of going back to a backup: put in their places before the database commits, and put back
where it doesn't.

Work in progress is in `import-<id>` or `restore-<id>+<seq>` below the data folder: `new` holds what comes, `old` what
was there. Whether it took effect is told by the change log alone, so that a crash at any step ends in one state or
the other. What was replaced goes to the quarantine: nothing is removed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import apsw

from kept.paths import QUARANTINE
from kept.wire.event import DATABASE

from ..home import make_private, sync_folder

PREFIXES = ("import-", "restore-")


class Replacing:
    """The files of one of them. `name` is that of its folder."""

    def __init__(self, data_folder: Path, name: str) -> None:
        self.name = name
        self._home = data_folder
        self._work = data_folder / name
        self._new = self._work / "new"
        self._old = self._work / "old"

    def stage(self, folders: Iterable[str]) -> None:
        """Make an empty place for the new files of each folder."""
        make_private(self._work)
        make_private(self._new)
        make_private(self._old)
        for folder in folders:
            make_private(self._new / folder)

    def place(self, folder: str, name: str) -> Path:
        """Where a new file is to be written."""
        return self._new / folder / name

    def swap(self) -> None:
        """Put the new folders into the places of the old ones. On the disk when it returns, since the commit that
        counts on it comes next. Raises `OSError`."""
        self._sync()
        for new in sorted(self._new.iterdir()):
            present = self._home / new.name
            if present.exists():
                present.rename(self._old / new.name)
            else:
                make_private(self._old / new.name)
            new.rename(present)
        self._sync()

    def end(self, *, took_effect: bool) -> None:
        """Put the old folders back, as far as `swap` had come; or into the quarantine, where the import took effect."""
        if took_effect:
            self._keep()
        else:
            self._undo()

    def _undo(self) -> None:
        if self._old.exists():
            for old in sorted(self._old.iterdir()):
                present = self._home / old.name
                if present.exists():
                    present.rename(self._new / old.name)
                old.rename(present)
            # What a power cut brings back must not lack what tells of it.
            self._sync()
        shutil.rmtree(self._work, ignore_errors=True)

    def _keep(self) -> None:
        if self._old.exists() and any(True for old in self._old.iterdir() for _ in old.iterdir()):
            make_private(self._home / QUARANTINE)
            self._old.rename(self._home / QUARANTINE / self._work.name)
            sync_folder(self._home / QUARANTINE)
        shutil.rmtree(self._work, ignore_errors=True)

    def _sync(self) -> None:
        for folder in (self._new, self._old, self._work, self._home):
            sync_folder(folder)


def settle(data_folder: Path, db: apsw.Connection) -> None:
    """Bring every one that a crash interrupted to its end."""
    for name in unfinished(data_folder):
        Replacing(data_folder, name).end(took_effect=took_effect(db, name))


def took_effect(db: apsw.Connection, name: str) -> bool:
    """Whether the one whose folder has that name has been committed: past the place in the change log that the name
    gives, since one may go back to a backup more than once."""
    entity_id, _, after = name.partition("-")[2].partition("+")
    sql = "SELECT 1 FROM change INDEXED BY change_by_entity WHERE entity = ? AND entity_id = ? AND seq > ?"
    return db.execute(sql, (DATABASE, entity_id, int(after or 0))).fetchone() is not None


def unfinished(data_folder: Path) -> Iterator[str]:
    """The folders of those that left their files."""
    for prefix in PREFIXES:
        for work in sorted(data_folder.glob(f"{prefix}*")):
            yield work.name
