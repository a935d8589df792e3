"""What a component's report means: the health that a status stands for, and how everything is, from totals.

Pure: no table, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kept.wire.component import Component, ComponentId, Overall, Status
from kept.wire.errors import NotFound

from ..clock import to_time
from ..domain import SelfReport

OWN_PREFIX = "keptd."
"""Names that start with this are the daemon's own: it reports them itself, and nobody else may."""

WORST_NAMES = 10

HEALTH: Mapping[Status, int] = {"operational": 100, "degraded": 50, "down": 0, "unknown": 0}

WELL: Status = "operational"

WORST_FIRST: tuple[Status, ...] = ("down", "degraded", "unknown", "operational")


@dataclass(frozen=True, slots=True)
class Tally:
    """How many components have a status, and the sum of their health."""

    components: int = 0
    health: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.components + other.components, self.health + other.health)


def own(name: str) -> bool:
    """Whether the name is one of the daemon's."""
    return name.startswith(OWN_PREFIX)


def tally(reports: Iterable[SelfReport]) -> dict[Status, Tally]:
    """The reports' totals by status."""
    totals: dict[Status, Tally] = {}
    for report in reports:
        totals[report.status] = totals.get(report.status, Tally()) + Tally(1, report.health)
    return totals


def worst(totals: Mapping[Status, Tally]) -> Status | None:
    """The worst status that any component has; None where there is no component."""
    return next((status for status in WORST_FIRST if status in totals), None)


def overall(totals: Mapping[Status, Tally], names: Iterable[str]) -> Overall:
    """The worst status, the mean health to one decimal, and `names`: those of the components that have that status."""
    whole = sum(totals.values(), Tally())
    status = worst(totals)
    if status is None:
        return Overall(status="unknown", health=0.0, components=0, worst=())
    return Overall(
        status=status,
        health=round(whole.health / whole.components, 1),
        components=whole.components,
        worst=() if status == WELL else tuple(sorted(names)[:WORST_NAMES]),
    )


def reported(reports: Iterable[SelfReport], name: str) -> Component:
    """The report under that name, as a component. Raises `NotFound`."""
    for report in reports:
        if report.name == name:
            return as_component(report)
    raise NotFound(f"there is no component {name}")


def as_component(report: SelfReport) -> Component:
    """The daemon's report of itself as a component. It is not stored: its id is its name, its version 1."""
    since = to_time(report.since)
    return Component(
        id=ComponentId(report.name),
        name=report.name,
        status=report.status,
        health=report.health,
        metadata=report.metadata,
        checked_at=to_time(report.checked_at),
        created_at=since,
        updated_at=since,
        version=1,
        actor="keptd",
    )
