"""message.*: what was said in a session, in order."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NewType

from msgspec import Meta, Struct

from . import Cursor, Id, Limit, Name, Page, Read, Time, Value, Write
from .errors import Conflict, InvalidParams, NotFound, QuotaExceeded, TooLarge
from .session import SessionId

MessageId = NewType("MessageId", str)

CONTENT_CHARACTERS = 1024 * 1024

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
