"""The tables of what is known.

`seq` grows with every set, so that its order is newest first, in the tables as in the text index. Every index that
serves a list has the priority in it: a list in order of time merges the ten priorities (see `lists`), one in order of
priority reads on.
"""

from __future__ import annotations

from ..store.migrations import Migration
from ..store.search import Index

TEXT = Index("memory_text", {"key": 2.0, "value": 1.0, "labels": 1.5})
"""Keys, the text of values, and categories with tags. Facets: `scope=` and `category=`."""

MIGRATIONS = (
    Migration(
        "001_memory",
        f"""
        CREATE TABLE memory (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL,
            key TEXT NOT NULL,
            scope TEXT NOT NULL,
            value TEXT NOT NULL,
            category TEXT NOT NULL,
            priority INTEGER NOT NULL,
            tags TEXT NOT NULL,
            session_id TEXT,
            expires_at INTEGER,
            created_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL,
            version INTEGER NOT NULL,
            actor TEXT NOT NULL
        ) STRICT;
        CREATE UNIQUE INDEX memory_by_scope_key ON memory (scope, key);
        CREATE INDEX memory_by_key ON memory (key);
        CREATE INDEX memory_by_scope ON memory (scope, priority);
        CREATE INDEX memory_by_category ON memory (category, priority);
        CREATE INDEX memory_by_priority ON memory (priority);
        CREATE INDEX memory_by_expiry ON memory (expires_at) WHERE expires_at IS NOT NULL;

        CREATE TABLE memory_tag (
            tag TEXT NOT NULL,
            priority INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            PRIMARY KEY (tag, priority, seq)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE memory_history (
            scope TEXT NOT NULL,
            key TEXT NOT NULL,
            version INTEGER NOT NULL,
            id TEXT NOT NULL,
            value TEXT NOT NULL,
            category TEXT NOT NULL,
            priority INTEGER NOT NULL,
            tags TEXT NOT NULL,
            actor TEXT NOT NULL,
            updated_at INTEGER NOT NULL,
            ended_at INTEGER NOT NULL,
            ended TEXT NOT NULL CHECK (ended IN ('replaced', 'deleted', 'expired'))
        ) STRICT;
        CREATE UNIQUE INDEX memory_history_by_key ON memory_history (scope, key, version);
        CREATE INDEX memory_history_by_expiry ON memory_history (scope, ended_at) WHERE ended = 'expired';

        {TEXT.create_sql()}
        """,
    ),
    Migration("002_memory_text_size", TEXT.size_sql()),
)
