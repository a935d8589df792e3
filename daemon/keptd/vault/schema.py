"""The tables of the vault. What says something of a secret is sealed; ids, revisions, sizes and times are not.

- `vault`: one row. How the password becomes a key, the wrapped data key, and the head (`head`).
- `vault_spare`: the same row once more, on a page of its own: without it one damaged page would take every secret. A
  recovery takes the newer of the two.
- `vault_entry`: a row for each. `value_mark` is the nonce and the tag of the sealed value, beside it, so that a look
  at all entries reads no values, and yet is bound to them.
- `vault_guard`: wrong passwords since the last right one, of agents and of all others. It stays where a backup comes
  back.
- `vault_receipt`: changes that carried an idempotency key. As the store's receipts, they stay as well.
- `vault_withheld`: entries whose rights for agents don't count (`rights`).
- `vault_audit`: who did what to which entry. Where a backup comes back it has both what the backup has and what was
  there.
"""

from __future__ import annotations

from ..store.migrations import Migration

LOCAL = ("vault_guard", "vault_receipt")


def _header(name: str) -> str:
    return f"""
        CREATE TABLE {name} (
            only INTEGER PRIMARY KEY CHECK (only = 1),
            id TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            salt BLOB NOT NULL,
            memory_kib INTEGER NOT NULL,
            passes INTEGER NOT NULL,
            lanes INTEGER NOT NULL,
            wrapped BLOB NOT NULL,
            key_version INTEGER NOT NULL,
            recovery_salt BLOB,
            recovery BLOB,
            counter INTEGER NOT NULL,
            head BLOB NOT NULL
        ) STRICT;
    """


MIGRATIONS = (
    Migration(
        "001_vault",
        f"""
        {_header("vault")}
        {_header("vault_spare")}

        CREATE TABLE vault_entry (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            name_hash BLOB NOT NULL UNIQUE,
            revision INTEGER NOT NULL,
            key_version INTEGER NOT NULL,
            about BLOB NOT NULL,
            value_mark BLOB NOT NULL,
            value BLOB NOT NULL
        ) STRICT;

        CREATE TABLE vault_guard (
            only INTEGER PRIMARY KEY CHECK (only = 1),
            failures INTEGER NOT NULL,
            failed_at INTEGER NOT NULL
        ) STRICT;

        CREATE TABLE vault_receipt (
            key TEXT NOT NULL UNIQUE,
            request BLOB NOT NULL,
            key_version INTEGER NOT NULL,
            entry_id TEXT NOT NULL,
            at INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX vault_receipt_by_age ON vault_receipt (at);

        CREATE TABLE vault_audit (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            at INTEGER NOT NULL,
            action TEXT NOT NULL,
            entry_id TEXT,
            revision INTEGER,
            outcome TEXT NOT NULL,
            client TEXT NOT NULL,
            kind TEXT,
            uid INTEGER NOT NULL,
            pid INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX vault_audit_by_entry ON vault_audit (entry_id, seq) WHERE entry_id IS NOT NULL;
        CREATE INDEX vault_audit_by_action ON vault_audit (action, seq);
        """,
    ),
    Migration(
        "002_agents",
        """
        CREATE TABLE vault_withheld (
            entry_id TEXT PRIMARY KEY
        ) STRICT;

        ALTER TABLE vault_guard RENAME TO vault_guard_of_all;
        CREATE TABLE vault_guard (
            of_agents INTEGER PRIMARY KEY CHECK (of_agents IN (0, 1)),
            failures INTEGER NOT NULL,
            failed_at INTEGER NOT NULL
        ) STRICT;
        INSERT INTO vault_guard SELECT 0, failures, failed_at FROM vault_guard_of_all;
        DROP TABLE vault_guard_of_all;
        """,
    ),
)
