"""How sessions belong together: the ancestors and the descendants of one. All of the SQL of `session.tree`.

A session in the trash is shown, without its title, where one that is here hangs on it. A line ends where a session was
removed for good, and at one that was there before, as damage may leave it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import apsw

from kept.wire.session import Branch, SessionId, SessionTree

from ..clock import to_time
from . import store

_COLUMNS = "id, parent_id, place, title, status, messages, active_at"
_ONE = f"SELECT {_COLUMNS} FROM session WHERE id = ? AND place IN ('here', 'trash')"
CHILDREN = (
    f"SELECT {_COLUMNS} FROM session INDEXED BY session_by_parent "
    "WHERE parent_id = ? AND place IN ('here', 'trash') ORDER BY seq"
)

_LOOKS = 10
"""Sessions that are looked at for each that may be shown: those in the trash aren't always shown."""


class _Found(NamedTuple):
    id: str
    parent_id: str | None
    place: str
    title: str
    status: str
    messages: int
    active_at: int

    @property
    def is_here(self) -> bool:
        return self.place == "here"


def tree(db: apsw.Connection, session_id: str, limit: int) -> SessionTree:
    """A session that is here, with up to `limit` ancestors and as many descendants. Raises `NotFound`."""
    row = store.find(db, session_id)
    root = _Found(row.id, row.parent_id, "here", row.title, row.status, row.messages, row.active_at)
    ancestors, more_ancestors = _above(db, root, limit)
    descendants, more_descendants = _below(db, root, limit)
    return SessionTree(
        session=_branch(root, 0),
        ancestors=ancestors,
        descendants=descendants,
        more_ancestors=more_ancestors,
        more_descendants=more_descendants,
    )


def _above(db: apsw.Connection, root: _Found, limit: int) -> tuple[tuple[Branch, ...], bool]:
    found: list[Branch] = []
    seen = {root.id}
    wanted = root.parent_id
    while wanted is not None and wanted not in seen:
        if len(found) == limit:
            return tuple(found), True
        seen.add(wanted)
        row = db.execute(_ONE, (wanted,)).fetchone()
        if row is None:
            found.append(_missing(wanted, None, -len(found) - 1, 0))
            break
        one = _Found._make(row)
        found.append(_branch(one, -len(found) - 1))
        wanted = one.parent_id
    return tuple(found), False


def _below(db: apsw.Connection, root: _Found, limit: int) -> tuple[tuple[Branch, ...], bool]:
    """Depth first. Children are read as they are needed, since there may be far more of them than are shown."""
    found: list[Branch] = []
    line: list[_Found] = [root]
    children: list[Iterable[tuple[Any, ...]]] = [iter(db.execute(CHILDREN, (root.id,)))]
    seen = {root.id}
    shown = 1
    """How many of `line` are in `found`, or are the root: those in the trash wait for one that hangs on them."""
    while children:
        row = next(iter(children[-1]), None)
        if row is None:
            children.pop()
            line.pop()
            shown = min(shown, len(line))
            continue
        one = _Found._make(row)
        if one.id in seen:
            continue
        if len(seen) > _LOOKS * limit:
            return tuple(found), True
        seen.add(one.id)
        line.append(one)
        if one.is_here:
            waiting = range(shown, len(line))
            if len(found) + len(waiting) > limit:
                return tuple(found), True
            found += [_branch(line[depth], depth) for depth in waiting]
            shown = len(line)
        children.append(iter(db.execute(CHILDREN, (one.id,))))
    return tuple(found), False


def _branch(one: _Found, depth: int) -> Branch:
    if not one.is_here:
        return _missing(one.id, one.parent_id, depth, one.messages)
    return Branch(
        id=SessionId(one.id),
        parent_id=None if one.parent_id is None else SessionId(one.parent_id),
        depth=depth,
        title=one.title,
        status=one.status,
        messages=one.messages,
        active_at=to_time(one.active_at),
    )


def _missing(session_id: str, parent_id: str | None, depth: int, messages: int) -> Branch:
    return Branch(
        id=SessionId(session_id),
        parent_id=None if parent_id is None else SessionId(parent_id),
        depth=depth,
        title="",
        status="missing",
        messages=messages,
        active_at=None,
    )
