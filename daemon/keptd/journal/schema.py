"""The journal's tables: action, decision with the memory keys that it contradicts, and error.

In each, `seq` is the order of recency. `latest_at` is the latest `created_at` up to and with the row: it never falls as
`seq` grows, even where the clock was set back, so that "since a time" becomes "from a sequence on" by one look in an
index.
"""

from __future__ import annotations

from ..store.migrations import Migration
from ..store.search import Index

DECISION_SEARCH = Index("decision_search", {"decision": 4.0, "reasoning": 1.0, "alternatives": 1.0, "outcome": 2.0})
"""Over a decision's texts, by its `seq`; the facet is `project=<its project>`."""

MIGRATIONS = (
    Migration(
        "001_journal",
        """
        CREATE TABLE action (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            action TEXT NOT NULL,
            details TEXT NOT NULL,
            project TEXT,
            session_id TEXT,
            created_at INTEGER NOT NULL,
            latest_at INTEGER NOT NULL,
            actor TEXT NOT NULL
        ) STRICT;
        CREATE INDEX action_by_project ON action (project, seq);
        CREATE INDEX action_by_time ON action (latest_at, seq);

        CREATE TABLE decision (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            decision TEXT NOT NULL,
            reasoning TEXT NOT NULL,
            alternatives TEXT NOT NULL,
            outcome TEXT,
            outcome_actor TEXT,
            former_outcomes TEXT NOT NULL DEFAULT '[]',
            supersedes TEXT,
            superseded_by TEXT,
            contradicts TEXT NOT NULL,
            project TEXT,
            session_id TEXT,
            created_at INTEGER NOT NULL,
            latest_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL,
            version INTEGER NOT NULL DEFAULT 1,
            actor TEXT NOT NULL,
            status TEXT NOT NULL GENERATED ALWAYS AS (
                CASE
                    WHEN superseded_by IS NOT NULL THEN 'superseded'
                    WHEN outcome IS NOT NULL THEN 'resolved'
                    ELSE 'open'
                END
            ) VIRTUAL
        ) STRICT;
        CREATE INDEX decision_by_project ON decision (project, seq);
        CREATE INDEX decision_by_status ON decision (status, seq);
        CREATE INDEX decision_by_project_and_status ON decision (project, status, seq);
        CREATE INDEX decision_by_time ON decision (latest_at, seq);

        CREATE TABLE decision_contradicts (
            decision INTEGER NOT NULL REFERENCES decision (seq) ON DELETE CASCADE,
            project TEXT,
            key TEXT NOT NULL
        ) STRICT;
        CREATE INDEX decision_contradicts_by_key ON decision_contradicts (key, project, decision);
        CREATE INDEX decision_contradicts_by_decision ON decision_contradicts (decision);

        CREATE TABLE error (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            error TEXT NOT NULL,
            context TEXT NOT NULL,
            resolution TEXT,
            resolution_actor TEXT,
            former_resolutions TEXT NOT NULL DEFAULT '[]',
            project TEXT,
            session_id TEXT,
            created_at INTEGER NOT NULL,
            latest_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL,
            version INTEGER NOT NULL DEFAULT 1,
            actor TEXT NOT NULL,
            status TEXT NOT NULL GENERATED ALWAYS AS (
                CASE WHEN resolution IS NULL THEN 'open' ELSE 'resolved' END
            ) VIRTUAL
        ) STRICT;
        CREATE INDEX error_by_project ON error (project, seq);
        CREATE INDEX error_by_status ON error (status, seq);
        CREATE INDEX error_by_project_and_status ON error (project, status, seq);
        CREATE INDEX error_by_time ON error (latest_at, seq);
        """
        + DECISION_SEARCH.create_sql(),
    ),
    Migration("002_decision_search_size", DECISION_SEARCH.size_sql()),
)
