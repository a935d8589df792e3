"""The table `component`, and the daemon's reports of itself, which are merged in and never stored."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

import apsw
import msgspec
from msgspec import Raw

from kept.wire import Page
from kept.wire.component import Component, ComponentId, DeleteComponent, ListComponents, Overall, SetComponent, Status
from kept.wire.errors import Conflict, NotFound

from ..clock import to_micros, to_time
from ..domain import SelfReport
from ..store.ids import new_id
from ..store.pages import Order, page
from ..store.values import encode_value
from ..store.versions import check_version
from . import rules
from .rules import WELL, WORST_FIRST, Tally

Row = tuple[Any, ...]

_COLUMNS = "id, name, status, health, metadata, checked_at, created_at, updated_at, version, actor"

TOTALS = "SELECT status, count(*), sum(health) FROM component GROUP BY status"
"""Counts and sums by status, from the index alone."""

TROUBLED = f"""
    SELECT count(*) FROM (
        SELECT 1 FROM component INDEXED BY component_by_status
        WHERE status IN ({", ".join(f"'{status}'" for status in WORST_FIRST if status != WELL)}) LIMIT :limit
    )
"""
"""How many are not operational, from the index alone."""

_ORDER = Order("component.list", str)

_decode = msgspec.json.Decoder(Component).decode


def put(db: apsw.Connection, call: SetComponent, at: int, actor: str) -> Component:
    """Make it, or replace what was reported of it.

    `checked_at` and the version change each time, `updated_at` only where the report differs from the one before.

    Raises `TooLarge` naming `metadata`, and `Conflict` on another version (0 where there is no such component).
    """
    check_version("component", _version(db, call.name), call.if_version)
    (row,) = db.execute(
        "INSERT INTO component (id, name, status, health, metadata, checked_at, created_at, updated_at, actor) "
        "VALUES (:id, :name, :status, :health, :metadata, :at, :at, :at, :actor) "
        "ON CONFLICT (name) DO UPDATE SET status = excluded.status, health = excluded.health, "
        "metadata = excluded.metadata, checked_at = excluded.checked_at, version = version + 1, "
        "actor = excluded.actor, updated_at = CASE WHEN (status, health, metadata) = "
        "(excluded.status, excluded.health, excluded.metadata) THEN updated_at ELSE excluded.updated_at END "
        f"RETURNING {_COLUMNS}",
        {
            "id": new_id(),
            "name": call.name,
            "status": call.status,
            "health": rules.HEALTH[call.status] if call.health is None else call.health,
            "metadata": encode_value("metadata", call.metadata),
            "at": at,
            "actor": actor,
        },
    )
    return _component(row)


def delete(db: apsw.Connection, call: DeleteComponent) -> Component:
    """Forget it; returns what it was. Raises `NotFound`, or `Conflict` on another version."""
    version = _version(db, call.name)
    if not version:
        raise NotFound(f"there is no component {call.name}")
    check_version("component", version, call.if_version)
    (row,) = db.execute(f"DELETE FROM component WHERE name = ? RETURNING {_COLUMNS}", (call.name,))
    return _component(row)


def restore(db: apsw.Connection, snapshot: str, at: int, actor: str) -> Component:
    """Bring back what `delete` returned, as JSON. Raises `Conflict` where the name has been taken meanwhile."""
    gone = _decode(snapshot)
    if version := _version(db, gone.name):
        raise Conflict(
            "another component has its name now", hint="Delete that one first, or leave it as it is.", version=version
        )
    (row,) = db.execute(
        f"INSERT INTO component ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING {_COLUMNS}",
        (
            gone.id,
            gone.name,
            gone.status,
            gone.health,
            encode_value("metadata", gone.metadata),
            to_micros(gone.checked_at),
            to_micros(gone.created_at),
            at,
            gone.version + 1,
            actor,
        ),
    )
    return _component(row)


def get(db: apsw.Connection, name: str) -> Component:
    """A stored one. Raises `NotFound`."""
    row = db.execute(f"SELECT {_COLUMNS} FROM component WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise NotFound(f"there is no component {name}")
    return _component(row)


def listed(db: apsw.Connection, reports: Sequence[SelfReport], call: ListComponents) -> Page[Component]:
    """A page by name, the reports among the stored ones. Raises `InvalidParams` naming `cursor`."""
    (after,) = _ORDER.after(call.cursor) or ("",)
    sql, bindings = list_query(call.status, after, call.limit + 1)
    stored = map(_component, db.execute(sql, bindings))
    own = sorted(
        (
            rules.as_component(report)
            for report in reports
            if report.name > after and call.status in (None, report.status)
        ),
        key=_by_name,
    )
    merged = heapq.merge(stored, own, key=_by_name)
    return page(merged, call.limit, _as_it_is, lambda component: _ORDER.cursor(component.name))


def list_query(status: Status | None, after: str, limit: int) -> tuple[str, dict[str, Any]]:
    """The statement of `listed` and its bindings."""
    narrow = "status = :status AND " if status is not None else ""
    return (
        f"SELECT {_COLUMNS} FROM component WHERE {narrow}name > :after ORDER BY name LIMIT :limit",
        {"status": status, "after": after, "limit": limit},
    )


def totals(db: apsw.Connection, reports: Sequence[SelfReport]) -> dict[Status, Tally]:
    """How many components there are and the sum of their health, by status; only statuses that some component has.

    Reads the index by status and no row.
    """
    found = rules.tally(reports)
    for status, components, health in db.execute(TOTALS):
        found[status] = found.get(status, Tally()) + Tally(components, health)
    return found


def overall(db: apsw.Connection, reports: Sequence[SelfReport]) -> Overall:
    """How everything is. More than one SELECT: run it in a transaction."""
    found = totals(db, reports)
    worst = rules.worst(found)
    return rules.overall(found, _names(db, reports, worst) if worst is not None else ())


def troubled(db: apsw.Connection, reports: Sequence[SelfReport], limit: int) -> list[Component]:
    """Up to `limit` components that are not operational, the worst status first, then by name."""
    found: list[Component] = []
    for status in WORST_FIRST:
        if status != WELL and len(found) < limit:
            found += listed(db, reports, ListComponents(status=status, limit=limit - len(found))).items
    return found


def count_troubled(db: apsw.Connection, reports: Sequence[SelfReport], limit: int) -> int:
    """How many components are not operational, counted up to `limit`."""
    own = sum(report.status != WELL for report in reports)
    [(stored,)] = db.execute(TROUBLED, {"limit": limit})
    return min(own + int(stored), limit)


def _names(db: apsw.Connection, reports: Sequence[SelfReport], status: Status) -> list[str]:
    rows = db.execute("SELECT name FROM component WHERE status = ? ORDER BY name LIMIT ?", (status, rules.WORST_NAMES))
    return [name for (name,) in rows] + [report.name for report in reports if report.status == status]


def _version(db: apsw.Connection, name: str) -> int:
    """The present version; 0 where there is no such component."""
    row = db.execute("SELECT version FROM component WHERE name = ?", (name,)).fetchone()
    return int(row[0]) if row is not None else 0


def _component(row: Row) -> Component:
    return Component(
        id=ComponentId(row[0]),
        name=row[1],
        status=row[2],
        health=row[3],
        metadata=Raw(row[4]),
        checked_at=to_time(row[5]),
        created_at=to_time(row[6]),
        updated_at=to_time(row[7]),
        version=row[8],
        actor=row[9],
    )


def _by_name(component: Component) -> str:
    return component.name


def _as_it_is(component: Component) -> Component:
    return component
