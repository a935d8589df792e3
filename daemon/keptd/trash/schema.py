"""The trash's table. `seq` is the order of deletion, whatever the clock did. `deleted_at` is a wall time; `purge_at` is
counted time (`store.ages`): what a clock that leaps says is no reason to remove anything for good."""

from __future__ import annotations

from ..store.migrations import Migration

MIGRATIONS = (
    Migration(
        "001_trash",
        """
        CREATE TABLE trash (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            entity TEXT NOT NULL,
            entity_id TEXT NOT NULL,
            label TEXT NOT NULL,
            snapshot TEXT NOT NULL,
            deleted_at INTEGER NOT NULL,
            purge_at INTEGER NOT NULL,
            actor TEXT NOT NULL
        ) STRICT;
        CREATE INDEX trash_by_entity ON trash (entity, seq);
        CREATE INDEX trash_by_purge ON trash (purge_at);
        CREATE INDEX trash_by_deletion ON trash (deleted_at);
        """,
    ),
)
