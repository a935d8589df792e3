"""Rows of `session` and `message`, as the room's queries select them, and the wire's entities made from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from msgspec import Raw

from kept.wire.message import Message, MessageId
from kept.wire.session import Attendee, Session, SessionId

from ..clock import SECOND, to_time
from ..tokens import tokens_of

NO_TAGS = "[]"


_decode_tags = msgspec.json.Decoder(tuple[str, ...]).decode
_encode = msgspec.json.Encoder().encode


class SessionRow(NamedTuple):
    """One session, under the names of its columns; `metadata` and `tags` are JSON, times are microseconds."""

    seq: int
    id: str
    title: str
    parent_id: str | None
    project: str | None
    status: str
    summary: str | None
    max_context_messages: int | None
    metadata: str
    tags: str
    messages: int
    bytes: int
    last_message_at: int | None
    active_at: int
    attached_us: int
    attachments: int
    created_at: int
    updated_at: int
    closed_at: int | None
    version: int
    actor: str

    @property
    def label(self) -> str:
        """The session's name for people, in the change log and in the trash."""
        return self.title or self.id


SESSION = ", ".join(f"s.{column}" for column in SessionRow._fields)
"""What a query selects for a `SessionRow`."""


class MessageRow(NamedTuple):
    """One message, under the names of its columns; `metadata` is JSON, `created_at` is in microseconds."""

    seq: int
    id: str
    number: int
    role: str
    speaker: str | None
    content: str
    metadata: str
    created_at: int
    actor: str

    @property
    def tokens(self) -> int:
        """What it takes in a prompt, estimated."""
        return message_tokens(self.role, self.speaker, self.content)


MESSAGE = ", ".join(f"m.{column}" for column in MessageRow._fields)
"""What a query selects for a `MessageRow`."""


class New(NamedTuple):
    """What is to be said; `metadata` is JSON."""

    role: str
    speaker: str | None
    content: str
    metadata: str

    @property
    def bytes(self) -> int:
        """What it adds to the size of its session."""
        return len(self.content.encode()) + len(self.metadata.encode())

    @property
    def tokens(self) -> int:
        """What it takes in a prompt, estimated."""
        return message_tokens(self.role, self.speaker, self.content)


def message_tokens(role: str, speaker: str | None, content: str) -> int:
    """What a message takes in a prompt, estimated: its text, after who says it."""
    return tokens_of(f"{speaker or role}: {content}")


def session(row: SessionRow, attached: Sequence[Attendee]) -> Session:
    """The wire's session of a row."""
    return Session(
        id=SessionId(row.id),
        title=row.title,
        parent_id=None if row.parent_id is None else SessionId(row.parent_id),
        project=row.project,
        status=row.status,
        summary=row.summary,
        max_context_messages=row.max_context_messages,
        metadata=Raw(row.metadata),
        tags=decode_tags(row.tags),
        messages=row.messages,
        bytes=row.bytes,
        last_message_at=None if row.last_message_at is None else to_time(row.last_message_at),
        active_at=to_time(row.active_at),
        attached=tuple(attached),
        attached_seconds=row.attached_us // SECOND,
        attachments=row.attachments,
        created_at=to_time(row.created_at),
        updated_at=to_time(row.updated_at),
        closed_at=None if row.closed_at is None else to_time(row.closed_at),
        version=row.version,
        actor=row.actor,
    )


def message(row: MessageRow, session_id: str) -> Message:
    """The wire's message of a row."""
    return Message(
        id=MessageId(row.id),
        session_id=SessionId(session_id),
        number=row.number,
        role=row.role,
        speaker=row.speaker,
        content=row.content,
        metadata=Raw(row.metadata),
        created_at=to_time(row.created_at),
        actor=row.actor,
    )


def decode_tags(stored: str) -> tuple[str, ...]:
    """The tags of a row."""
    return () if stored == NO_TAGS else _decode_tags(stored)


def encode_tags(tags: Sequence[str]) -> str:
    """Tags for a row, each once, in the order given."""
    return _encode(tuple(dict.fromkeys(tags))).decode()
