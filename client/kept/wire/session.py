"""session.*: conversations. A session outlives every client that speaks in it; its messages are `message.*`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NewType

from msgspec import UNSET, Meta, Struct, UnsetType

from . import (
    Cursor,
    Done,
    Id,
    Limit,
    Name,
    Page,
    Project,
    Query,
    Read,
    Syntax,
    Tag,
    Tags,
    Time,
    Value,
    Version,
    Write,
)
from .errors import Conflict, NotFound, TooLarge

SessionId = NewType("SessionId", str)

TITLE_CHARACTERS = 200

Title = Annotated[Name, Meta(description="What it is about, in a line.")]
Summary = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=2000,
        pattern="^[^\\u0000]*$",
        description="What came of it, in a few sentences: what a session that continues it begins with.",
    ),
]
ContextMessages = Annotated[
    int, Meta(ge=1, le=1_000_000, description="How many of the newest messages are its context; null: all that fit.")
]
Status = Literal["active", "closed", "archived"]


class Attendee(Struct, frozen=True, kw_only=True):
    """A client that is attached to a session, and since when."""

    client: str
    pid: int
    user: str | None
    since: Time


class Session(Struct, frozen=True, kw_only=True):
    """A conversation: what it is about, where it belongs, and how much is in it. Never its messages."""

    id: SessionId
    title: str
    """Empty until it is given, or taken from the first message."""
    parent_id: SessionId | None
    project: str | None
    status: Annotated[str, Meta(description="`active`, `closed` or `archived`, so far.")]
    summary: str | None
    max_context_messages: int | None
    metadata: Any
    tags: tuple[str, ...]
    messages: int
    """How many messages it has; their numbers are 1 to this."""
    bytes: int
    """The UTF-8 bytes of what was said, and of the metadata of messages."""
    last_message_at: Time | None
    active_at: Time
    """When somebody last wrote to it, changed it, came or went."""
    attached: tuple[Attendee, ...]
    """Who is there now."""
    attached_seconds: int
    """How long clients were attached, added up; without those that still are."""
    attachments: int
    """How often a client was attached."""
    created_at: Time
    updated_at: Time
    closed_at: Time | None
    version: int
    actor: str


class CreateSession(Write[Session], frozen=True, kw_only=True):
    """Begin a conversation, or a branch of one.

    Without a title it takes the first line of its first message.
    """

    method = "session.create"
    errors = (NotFound, TooLarge)

    title: Title | None = None
    parent_id: Annotated[Id, Meta(description="The session that this one continues or belongs to.")] | None = None
    project: Project | None = None
    max_context_messages: ContextMessages | None = None
    metadata: Value = None
    tags: Tags = ()


class GetSession(Read[Session], frozen=True, kw_only=True):
    """A session, without its messages."""

    method = "session.get"
    errors = (NotFound,)

    id: Id


class ListSessions(Read[Page[Session]], frozen=True, kw_only=True):
    """Sessions, those that were last active first, without messages. Archived ones only where `status` asks for them.

    Those with a tag, and the children of a parent, come in the order in which they were begun, newest first.
    """

    method = "session.list"

    status: Status | None = None
    project: Project | None = None
    parent_id: Annotated[Id, Meta(description="Only children of this session.")] | None = None
    tag: Annotated[Tag, Meta(description="Only sessions with this tag.")] | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


class UpdateSession(Write[Session], frozen=True, kw_only=True):
    """Change what is said about a session. What is left out stays; null takes it away.

    A parent that is the session itself, or one of its descendants, is refused.
    """

    method = "session.update"
    errors = (NotFound, Conflict, TooLarge)

    id: Id
    title: Title | UnsetType = UNSET
    parent_id: Id | UnsetType | None = UNSET
    project: Project | UnsetType | None = UNSET
    summary: Summary | UnsetType | None = UNSET
    max_context_messages: ContextMessages | UnsetType | None = UNSET
    metadata: Value | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    if_version: Version | None = None


class CloseSession(Write[Session], frozen=True, kw_only=True):
    """End a session: nothing more can be said in it until it is reopened. Everything in it stays."""

    method = "session.close"
    errors = (NotFound, Conflict)

    id: Id
    summary: Summary | None = None
    archive: Annotated[bool, Meta(description="Put it away as well: lists leave it out unless asked.")] = False
    if_version: Version | None = None


class ReopenSession(Write[Session], frozen=True, kw_only=True):
    """Go on in a session that was closed or archived."""

    method = "session.reopen"
    errors = (NotFound, Conflict)

    id: Id
    if_version: Version | None = None


class DeleteSession(Write[Done], frozen=True, kw_only=True):
    """Move a session with its messages to the trash, from where it can be restored for 30 days. Its children stay."""

    method = "session.delete"
    errors = (NotFound, Conflict)
    frees_space = True

    id: Id
    if_version: Version | None = None


class FoundSession(Session, frozen=True, kw_only=True):
    """A search result: the session, how well it fits (higher is better), and the place that fits."""

    score: float
    snippet: str


class SearchSessions(Read[Page[FoundSession]], frozen=True, kw_only=True):
    """Sessions whose title, summary or tags fit the words, best first, archived ones as well. `message.search` looks
    into what was said.

    Sessions with all of the words; where there are none, sessions with any of them. The newest 2,000 that fit are
    ranked.
    """

    method = "session.search"

    query: Query
    project: Project | None = None
    status: Annotated[Status, Meta(description="Only sessions with this status.")] | None = None
    tag: Annotated[Tag, Meta(description="Only sessions with this tag.")] | None = None
    syntax: Syntax = "words"
    limit: Limit = 20
