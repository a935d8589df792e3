"""trash.*: what was deleted and can come back. Emptied after 30 days, of which a time without the daemon, or asleep,
counts as one at most, and a clock that was set as none."""

from __future__ import annotations

from typing import Annotated, NewType

from msgspec import Meta, Struct

from . import Cursor, Id, Limit, Page, Read, Time, Write
from .errors import Conflict, InvalidParams, NotFound

TrashId = NewType("TrashId", str)

Kind = Annotated[str, Meta(min_length=1, max_length=64, pattern="^[a-z_]+$", description="Only entities of this type.")]


class Trashed(Struct, frozen=True, kw_only=True):
    """Something deleted: what, when, by whom, and until when it can be restored.

    `purge_at` is told as it looks now: it comes later where the machine is off or asleep for longer than a day, since
    of such a time one day counts, and moves with a clock that is set.
    """

    id: TrashId
    entity: str
    entity_id: str
    label: str
    deleted_at: Time
    purge_at: Time
    actor: str


class Emptied(Struct, frozen=True, kw_only=True):
    """How many were removed for good."""

    removed: int


class ListTrash(Read[Page[Trashed]], frozen=True, kw_only=True):
    """What is in the trash, newest first."""

    method = "trash.list"

    entity: Kind | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


class RestoreTrash(Write[Trashed], frozen=True, kw_only=True):
    """Bring something back. Refused where its name has been taken meanwhile."""

    method = "trash.restore"
    errors = (NotFound, Conflict)

    id: Id


class EmptyTrash(Write[Emptied], frozen=True, kw_only=True):
    """Remove for good: one thing, or all that was deleted before a time, or all. There is no way back but a backup."""

    method = "trash.empty"
    errors = (NotFound, InvalidParams)
    frees_space = True

    id: Id | None = None
    before: Annotated[Time, Meta(tz=True, description="Only what was deleted before this (RFC 3339).")] | None = None
