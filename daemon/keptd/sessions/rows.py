"""Rows of `session` and `message`, as the room's queries select them, and the wire's entities made from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from kept.wire.message import Message, MessageId
from kept.wire.session import Attendee, Session, SessionId

from ..clock import to_time
from ..tokens import tokens_of

SESSION = (
    "s.seq, s.id, s.title, s.parent_id, s.project, s.status, s.summary, s.max_context_messages, s.metadata, s.tags, "
    "s.messages, s.bytes, s.last_message_at, s.active_at, s.attached_us, s.attachments, s.created_at, s.updated_at, "
    "s.closed_at, s.version, s.actor"
)

MESSAGE = "m.seq, m.id, m.number, m.role, m.speaker, m.content, m.metadata, m.created_at, m.actor"

NO_TAGS = "[]"

_SECOND = 1_000_000

_decode_tags = msgspec.json.Decoder(tuple[str, ...]).decode
_encode = msgspec.json.Encoder().encode


class SessionRow(NamedTuple):
    """One session, in the order of `SESSION`; `metadata` and `tags` are JSON, times are microseconds."""

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
        attached_seconds=row.attached_us // _SECOND,
        attachments=row.attachments,
        created_at=to_time(row.created_at),
        updated_at=to_time(row.updated_at),
        closed_at=None if row.closed_at is None else to_time(row.closed_at),
        version=row.version,
        actor=row.actor,
    )


def message(row: tuple[Any, ...], session_id: str) -> Message:
    """The wire's message of a row of `MESSAGE`."""
    return Message(
        id=MessageId(row[1]),
        session_id=SessionId(session_id),
        number=row[2],
        role=row[3],
        speaker=row[4],
        content=row[5],
        metadata=Raw(row[6]),
        created_at=to_time(row[7]),
        actor=row[8],
    )


def decode_tags(stored: str) -> tuple[str, ...]:
    """The tags of a row."""
    return () if stored == NO_TAGS else _decode_tags(stored)


def encode_tags(tags: Sequence[str]) -> str:
    """Tags for a row, each once, in the order given."""
    return _encode(tuple(dict.fromkeys(tags))).decode()
