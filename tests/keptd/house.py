"""A home whose backup is made when a test says so, and whose tables can be hit, for what a recovery makes of a room."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import apsw

from keptd import recovery
from keptd.recovery import Backup, Report, records
from keptd.recovery.pages import Pages
from keptd.store import ages
from keptd.supervisor import DOMAINS
from tests.damage import SETS, SMALL
from tests.rooms import ACTOR, FakeClock, Rooms


class House:
    """A home whose backup is made when a test says so, and whose tables can be hit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "home"
        self.folder.mkdir()
        self.backup = folder / "backup.db"
        self.rooms = Rooms(self.folder, DOMAINS)
        ages.look(self.rooms.writer, self.rooms.clock)

    def back_up(self) -> None:
        self.rooms.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        shutil.copy(self.folder / "kept.db", self.backup)

    def hit(self, sql: str, *given: object) -> None:
        """Turn the leaf that holds the row of this rowid to zeros: `SELECT rowid ...` from one table."""
        ((table, rowid),) = self.rooms.writer.execute(sql, given)
        self.rooms.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        page = _leaf_of(self.rooms.writer, str(table), int(rowid))
        with (self.folder / "kept.db").open("r+b") as file:
            file.seek((page - 1) * 4096)
            file.write(bytes(4096))

    def recover(self, *, with_backup: bool = True) -> Report:
        """As the next start would, which finds damage everywhere."""
        self.rooms.close()
        recovery.Marker(self.folder).damaged()
        clock = FakeClock()
        clock.advance(1000)

        def backups(folder: Path) -> Iterable[Backup]:
            return [Backup("b", Path(shutil.copy(self.backup, folder)))] if with_backup else []

        found = recovery.at_start(self.folder / "kept.db", SETS, DOMAINS, SMALL, clock, ACTOR, backups).recovered
        self.rooms = Rooms(self.folder, DOMAINS)
        assert found is not None
        return found


def _leaf_of(db: apsw.Connection, table: str, rowid: int) -> int:
    pages = Pages(Path(db.filename))
    ((root,),) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,))
    number = int(root)
    try:
        while True:
            page = pages[number]
            assert page is not None
            if records.kind(page, number) == records.LEAF:
                return number
            number = next(
                child.page
                for child in records.children(page, number)
                if child.highest is None or rowid <= child.highest
            )
    finally:
        pages.close()
