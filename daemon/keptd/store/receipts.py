"""Receipts: the first result of every write that carried an idempotency key, kept for a day.

Owns the table `receipt`, written in the transaction of the write that it answers for, so that a retry after a lost
reply, a crash or an unknown outcome gets the first result and changes nothing. A key is stored as its hash: a caller
may take anything for one, and a credential must not stand in the database in clear.

A long result is kept compressed: it mostly repeats a value that a table holds as well. A receipt outlives the entity
that it speaks of, so a deleted value stays in the database file until its receipt is swept. Not so what a session held:
when that is removed for good, its receipts lose their results, and only know that the writes were made.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import Any

import apsw
import msgspec

from kept.wire import Call
from kept.wire.errors import Conflict

from .migrations import Migration

TABLE = "receipt"

MIGRATIONS = (
    Migration(
        "001_receipt",
        """
        CREATE TABLE receipt (
            key TEXT NOT NULL UNIQUE,
            fingerprint BLOB NOT NULL,
            result BLOB NOT NULL,
            at INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX receipt_by_age ON receipt (at);
        """,
    ),
    Migration(
        "002_session",
        """
        ALTER TABLE receipt ADD COLUMN session TEXT;
        CREATE INDEX receipt_by_session ON receipt (session) WHERE session IS NOT NULL;
        """,
    ),
)

PLAIN_BYTES = 4096
"""The longest result that is kept as it is."""

_LEVEL = 1
"""zlib's fastest: the writer's thread compresses."""

_COMPRESSED = b"\x78"
"""What zlib's output begins with (RFC 1950: deflate, a window of 32 KiB), and no JSON text does."""

_encode = msgspec.json.Encoder().encode


def fingerprint(call: Call[Any]) -> bytes:
    """What makes two requests the same: the method and every parameter."""
    return hashlib.blake2b(_encode(call), digest_size=16, key=call.method.encode()).digest()


def find(db: apsw.Connection, key: str, mark: bytes) -> bytes | None:
    """The encoded result of the write with this key, if there was one.

    Raises `Conflict` where the key was used for another request, or what came of it has been removed for good.
    """
    row = db.execute("SELECT fingerprint, result FROM receipt WHERE key = ?", (_hashed(key),)).fetchone()
    if row is None:
        return None
    if row[0] != mark:
        raise Conflict(
            "the idempotency_key was used for another request within the last day",
            hint="Give every request a key of its own; repeat a key only to repeat the very same request.",
            field="idempotency_key",
        )
    result = bytes(row[1])
    if not result:
        raise Conflict(
            "this was done, and what came of it has been removed for good since",
            hint="Do not repeat it; to do it anew, use another idempotency_key.",
            field="idempotency_key",
        )
    return zlib.decompress(result) if result.startswith(_COMPRESSED) else result


def keep(db: apsw.Connection, key: str, mark: bytes, result: bytes, now: int, session: str | None = None) -> None:
    """Remember the first result of a key; `session` is the id of the session that it speaks of."""
    kept = zlib.compress(result, _LEVEL) if len(result) > PLAIN_BYTES else result
    db.execute(
        "INSERT INTO receipt (key, fingerprint, result, at, session) VALUES (?, ?, ?, ?, ?)",
        (_hashed(key), mark, kept, now, session),
    )


def empty(db: apsw.Connection, session: str, limit: int) -> int:
    """Take from up to `limit` receipts that speak of a session what they say; how many."""
    db.execute(
        "UPDATE receipt SET result = x'', session = NULL WHERE rowid IN "
        "(SELECT rowid FROM receipt WHERE session = ? LIMIT ?)",
        (session, limit),
    )
    return db.changes()


def rename(db: apsw.Connection, former: str, session: str) -> None:
    """What speaks of a session belongs to it under its new id."""
    db.execute("UPDATE receipt SET session = ? WHERE session = ?", (session, former))


def sweep(db: apsw.Connection, before: int, limit: int) -> int:
    """Forget up to `limit` receipts from before a time; returns how many."""
    db.execute("DELETE FROM receipt WHERE rowid IN (SELECT rowid FROM receipt WHERE at < ? LIMIT ?)", (before, limit))
    return db.changes()


def carry(source: apsw.Connection, target: apsw.Connection) -> None:
    """Take all receipts over into another database, in the place of those that it has under the same keys."""
    columns = "key, fingerprint, result, at, session"
    rows = source.execute(f"SELECT {columns} FROM receipt ORDER BY at")
    target.executemany(f"INSERT OR REPLACE INTO receipt ({columns}) VALUES (?, ?, ?, ?, ?)", rows)


def _hashed(key: str) -> str:
    """What stands for a key: long enough that no two keys meet."""
    return hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
