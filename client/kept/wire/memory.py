"""memory.*: what is known. Entries under a key that is unique in its scope, with their former values."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NewType

from msgspec import Meta, Struct

from . import Cursor, Done, Id, Limit, Name, Page, Query, Read, Syntax, Tag, Tags, Time, Value, Version, Write
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
    tier: Tier
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
    """A value that a key had, until `replaced_at`."""

    version: int
    value: Any
    category: str
    priority: int
    tags: tuple[str, ...]
    actor: str
    updated_at: Time
    replaced_at: Time
    deleted: bool
    """True where the entry was deleted or expired, not replaced."""


class SetMemory(Write[Memory], frozen=True, kw_only=True):
    """Keep a value under a key. An entry that is there is replaced; its former value stays in the history.

    What is left out keeps its present setting on a replaced entry, and takes the default on a new one. Setting an
    entry to just what it is changes nothing. Versions go on where they ended when a key is used again.
    """

    method = "memory.set"
    errors = (Conflict,)

    key: Key
    value: Value
    scope: Scope = "global"
    tier: Tier = "persistent"
    category: Category | None = None
    priority: Priority | None = None
    tags: Tags | None = None
    session_id: Id | None = None
    expires_at: Annotated[Time, Meta(tz=True, description="When it stops being true (RFC 3339).")] | None = None
    ttl: (
        Annotated[int, Meta(ge=1, le=315_360_000, description="Seconds until it expires, instead of expires_at.")]
        | None
    ) = None
    if_version: Version | None = None


class GetMemory(Read[Memory], frozen=True, kw_only=True):
    """The entry under a key."""

    method = "memory.get"
    errors = (NotFound,)

    key: Key
    scope: Scope = "global"


class DeleteMemory(Write[Done], frozen=True, kw_only=True):
    """Forget a key. Its former values stay in the history until twenty newer ones replace them."""

    method = "memory.delete"
    errors = (NotFound, Conflict)
    frees_space = True

    key: Key
    scope: Scope = "global"
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


class MemoryHistory(Read[Page[FormerValue]], frozen=True, kw_only=True):
    """The former values of a key, newest first; the last 20 are kept, also of a deleted one."""

    method = "memory.history"
    errors = (NotFound,)

    key: Key
    scope: Scope = "global"
    cursor: Cursor | None = None
