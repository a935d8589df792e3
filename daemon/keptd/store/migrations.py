"""Migrations: numbered, named, forward only, owned by the room whose tables they make.

Owns the table `migration`. Each runs in one transaction together with the row that records it, so that a kill at any
statement leaves the version before it. A database that has a migration which this daemon does not know is newer, and
refused before anything is touched. An applied migration is never edited: its digest is stored and compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import apsw


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of a room's schema. `name` starts with its number (`001_entry`)."""

    name: str
    sql: str

    @property
    def digest(self) -> str:
        """Of the statements without their layout, so that re-indenting the source changes nothing."""
        return hashlib.sha256(" ".join(self.sql.split()).encode()).hexdigest()[:16]


class NewerDatabase(Exception):
    """The database was written by a newer kept; nothing was touched."""


class ChangedMigration(Exception):
    """A migration that was applied reads differently now: the source is wrong, not the database."""


Sets = Sequence[tuple[str, tuple[Migration, ...]]]
"""The rooms' migrations, by the room's name, in the order in which they are applied."""


def migrate(db: apsw.Connection, sets: Sets, now: int) -> list[str]:
    """Apply what is missing, set by set in order; returns the names of what was applied (`room/001_name`).

    Raises `NewerDatabase` or `ChangedMigration` before anything is changed.
    """
    missing = pending(db, sets)
    for name, step in missing.items():
        with db:
            db.execute(
                "CREATE TABLE IF NOT EXISTS migration "
                "(name TEXT PRIMARY KEY, digest TEXT NOT NULL, at INTEGER NOT NULL) STRICT"
            )
            db.execute(step.sql)
            db.execute("INSERT INTO migration VALUES (?, ?, ?)", (name, step.digest, now))
    return list(missing)


def pending(db: apsw.Connection, sets: Sets) -> dict[str, Migration]:
    """What is missing, by its name, in order. Raises `NewerDatabase` or `ChangedMigration`."""
    known = {f"{room}/{step.name}": step for room, steps in sets for step in steps}
    found = applied(db)
    newer = sorted(found.keys() - known.keys())
    if newer:
        raise NewerDatabase(
            f"the database has {', '.join(newer)}, which this version does not know: it was written by a newer kept; "
            "install that version or a later one"
        )
    for name, digest in found.items():
        if known[name].digest != digest:
            raise ChangedMigration(f"the migration {name} was edited after it had been applied")
    return {name: step for name, step in known.items() if name not in found}


def applied(db: apsw.Connection) -> dict[str, str]:
    """The digests of what was applied, by name, in the order in which it was; empty for an empty database."""
    if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'migration'").fetchone():
        return {}
    return {str(name): str(digest) for name, digest in db.execute("SELECT name, digest FROM migration ORDER BY rowid")}


def made_at(db: apsw.Connection) -> int:
    """When the database was made, in microseconds since 1970."""
    row = db.execute("SELECT min(at) FROM migration").fetchone()
    return int(row[0] or 0) if row else 0
