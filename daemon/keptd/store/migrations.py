"""Migrations: numbered, named, forward only, owned by the room whose tables they make.

Owns the table `migration`. Each runs in one transaction together with the row that records it, so that a kill at any
statement leaves the version before it. A database that has a migration which this daemon does not know is newer, and
refused before anything is touched. An applied migration is never edited: its digest is stored and compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
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


def migrate(db: apsw.Connection, sets: Iterable[tuple[str, tuple[Migration, ...]]], now: int) -> list[str]:
    """Apply what is missing, set by set in order; returns the names of what was applied (`room/001_name`).

    Raises `NewerDatabase` or `ChangedMigration` before anything is changed.
    """
    known = {f"{room}/{step.name}": step for room, steps in sets for step in steps}
    applied = _applied(db)
    newer = sorted(applied.keys() - known.keys())
    if newer:
        raise NewerDatabase(
            f"the database has {', '.join(newer)}, which this version does not know: it was written by a newer kept; "
            "install that version or a later one"
        )
    for name, digest in applied.items():
        if known[name].digest != digest:
            raise ChangedMigration(f"the migration {name} was edited after it had been applied")
    done = []
    for name, step in known.items():
        if name in applied:
            continue
        with db:
            db.execute(
                "CREATE TABLE IF NOT EXISTS migration "
                "(name TEXT PRIMARY KEY, digest TEXT NOT NULL, at INTEGER NOT NULL) STRICT"
            )
            db.execute(step.sql)
            db.execute("INSERT INTO migration VALUES (?, ?, ?)", (name, step.digest, now))
        done.append(name)
    return done


def _applied(db: apsw.Connection) -> dict[str, str]:
    if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'migration'").fetchone():
        return {}
    return {str(name): str(digest) for name, digest in db.execute("SELECT name, digest FROM migration ORDER BY rowid")}
