"""message.*: what was said in a session, in order."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NewType

from msgspec import Meta, Struct

from . import Cursor, Id, Limit, Name, Page, Passed, Project, Query, Read, Syntax, Tag, Time, Value, Write
from .errors import Conflict, InvalidParams, NotFound, QuotaExceeded, TooLarge
from .session import SessionId

MessageId = NewType("MessageId", str)

CONTENT_CHARACTERS = 1024 * 1024

FOUND_CHARACTERS = 2000
"""Characters of a message's content that a search result shows."""

Role = Annotated[Literal["user", "assistant", "system", "tool"], Meta(description="Who speaks, by their part in it.")]

Content = Annotated[
    str,
    Meta(
        max_length=CONTENT_CHARACTERS,
        pattern="^[^\\u0000]*$",
        description="What was said: up to 1,048,576 characters, without NUL.",
    ),
]
Speaker = Annotated[Name, Meta(description="Who speaks, where a role alone doesn't tell.")]
SessionRef = Annotated[Id, Meta(description="The session's id.")]
Number = Annotated[int, Meta(ge=1, le=2**53, description="A message's number in its session, from 1.")]


class Message(Struct, frozen=True, kw_only=True):
    """One message of a session. Numbers have no gap: they are 1 to the session's `messages`."""

    id: MessageId
    session_id: SessionId
    number: int
    role: str
    speaker: str | None
    content: str
    metadata: Any
    created_at: Time
    actor: str


class Sent(Message, frozen=True, kw_only=True):
    """The message that was sent; the last one of a list. `ids` has the id of each, in order."""

    ids: tuple[MessageId, ...]
    warning: str | None
    """That the session comes near a limit, where it does."""


class NewMessage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of several messages that are sent together."""

    role: Role
    content: Content
    speaker: Speaker | None = None
    metadata: Value = None


class SendMessage(Write[Sent], frozen=True, kw_only=True):
    """Say something in a session: one message, or several in one step, of which all or none are kept.

    The daemon gives the numbers: those of one call follow one another, whoever else writes meanwhile. Near the size
    that is recommended for a session the reply has a warning, and once at 80 % and 100 % of it, and at 90 % of the most
    that a session may have, there is a change `session.near_limit`.
    """

    method = "message.send"
    event = "message.sent"
    notices = ("session.near_limit",)
    errors = (NotFound, Conflict, InvalidParams, QuotaExceeded, TooLarge)

    session_id: SessionRef
    role: Annotated[Role, Meta(description="Who speaks, by their part in it; `user` where left out.")] | None = None
    content: Content | None = None
    speaker: Speaker | None = None
    metadata: Value = None
    messages: (
        Annotated[tuple[NewMessage, ...], Meta(min_length=1, max_length=1000, description="Instead of one message.")]
        | None
    ) = None


class GetMessage(Read[Message], frozen=True, kw_only=True):
    """A message by its id."""

    method = "message.get"
    errors = (NotFound,)

    id: Id


class ListMessages(Read[Page[Message]], frozen=True, kw_only=True):
    """The messages of a session, newest first; or oldest first, from after a number on.

    `before` and `after` are numbers that are left out themselves; `offset` passes over so many, once, before the
    first page. All of them cost the same at any depth.
    """

    method = "message.list"
    errors = (NotFound, InvalidParams)

    session_id: SessionRef
    before: Annotated[Number, Meta(description="Only messages with smaller numbers.")] | None = None
    after: Annotated[int, Meta(ge=0, le=2**53, description="Only messages with larger numbers.")] | None = None
    offset: Annotated[int, Meta(ge=0, le=2**53, description="Pass over so many of them first.")] = 0
    order: (
        Annotated[
            Literal["newest", "oldest"],
            Meta(description="Which come first; the oldest where `after` is given, else the newest."),
        ]
        | None
    ) = None
    limit: Limit = 50
    cursor: Cursor | None = None


# What a session is continued with.


class ParentSummary(Struct, frozen=True, kw_only=True):
    """What came of the session that this one continues."""

    session_id: SessionId
    title: str
    summary: str
    tokens: int


class SessionContext(Struct, frozen=True, kw_only=True):
    """The newest messages of a session, oldest first, each whole."""

    session_id: SessionId
    title: str
    parent: ParentSummary | None
    """The parent's summary, where it was asked for, there is one, and it fits."""
    messages: tuple[Message, ...]
    tokens: int
    """What they take, the summary included, estimated: a quarter of the bytes of each message with who says it."""
    left_out: int
    """How many messages of the session are not in it."""
    too_large: tuple[int, ...]
    """The numbers of messages that were passed over, since each alone is larger than the budget."""


class ContextOfSession(Read[SessionContext], frozen=True, kw_only=True):
    """What a session is continued with: its newest messages, oldest first, as many as fit.

    Never more than `max_messages` (else the session's `max_context_messages`), `budget_tokens`, 10,000 messages or
    8 MiB. No message is cut. It ends before the newest message that doesn't fit what is left; one that alone is larger
    than the whole budget is passed over, and named. message.list shows what was left out.
    """

    method = "session.context"
    errors = (NotFound,)

    id: SessionRef
    budget_tokens: Annotated[int, Meta(ge=100, le=10_000_000, description="How many tokens it may take.")] | None = None
    max_messages: (
        Annotated[int, Meta(ge=1, le=10_000, description="How many messages at most, instead of the session's own.")]
        | None
    ) = None
    with_summary: Annotated[bool, Meta(description="Put the parent's summary in front.")] = False


class FoundMessage(Message, frozen=True, kw_only=True):
    """A search result: the message, how well it fits (higher is better), and the place that fits.

    `content` has the first 2,000 characters, and `metadata` is null where it takes more than 1,000 bytes: `cut` says
    that there is more. `message.get` gives all of it.
    """

    score: float
    snippet: str
    cut: bool = False


class SearchMessages(Read[Page[FoundMessage]], frozen=True, kw_only=True):
    """Messages that fit the words, best first; of those that fit alike, the newest. Those of deleted sessions never.

    Messages with all of the words, and where they are few also those with some. A question ("When did Ann go to
    Rome?") finds as well what was said right before and after what has its words. The newest 2,000 that fit are ranked.
    There are fewer than `limit` where more would not fit a message.
    """

    method = "message.search"
    errors = (NotFound,)

    query: Query
    session_id: Annotated[Id, Meta(description="Only messages of this session.")] | None = None
    project: Project | None = None
    tag: Annotated[Tag, Meta(description="Only messages of sessions with this tag.")] | None = None
    role: Annotated[Role, Meta(description="Only messages of this role.")] | None = None
    speaker: Annotated[Name, Meta(description="Only what this one said; capitals don't matter.")] | None = None
    since: Annotated[Time, Meta(tz=True, description="Only messages sent at this time or later.")] | None = None
    until: Annotated[Time, Meta(tz=True, description="Only messages sent before this time.")] | None = None
    syntax: Syntax = "words"
    limit: Limit = 20
    offset: Passed = 0
