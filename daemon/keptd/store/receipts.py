"""Receipts: the first result of every write that carried an idempotency key, kept for a day.

Owns the table `receipt`, written in the transaction of the write that it answers for, so that a retry after a lost
reply, a crash or an unknown outcome gets the first result and changes nothing.
"""

from __future__ import annotations

import hashlib
from typing import Any

import apsw
import msgspec

from kept.wire import Call
from kept.wire.errors import Conflict

from .migrations import Migration

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
)

_encode = msgspec.json.Encoder().encode


def fingerprint(call: Call[Any]) -> bytes:
    """What makes two requests the same: the method and every parameter."""
    return hashlib.blake2b(_encode(call), digest_size=16, key=call.method.encode()).digest()


def find(db: apsw.Connection, key: str, mark: bytes) -> bytes | None:
    """The encoded result of the write with this key, if there was one.

    Raises `Conflict` where the key was used for another request.
    """
    row = db.execute("SELECT fingerprint, result FROM receipt WHERE key = ?", (key,)).fetchone()
    if row is None:
        return None
    if row[0] != mark:
        raise Conflict(
            "the idempotency_key was used for another request within the last day",
            hint="Give every request a key of its own; repeat a key only to repeat the very same request.",
            field="idempotency_key",
        )
    return bytes(row[1])


def keep(db: apsw.Connection, key: str, mark: bytes, result: bytes, now: int) -> None:
    """Remember the first result of a key."""
    db.execute("INSERT INTO receipt (key, fingerprint, result, at) VALUES (?, ?, ?, ?)", (key, mark, result, now))


def sweep(db: apsw.Connection, before: int, limit: int) -> int:
    """Forget up to `limit` receipts from before a time; returns how many."""
    db.execute("DELETE FROM receipt WHERE rowid IN (SELECT rowid FROM receipt WHERE at < ? LIMIT ?)", (before, limit))
    return db.changes()
