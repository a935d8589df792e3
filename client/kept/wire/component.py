"""component.*: how things are. The daemon reports itself under names that start with `keptd.`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NewType

from msgspec import Meta, Struct

from . import Cursor, Done, Limit, Name, Page, Read, Time, Value, Version, VersionOrNone, Write
from .errors import Conflict, Denied, NotFound

ComponentId = NewType("ComponentId", str)

ComponentName = Annotated[Name, Meta(description="The component's name; `keptd.` is the daemon's own.")]
Status = Annotated[Literal["operational", "degraded", "down", "unknown"], Meta(description="How it is.")]
StatusWord = Annotated[str, Meta(description="How it is: one of the words for a status, or one of a later version.")]
Health = Annotated[int, Meta(ge=0, le=100, description="0 (dead) to 100.")]


class Component(Struct, frozen=True, kw_only=True):
    """A part of the owner's world, and how it is."""

    id: ComponentId
    name: str
    status: StatusWord
    health: int
    metadata: Any
    checked_at: Time
    created_at: Time
    updated_at: Time
    version: int
    actor: str


class Overall(Struct, frozen=True, kw_only=True):
    """The worst status and the mean health of all components; `unknown` and 0 where there is none."""

    status: StatusWord
    health: float
    components: int
    worst: tuple[str, ...]
    """Names of up to ten components that have the worst status, unless that is `operational`."""


class SetComponent(Write[Component], frozen=True, kw_only=True):
    """Report how a component is. Health defaults to 100, 50, 0 and 0 for the four statuses."""

    method = "component.set"
    errors = (Conflict, Denied)

    name: ComponentName
    status: Status
    health: Health | None = None
    metadata: Value = None
    if_version: VersionOrNone | None = None


class GetComponent(Read[Component], frozen=True, kw_only=True):
    """One component."""

    method = "component.get"
    errors = (NotFound,)

    name: ComponentName


class ListComponents(Read[Page[Component]], frozen=True, kw_only=True):
    """Components by name."""

    method = "component.list"

    status: Status | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


class DeleteComponent(Write[Done], frozen=True, kw_only=True):
    """Forget a component. It can be restored from the trash for 30 days."""

    method = "component.delete"
    errors = (NotFound, Conflict, Denied)
    frees_space = True

    name: ComponentName
    if_version: Version | None = None


class OverallComponents(Read[Overall], frozen=True, kw_only=True):
    """How everything is: the worst status and the mean health."""

    method = "component.overall"
