"""message.*: what was said in a session, in order."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NewType

from msgspec import Meta, Struct

from . import Cursor, Id, Limit, Name, Page, Project, Query, Read, Syntax, Tag, Time, Value, Write
from .errors import Conflict, InvalidParams, NotFound, QuotaExceeded, TooLarge
from .session import SessionId

MessageId = NewType("MessageId", str)

CONTENT_CHARACTERS = 1024 * 1024

FOUND_CHARACTERS = 2000
"""Characters of a message's content that a search result shows."""

Role = Literal["user", "assistant", "system", "tool"]

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

    The daemon gives the numbers: those of one call follow one another, whoever else writes meanwhile.
    """

    method = "message.send"
    errors = (NotFound, Conflict, InvalidParams, QuotaExceeded, TooLarge)

    session_id: SessionRef
    role: Role = "user"
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

    `before` and `after` are numbers that are left out themselves; `offset` passes over so many. All of them cost the
    same at any depth.
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
    offset: Annotated[int, Meta(ge=0, le=2000, description="Pass over so many of the best first.")] = 0
