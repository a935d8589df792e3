"""Former values: what a key held, when and how that ended; the last `KEPT` of each key, also after its deletion."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import apsw
from msgspec import Raw

from kept.wire import Page
from kept.wire.memory import FormerValue, MemoryHistory

from ..clock import to_time
from ..store.pages import Order, page
from .rows import Row, decode_tags

KEPT = 20
"""Former values kept of each key."""

Ended = Literal["replaced", "deleted", "expired"]

NEWEST = Order("memory.history", int)

_LAST = 2**63 - 1

# The live entry comes along, without an ending, to tell a key without former values from one that never was.
_VALUES = """
    SELECT version, value, category, priority, tags, actor, updated_at, ended_at, ended FROM memory_history
    WHERE scope = :scope AND key = :key AND version < :below AND version > ifnull(
        (SELECT version FROM memory WHERE scope = :scope AND key = :key AND expires_at <= :now), 0) - :kept
    UNION ALL
    SELECT version, value, category, priority, tags, actor, updated_at, expires_at,
        iif(expires_at <= :now, 'expired', NULL)
    FROM memory WHERE scope = :scope AND key = :key AND version < :below
    ORDER BY version DESC
"""


class Expired(NamedTuple):
    """An entry that expired: `value` is JSON, `expired_at` in microseconds."""

    id: str
    scope: str
    key: str
    value: str
    priority: int
    expired_at: int


def add(db: apsw.Connection, row: Row, ended: Ended, at: int) -> None:
    """Record what a key held until `at`, and forget what is older than the last `KEPT`."""
    db.execute(
        "INSERT INTO memory_history "
        "(scope, key, version, id, value, category, priority, tags, actor, updated_at, ended_at, ended) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            row.scope,
            row.key,
            row.version,
            row.id,
            row.value,
            row.category,
            row.priority,
            row.tags,
            row.actor,
            row.updated_at,
            at,
            ended,
        ),
    )
    # The versions of a key have no gaps, so the last ones are those within KEPT of the newest.
    db.execute(
        "DELETE FROM memory_history WHERE scope = ? AND key = ? AND version <= ?",
        (row.scope, row.key, row.version - KEPT),
    )


def last_version(db: apsw.Connection, scope: str, key: str) -> int:
    """The highest version that a key had and lost; 0 if it never had one."""
    [(version,)] = db.execute(
        "SELECT ifnull(max(version), 0) FROM memory_history WHERE scope = ? AND key = ?", (scope, key)
    )
    return int(version)


def values(db: apsw.Connection, call: MemoryHistory, now: int) -> Page[FormerValue] | None:
    """The former values of a key, newest first; None where the key never had a value.

    An expired entry that is not yet swept is shown as it will be once it is. Raises `InvalidParams` for a cursor of
    another list.
    """
    [below] = NEWEST.after(call.cursor) or (_LAST,)
    given = {"scope": call.scope, "key": call.key, "now": now, "below": below, "kept": KEPT}
    rows: list[tuple[Any, ...]] = db.execute(_VALUES, given).fetchall()
    if not rows and call.cursor is None:
        return None
    return page((row for row in rows if row[-1] is not None), KEPT, _former, lambda row: NEWEST.cursor(row[0]))


def expired(db: apsw.Connection, scope: str, since: int, limit: int) -> list[Expired]:
    """Up to `limit` swept entries that expired after `since` and whose key has no newer one; newest first."""
    rows = db.execute(
        "SELECT h.id, h.scope, h.key, h.value, h.priority, h.ended_at "
        "FROM memory_history AS h INDEXED BY memory_history_by_expiry "
        "WHERE h.ended = 'expired' AND h.scope = ? AND h.ended_at > ? "
        "AND NOT EXISTS (SELECT 1 FROM memory AS m WHERE m.scope = h.scope AND m.key = h.key) "
        "AND NOT EXISTS (SELECT 1 FROM memory_history AS n "
        "WHERE n.scope = h.scope AND n.key = h.key AND n.version > h.version) "
        "ORDER BY h.ended_at DESC LIMIT ?",
        (scope, since, limit),
    )
    return list(map(Expired._make, rows))


def _former(row: tuple[Any, ...]) -> FormerValue:
    version, stored, category, priority, tags, actor, updated_at, ended_at, ended = row
    return FormerValue(
        version=version,
        value=Raw(stored),
        category=category,
        priority=priority,
        tags=decode_tags(tags),
        actor=actor,
        updated_at=to_time(updated_at),
        replaced_at=to_time(ended_at),
        ended=ended,
    )
