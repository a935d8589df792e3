"""The component's table. The index by status holds the health as well, so that the totals never touch the rows."""

from __future__ import annotations

from ..store.migrations import Migration

MIGRATIONS = (
    Migration(
        "001_component",
        """
        CREATE TABLE component (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL UNIQUE,
            status TEXT NOT NULL,
            health INTEGER NOT NULL,
            metadata TEXT NOT NULL,
            checked_at INTEGER NOT NULL,
            created_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL,
            version INTEGER NOT NULL DEFAULT 1,
            actor TEXT NOT NULL
        ) STRICT;
        CREATE INDEX component_by_status ON component (status, name, health);
        """,
    ),
)
