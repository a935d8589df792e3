"""session.*: conversations. A session outlives every client that speaks in it; its messages are `message.*`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NewType

from msgspec import UNSET, Meta, Struct, UnsetType

from . import (
    Control,
    Cursor,
    Done,
    Id,
    Limit,
    Name,
    Page,
    Passed,
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
from .errors import Conflict, NotFound, QuotaExceeded, StorageFull, TooLarge

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
    event = "session.created"
    errors = (NotFound, QuotaExceeded, TooLarge)

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

    status: (
        Annotated[Status, Meta(description="Only those with this status; active and closed ones where left out.")]
        | None
    ) = None
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
    event = "session.updated"
    errors = (NotFound, Conflict, QuotaExceeded, TooLarge)

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
    event = "session.closed"
    errors = (NotFound, Conflict)

    id: Id
    summary: Summary | None = None
    archive: Annotated[bool, Meta(description="Put it away as well: lists leave it out unless asked.")] = False
    if_version: Version | None = None


class ReopenSession(Write[Session], frozen=True, kw_only=True):
    """Go on in a session that was closed or archived."""

    method = "session.reopen"
    event = "session.reopened"
    errors = (NotFound, Conflict)

    id: Id
    if_version: Version | None = None


class DeleteSession(Write[Done], frozen=True, kw_only=True):
    """Move a session with its messages to the trash, from where it can be restored for 30 days. Its children stay."""

    method = "session.delete"
    event = "session.deleted"
    errors = (NotFound, Conflict)
    frees_space = True

    id: Id
    if_version: Version | None = None


# How sessions belong together, and how large they are. `session.context` has messages, and is with them.


class Branch(Struct, frozen=True, kw_only=True):
    """A session in a tree. One that was deleted is there where others hang on it, without its title."""

    id: SessionId
    parent_id: SessionId | None
    depth: int
    """From the session asked for: 1 are its children, -1 its parent."""
    title: str
    status: Annotated[str, Meta(description="`active`, `closed` or `archived`; `missing` where it was deleted.")]
    messages: int
    active_at: Time | None


class SessionTree(Struct, frozen=True, kw_only=True):
    """A session between its ancestors, nearest first, and its descendants: each is followed by its own children, in the
    order in which they were begun."""

    session: Branch
    ancestors: tuple[Branch, ...]
    descendants: tuple[Branch, ...]
    more_ancestors: bool
    """True where there are further ones past the limit."""
    more_descendants: bool


class TreeOfSession(Read[SessionTree], frozen=True, kw_only=True):
    """What a session came from, and what came of it.

    At most `limit` ancestors and as many descendants; the reply says where there are more. Ask for one of the
    descendants to see what is below it.
    """

    method = "session.tree"
    errors = (NotFound,)

    id: Id
    limit: Limit = 1000


class SaidByRole(Struct, frozen=True, kw_only=True):
    """How many messages have which role."""

    user: int
    assistant: int
    system: int
    tool: int


class SizeWarning(Struct, frozen=True, kw_only=True):
    """That a session is large: how large, by which limit, and what to do."""

    field: Annotated[str, Meta(description="`messages` or `bytes`.")]
    level: Annotated[
        str,
        Meta(description="`near_recommended` (80 %), `past_recommended`, or `near_maximum` (90 %)."),
    ]
    size: int
    limit: int
    text: str
    hint: str


class SessionStats(Struct, frozen=True, kw_only=True):
    """How much is in a session, and how near it is to its limits."""

    id: SessionId
    title: str
    messages: int
    by_role: SaidByRole
    bytes: int
    """The UTF-8 bytes of what was said, and of the metadata of messages."""
    tokens: int
    """What all of it would take in a prompt, estimated: a quarter of the bytes of each message with who says it."""
    first_message_at: Time | None
    last_message_at: Time | None
    attached_now: int
    attachments: int
    attached_seconds: int
    """How long clients were attached, added up, those that are there now included."""
    children: int
    warnings: tuple[SizeWarning, ...]


class StatsOfSession(Read[SessionStats], frozen=True, kw_only=True):
    """How much is in a session, who spoke how often, and how near it is to its limits; at the same cost at any size."""

    method = "session.stats"
    errors = (NotFound,)

    id: Id


class AttachSession(Control[Session], frozen=True, kw_only=True):
    """Say that this connection is in a session, until it detaches or ends. A second time changes nothing.

    Several may be in one session, and one connection in up to 100. Closing a session leaves them there; deleting it
    detaches them. A connection that takes the place of a lost one has to attach again; the libraries do so by
    themselves.
    """

    method = "session.attach"
    event = "session.attached"
    holds = "id"
    errors = (NotFound, QuotaExceeded, StorageFull)

    id: Id


class DetachSession(Control[Session], frozen=True, kw_only=True):
    """Say that this connection has left a session. Where it was not there, nothing changes."""

    method = "session.detach"
    event = "session.detached"
    lets_go = AttachSession
    errors = (NotFound,)

    id: Id


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
    offset: Passed = 0
