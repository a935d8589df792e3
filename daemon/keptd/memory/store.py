"""The entries: found, set, deleted, expired, searched. Former values are `history`'s, lists are `lists`'s."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import nlargest
from itertools import islice
from operator import attrgetter
from typing import Any

import apsw
import msgspec

from kept.wire.memory import FoundMemory, Memory, SearchMemories

from ..store.search import json_text
from ..store.snippets import snippet
from . import history
from .history import Ended, Expired
from .rows import COLUMNS, Row, decode_tags, memory
from .schema import TEXT

_FIND = f"SELECT {COLUMNS} FROM memory AS m WHERE m.scope = ? AND m.key = ?"
_BY_SEQ = f"SELECT {COLUMNS} FROM memory AS m WHERE m.seq = ?"
_ALL = f"SELECT {COLUMNS} FROM memory AS m ORDER BY m.seq"
_EXPIRED = (
    f"SELECT {COLUMNS} FROM memory AS m INDEXED BY memory_by_expiry "
    "WHERE m.expires_at <= ? ORDER BY m.expires_at LIMIT ?"
)
_UNSWEPT = (
    "SELECT id, scope, key, value, priority, expires_at FROM memory INDEXED BY memory_by_expiry "
    "WHERE expires_at > ? AND expires_at <= ? AND scope = ? ORDER BY expires_at DESC LIMIT ?"
)
_TOP = (
    f"SELECT {COLUMNS} FROM memory AS m INDEXED BY memory_by_scope WHERE m.scope = ? AND ifnull(m.expires_at, ?) > ? "
    "ORDER BY m.priority DESC, m.seq DESC LIMIT ?"
)
_COUNT = "SELECT count(*) FROM (SELECT 1 FROM memory INDEXED BY memory_by_scope WHERE scope = ? LIMIT ?)"
_COUNT_UNSWEPT = (
    "SELECT count(*) FROM "
    "(SELECT scope FROM memory INDEXED BY memory_by_expiry WHERE expires_at <= ? ORDER BY expires_at LIMIT ?) "
    "WHERE scope = ?"
)
_INSERT = (
    "INSERT INTO memory "
    "(id, key, scope, value, category, priority, tags, session_id, expires_at, created_at, updated_at, version, actor) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

_decode = msgspec.json.Decoder().decode
_rank = attrgetter("priority", "seq")


def get(db: apsw.Connection, scope: str, key: str, now: int) -> Memory | None:
    """The live entry under a key."""
    row = db.execute(_FIND, (scope, key)).fetchone()
    if row is None or (row[8] is not None and row[8] <= now):
        return None
    return memory(row)


def find(db: apsw.Connection, scope: str, key: str) -> Row | None:
    """The row under a key, expired or not."""
    return next(map(Row._make, db.execute(_FIND, (scope, key))), None)


def insert(db: apsw.Connection, row: Row, value: Any) -> None:
    """Add an entry whose key is free. `row.seq` is not used: the row gets the next. `value` is what `row.value` says
    as JSON."""
    db.execute(_INSERT, row[:-1])
    seq = db.last_insert_rowid()
    _index_tags(db, row, seq)
    _index_text(db, row, seq, value)


def derive(db: apsw.Connection) -> None:
    """Make the tags anew, and give an entry that is older than its history a version after it."""
    db.execute("DELETE FROM memory_tag")
    db.execute(
        "UPDATE memory SET version = h.version + 1 FROM "
        "(SELECT scope, key, max(version) AS version FROM memory_history GROUP BY scope, key) AS h "
        "WHERE h.scope = memory.scope AND h.key = memory.key AND h.version >= memory.version"
    )
    for row in map(Row._make, db.execute(_ALL)):
        _index_tags(db, row, row.seq)


def _index_tags(db: apsw.Connection, row: Row, seq: int) -> None:
    tags = decode_tags(row.tags)
    if tags:
        db.executemany("INSERT INTO memory_tag VALUES (?, ?, ?)", [(tag, row.priority, seq) for tag in tags])


def index_all(db: apsw.Connection) -> None:
    """Put every entry into the text index, which is empty."""
    for row in map(Row._make, db.execute(_ALL)):
        _index_text(db, row, row.seq, _decode(row.value))


def end(db: apsw.Connection, row: Row, ended: Ended, at: int) -> None:
    """Take an entry out, into the history."""
    history.add(db, row, ended, at)
    remove(db, row)


def remove(db: apsw.Connection, row: Row) -> None:
    """Take an entry out, without a trace in the history."""
    db.execute("DELETE FROM memory WHERE seq = ?", (row.seq,))
    for tag in decode_tags(row.tags):
        db.execute("DELETE FROM memory_tag WHERE tag = ? AND priority = ? AND seq = ?", (tag, row.priority, row.seq))
    TEXT.remove(db, row.seq)


def expire(db: apsw.Connection, row: Row) -> None:
    """Take an expired entry out. It ended when it expired, whenever that is noticed."""
    assert row.expires_at is not None
    end(db, row, "expired", row.expires_at)


def sweep(db: apsw.Connection, now: int, limit: int, *, keep: bool = True) -> list[Row]:
    """Take out up to `limit` expired entries, those that expired first; returns them. Into the history, if `keep`."""
    rows = list(map(Row._make, db.execute(_EXPIRED, (now, limit))))
    for row in rows:
        if keep:
            expire(db, row)
        else:
            remove(db, row)
    return rows


def search(db: apsw.Connection, call: SearchMemories, now: int) -> Iterator[FoundMemory]:
    """Up to `call.limit` live entries that fit, best first, behind `call.offset` of them.

    Raises `InvalidParams` for a bad FTS5 expression.
    """
    facets = []
    if call.scope is not None:
        facets.append(_scope_facet(call.scope))
    if call.category is not None:
        facets.append(_category_facet(call.category))
    hits = TEXT.search(db, call.query, syntax=call.syntax, facets=facets)
    live = (
        (row, score)
        for seq, score, _ in hits
        for row in map(Row._make, db.execute(_BY_SEQ, (seq,)))
        if not row.expired(now)
    )
    for row, score in islice(live, call.offset, call.offset + call.limit):
        yield _found(db, row, score, call.query, call.syntax)


def top(db: apsw.Connection, scopes: Iterable[str], now: int, limit: int) -> list[Memory]:
    """Up to `limit` live entries of the scopes: highest priority first, newest first within one."""
    rows: list[Row] = []
    for scope in dict.fromkeys(scopes):
        rows += map(Row._make, db.execute(_TOP, (scope, now + 1, now, limit)))
    return [memory(row) for row in nlargest(limit, rows, key=_rank)]


def count(db: apsw.Connection, scopes: Iterable[str], now: int, limit: int) -> int:
    """How many live entries the scopes have, counted up to `limit`, from indexes alone.

    Of entries that have expired and are not swept yet, the first `limit` are told apart; any further count as live.
    """
    found = 0
    for scope in dict.fromkeys(scopes):
        [(expired,)] = db.execute(_COUNT_UNSWEPT, (now, limit, scope))
        [(present,)] = db.execute(_COUNT, (scope, limit + expired))
        found += present - expired
    return min(found, limit)


def recently_expired(db: apsw.Connection, scopes: Iterable[str], now: int, since: int, limit: int) -> list[Expired]:
    """Up to `limit` entries of the scopes that expired after `since` and were not set again; newest first."""
    found: list[Expired] = []
    for scope in dict.fromkeys(scopes):
        found += history.expired(db, scope, since, limit)
        found += map(Expired._make, db.execute(_UNSWEPT, (since, now, scope, limit)))
    return nlargest(limit, found, key=attrgetter("expired_at", "id"))


def _index_text(db: apsw.Connection, row: Row, seq: int, value: Any) -> None:
    texts = (row.key, json_text(value), " ".join((row.category, *decode_tags(row.tags))))
    TEXT.add(db, seq, texts, (_scope_facet(row.scope), _category_facet(row.category)))


def _found(db: apsw.Connection, row: Row, score: float, query: str, syntax: str) -> FoundMemory:
    text = json_text(_decode(row.value))
    return FoundMemory(**msgspec.structs.asdict(memory(row)), score=score, snippet=snippet(db, text, query, syntax))


def _scope_facet(scope: str) -> str:
    return f"scope={scope}"


def _category_facet(category: str) -> str:
    return f"category={category}"
