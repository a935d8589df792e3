"""The lists: which index serves which filters, in three orders. All of the SQL of `memory.list`.

Each list walks one index in its order and stops at the page's end. A list in order of time whose filters leave the
priority open merges ten walks, one for each priority, so that one index serves both orders and any least priority.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import apsw

from kept.wire import Page
from kept.wire.memory import ListMemories, Memory

from ..store.pages import Order, is_long, page
from .rows import COLUMNS, Row, memory

NEWEST = Order("memory.list newest", int)
PRIORITY = Order("memory.list priority", int, int)
KEY = Order("memory.list key", str, int)

_KEY, _PRIORITY, _SEQ = (Row._fields.index(name) for name in ("key", "priority", "seq"))

_LIVE = "ifnull(m.expires_at, :now + 1) > :now"
"""Hidden from the planner in a function, lest it walk the index of expiries."""
_TAGGED = "EXISTS (SELECT 1 FROM memory_tag AS t WHERE t.tag = :tag AND t.priority = m.priority AND t.seq = m.seq)"
_PRIORITIES = range(10, 0, -1)
_LAST = 2**63 - 1
_HIGHEST = "\U0010ffff"
_SURROGATE, _AFTER_SURROGATES = 0xD800, 0xE000


class _Walk(NamedTuple):
    """What a list reads on: the tables, the one that has the order, the conditions but for priority and place."""

    source: str
    ordered: str
    where: tuple[str, ...]


def heavy(call: ListMemories) -> bool:
    """Whether a list may pass over many entries, because it has more filters than one index serves, or is long."""
    filters = {name for name in ("scope", "category", "tag", "prefix") if getattr(call, name) is not None}
    if call.prefix is not None and call.min_priority is not None:
        return True
    return is_long(call) or (len(filters) > 1 and filters != {"scope", "prefix"})


def entries(db: apsw.Connection, call: ListMemories, now: int) -> Page[Memory]:
    """One page of live entries. Raises `InvalidParams` for a cursor of another list or order."""
    given: dict[str, Any] = {
        "now": now,
        "scope": call.scope,
        "category": call.category,
        "tag": call.tag,
        "least": call.min_priority or 1,
        "limit": call.limit + 1,
    }
    if call.prefix is not None:
        sql, order, columns = _by_key(call, call.prefix, given), KEY, [_KEY, _SEQ]
    elif call.order == "priority":
        sql, order, columns = _by_priority(call, given), PRIORITY, [_PRIORITY, _SEQ]
    else:
        sql, order, columns = _newest(call, given), NEWEST, [_SEQ]
    rows: Iterator[tuple[Any, ...]] = db.execute(sql, given)
    return page(rows, call.limit, memory, lambda row: order.cursor(*(row[column] for column in columns)))


def _by_key(call: ListMemories, prefix: str, given: dict[str, Any]) -> str:
    # A cursor of another prefix must not lead out of this one; Python and SQLite both order by code point.
    given["key"], given["seq"] = max((prefix, 0), KEY.after(call.cursor) or (prefix, 0))
    given["past"] = _past(prefix)
    index = "memory_by_key" if call.scope is None else "memory_by_scope_key"
    where = ["(m.key, m.seq) > (:key, :seq)", "m.priority >= :least", _LIVE]
    if given["past"] is not None:
        where.append("m.key < :past")
    if call.scope is not None:
        where.append("m.scope = :scope")
    if call.category is not None:
        where.append("m.category = :category")
    if call.tag is not None:
        where.append(_TAGGED)
    return f"SELECT {COLUMNS} FROM memory AS m INDEXED BY {index} {_where(where)} ORDER BY m.key, m.seq LIMIT :limit"


def _by_priority(call: ListMemories, given: dict[str, Any]) -> str:
    given["priority"], given["seq"] = PRIORITY.after(call.cursor) or (_PRIORITIES[0], _LAST)
    walk = _walk(call)
    by = walk.ordered
    where = (*walk.where, f"({by}.priority, {by}.seq) < (:priority, :seq)", f"{by}.priority >= :least", _LIVE)
    return (
        f"SELECT {COLUMNS} FROM {walk.source} {_where(where)} ORDER BY {by}.priority DESC, {by}.seq DESC LIMIT :limit"
    )


def _newest(call: ListMemories, given: dict[str, Any]) -> str:
    [given["seq"]] = NEWEST.after(call.cursor) or (_LAST,)
    walk = _walk(call)
    by = walk.ordered
    if not walk.where and given["least"] == 1:
        return f"SELECT {COLUMNS} FROM memory AS m WHERE m.seq < :seq AND {_LIVE} ORDER BY m.seq DESC LIMIT :limit"
    arms = [
        f"SELECT {by}.seq AS seq FROM {walk.source} "
        + _where((*walk.where, f"{by}.priority = {priority}", f"{by}.seq < :seq", _LIVE))
        for priority in _PRIORITIES
        if priority >= given["least"]
    ]
    merged = " UNION ALL ".join(arms) + " ORDER BY seq DESC LIMIT :limit"
    return (
        f"SELECT {COLUMNS} FROM ({merged}) AS found CROSS JOIN memory AS m ON m.seq = found.seq ORDER BY found.seq DESC"
    )


def _walk(call: ListMemories) -> _Walk:
    """By the filter that leaves the fewest entries, as a rule: tag, category, scope. Others are checked by entry."""
    rest = [] if call.scope is None else ["m.scope = :scope"]
    if call.tag is not None:
        rest += [] if call.category is None else ["m.category = :category"]
        return _Walk("memory_tag AS t CROSS JOIN memory AS m ON m.seq = t.seq", "t", ("t.tag = :tag", *rest))
    if call.category is not None:
        return _Walk("memory AS m INDEXED BY memory_by_category", "m", ("m.category = :category", *rest))
    if call.scope is not None:
        return _Walk("memory AS m INDEXED BY memory_by_scope", "m", ("m.scope = :scope",))
    return _Walk("memory AS m INDEXED BY memory_by_priority", "m", ())


def _where(conditions: Iterable[str]) -> str:
    return "WHERE " + " AND ".join(conditions)


def _past(prefix: str) -> str | None:
    """The first string after all that start with `prefix`, by code point; None where there is none."""
    kept = prefix.rstrip(_HIGHEST)
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    return kept[:-1] + chr(_AFTER_SURROGATES if following == _SURROGATE else following)
