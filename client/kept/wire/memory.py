"""memory.*: what is known. Entries under a key that is unique in its scope, with their former values."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NewType

from msgspec import UNSET, Meta, Struct, UnsetType

from . import (
    GLOBAL,
    Cursor,
    Done,
    Id,
    Limit,
    Name,
    Page,
    Passed,
    Query,
    Read,
    Syntax,
    Tag,
    Tags,
    Time,
    Value,
    Version,
    VersionOrNone,
    Write,
)
from .errors import Conflict, NotFound

MemoryId = NewType("MemoryId", str)

Key = Annotated[Name, Meta(description="The entry's key, unique in its scope.")]
Scope = Annotated[Name, Meta(description="`global`, or a project's id.")]
Category = Annotated[Name, Meta(description="What kind of thing this is, for listing.")]
Priority = Annotated[int, Meta(ge=1, le=10, description="1 (least) to 10; the context bundle takes the highest first.")]
Tier = Annotated[Literal["persistent"], Meta(description="How it is kept: `persistent` means on disk.")]


class Memory(Struct, frozen=True, kw_only=True):
    """What is known under a key."""

    id: MemoryId
    key: str
    scope: str
    value: Any
    tier: Annotated[str, Meta(description="How it is kept: `persistent` means on disk.")]
    category: str
    priority: int
    tags: tuple[str, ...]
    session_id: str | None
    expires_at: Time | None
    created_at: Time
    updated_at: Time
    version: int
    actor: str


class FoundMemory(Memory, frozen=True, kw_only=True):
    """A search result: the entry, how well it fits (higher is better), and the place that fits."""

    score: float
    snippet: str


class FormerValue(Struct, frozen=True, kw_only=True):
    """A value that a key had, until `replaced_at`, when it was replaced or went with its entry."""

    version: int
    value: Any
    category: str
    priority: int
    tags: tuple[str, ...]
    actor: str
    updated_at: Time
    replaced_at: Time
    ended: Annotated[str, Meta(description="How it ended: `replaced`, `deleted` or `expired`, so far.")]


class SetMemory(Write[Memory], frozen=True, kw_only=True):
    """Keep a value under a key. An entry that is there is replaced; its former value stays in the history.

    What is left out keeps its present setting on a replaced entry, and takes the default on a new one; a null
    `session_id` or `expires_at` takes it away. Setting an entry to just what it is changes nothing. Versions go on
    where they ended when a key is used again, as far as its history is kept.
    """

    method = "memory.set"
    errors = (Conflict,)

    key: Key
    value: Value
    scope: Scope = GLOBAL
    tier: Tier = "persistent"
    category: Category | None = None
    priority: Priority | None = None
    tags: Tags | None = None
    session_id: Id | UnsetType | None = UNSET
    expires_at: (
        Annotated[Time, Meta(tz=True, description="When it stops being true (RFC 3339); null: never.")]
        | UnsetType
        | None
    ) = UNSET
    ttl: (
        Annotated[int, Meta(ge=1, le=315_360_000, description="Seconds until it expires, instead of expires_at.")]
        | None
    ) = None
    if_version: VersionOrNone | None = None


class GetMemory(Read[Memory], frozen=True, kw_only=True):
    """The entry under a key."""

    method = "memory.get"
    errors = (NotFound,)

    key: Key
    scope: Scope = GLOBAL


class DeleteMemory(Write[Done], frozen=True, kw_only=True):
    """Forget a key. It can be restored from the trash for 30 days, and its former values stay in the history until
    twenty newer ones replace them.

    On a full disk its last value is let go at once, so that there is room again.
    """

    method = "memory.delete"
    errors = (NotFound, Conflict)
    frees_space = True

    key: Key
    scope: Scope = GLOBAL
    if_version: Version | None = None


class ListMemories(Read[Page[Memory]], frozen=True, kw_only=True):
    """Entries by category, tag, key prefix, scope and least priority; newest or highest priority first.

    A key prefix lists in key order. Filters can be combined.
    """

    method = "memory.list"

    scope: Scope | None = None
    category: Category | None = None
    tag: Annotated[Tag, Meta(description="Only entries with this tag.")] | None = None
    prefix: Annotated[Name, Meta(description="Only keys that start with this, in key order.")] | None = None
    tier: Tier | None = None
    min_priority: Priority | None = None
    order: Annotated[Literal["newest", "priority"], Meta(description="Newest, or highest priority, first.")] = "newest"
    limit: Limit = 50
    cursor: Cursor | None = None


class SearchMemories(Read[Page[FoundMemory]], frozen=True, kw_only=True):
    """Entries whose key, value, category or tags fit the words, best first.

    Entries with all of the words; where there are none, entries with any of them. The newest 2,000 that fit are ranked.
    There are fewer than `limit` where more would not fit a message.
    """

    method = "memory.search"

    query: Query
    scope: Scope | None = None
    category: Category | None = None
    syntax: Syntax = "words"
    limit: Limit = 20
    offset: Passed = 0


class MemoryHistory(Read[Page[FormerValue]], frozen=True, kw_only=True):
    """The former values of a key, newest first; the last 20 are kept, also of a deleted one."""

    method = "memory.history"
    errors = (NotFound,)

    key: Key
    scope: Scope = GLOBAL
    cursor: Cursor | None = None
