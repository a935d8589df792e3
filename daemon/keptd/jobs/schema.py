"""The tables of the jobs. A job has a row once it was paused; a run without a result has begun and not ended."""

from __future__ import annotations

from ..store.migrations import Migration

MIGRATIONS = (
    Migration(
        "001_job",
        """
        CREATE TABLE job (
            name TEXT PRIMARY KEY,
            paused INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE job_run (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            job TEXT NOT NULL,
            started_at INTEGER NOT NULL,
            seconds REAL NOT NULL,
            result TEXT,
            summary TEXT NOT NULL,
            asked_by TEXT
        ) STRICT;
        CREATE INDEX job_run_by_job ON job_run (job, seq);
        CREATE INDEX job_run_open ON job_run (seq) WHERE result IS NULL;
        """,
    ),
)
