"""A database with one room, and its backups, without a daemon: what is committed can be read off as one number."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw

from keptd.backups.beside import Original
from keptd.backups.create import Wanted, make, make_and_verify
from keptd.backups.place import Found, Place
from keptd.backups.work import Work
from keptd.store import OWN
from keptd.store.changes import ChangeLog
from keptd.store.damage import Damage
from keptd.store.database import open_writer
from keptd.store.migrations import Migration, migrate
from tests.rooms import ACTOR, FakeClock

NOTES = Migration("001_note", "CREATE TABLE note (seq INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL) STRICT;")
SHELVES = Migration("002_shelf", "CREATE TABLE shelf (id INTEGER PRIMARY KEY, label TEXT NOT NULL) STRICT;")
SETS = (*OWN, ("notes", (NOTES,)))
NEWER = (*OWN, ("notes", (NOTES, SHELVES)))


class Shelf:
    """A folder with `kept.db` and `backups`. Every note is one commit, and has its number."""

    def __init__(self, folder: Path, notes: int = 3) -> None:
        self.path = folder / "kept.db"
        self.place = Place(folder / "backups")
        self.place.clear()
        self.clock = FakeClock()
        self.original = Original(self.path, (), Damage(lambda _noticed: None))
        self.db = open_writer(self.path)
        migrate(self.db, SETS, self.clock.now())
        self.write(notes)

    def write(self, count: int, text: str = "text") -> None:
        for _ in range(count):
            with self.db:
                self.db.execute("INSERT INTO note (text) VALUES (?)", (text,))
                ChangeLog(self.db, self.clock.now(), ACTOR, "note.add").add("note", str(self.db.last_insert_rowid()))

    def make(self, kind: str = "manual") -> Found:
        """A backup that nobody has checked."""
        with self.place.alone():
            return make(self.place, Wanted(self.original, kind), self.clock, Work(self.clock))  # type: ignore[arg-type]

    def verified(self, kind: str = "manual") -> Found:
        return make_and_verify(
            self.place,
            Wanted(self.original, kind),  # type: ignore[arg-type]
            SETS,
            self.clock,
            Work(self.clock),
        )


@contextmanager
def shelf(folder: Path, notes: int = 3) -> Iterator[Shelf]:
    made = Shelf(folder, notes)
    try:
        yield made
    finally:
        made.db.close()


def notes(path: Path) -> list[int]:
    """The numbers of the notes in a database."""
    with closing(apsw.Connection(str(path))) as db:
        assert db.pragma("integrity_check") == "ok"
        return [int(seq) for (seq,) in db.execute("SELECT seq FROM note ORDER BY seq")]
