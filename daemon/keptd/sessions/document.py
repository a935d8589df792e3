"""The JSON form of sessions, as FORMAT.md describes it: what it says of a session and of a message, in both directions.

Pure: no file and no table is known here. The limits of a field are those of the wire's own types. A member that this
version doesn't know is kept, and written again where it stood.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, TypeVar, get_type_hints

import msgspec
from msgspec import Meta, Raw, Struct

from kept.frames import too_deep
from kept.wire import Id, Name, Project, Tags, Value, Version
from kept.wire.message import Content, Role, Speaker
from kept.wire.session import ContextMessages, Status, Summary, Title

from ..clock import to_micros, to_time
from ..rpc.params import in_words, place_of
from ..store.values import encode_value
from .rows import MessageRow, SessionRow, decode_tags, encode_tags

FORMAT = "kept.session"
VERSION = 1
"""Raised when an older kept could not read what is written."""

ELEMENT_BYTES = 32 * 1024 * 1024
"""The longest session (without its messages) or message that is read: one at all limits, however it is escaped."""

Moment = Annotated[datetime, Meta(tz=True)]
Count = Annotated[int, Meta(ge=0, le=2**53)]

_FIRST = to_micros(datetime.fromisoformat("0001-01-02T00:00:00+00:00"))
_LAST = to_micros(datetime.fromisoformat("9999-12-31T00:00:00+00:00"))
"""Times that every zone can show."""


class SessionPart(Struct, frozen=True, kw_only=True):
    """What a document says of a session. `extra` has what this version doesn't know."""

    id: Id | None = None
    title: Title | None = None
    parent_id: Id | None = None
    project: Project | None = None
    status: Status = "active"
    summary: Summary | None = None
    max_context_messages: ContextMessages | None = None
    metadata: Value = None
    tags: Tags = ()
    active_at: Moment | None = None
    attached_us: Count = 0
    attachments: Count = 0
    created_at: Moment | None = None
    updated_at: Moment | None = None
    closed_at: Moment | None = None
    version: Version = 1
    actor: Name | None = None
    extra: dict[str, Any] = {}


class MessagePart(Struct, frozen=True, kw_only=True):
    """What a document says of a message."""

    id: Id | None = None
    role: Role
    speaker: Speaker | None = None
    content: Content
    metadata: Value = None
    created_at: Moment | None = None
    actor: Name | None = None
    extra: dict[str, Any] = {}


class Extra(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The column `session.extra`: what of a document has no column of its own.

    Members that are not known: of the document (with its first session), of the entry that holds a session and its
    messages, and of the session. And the parent that it had, where there was none to be its parent here.
    """

    document: Raw = Raw()
    entry: Raw = Raw()
    session: Raw = Raw()
    parent_id: str | None = None


class BadPart(Exception):
    """A session or a message is not what it must be: which field (may be empty), and why, without its value."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(why)
        self.field = field
        self.why = why


DERIVED = {
    SessionPart: frozenset(("messages", "bytes", "last_message_at", "attached", "attached_seconds")),
    MessagePart: frozenset(("number", "session_id")),
}
"""Members that tell what follows from the rest, or holds only where they were written; they are read over."""

P = TypeVar("P", SessionPart, MessagePart)

_NOTHING = Raw()
_encode = msgspec.json.Encoder().encode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_decode_members = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_extra = msgspec.json.Decoder(Extra).decode


def read_session(raw: bytes, deepest: int) -> SessionPart:
    """A session of a document. Raises `BadPart`."""
    return _read(raw, SessionPart, deepest)


def read_message(raw: bytes, deepest: int) -> MessagePart:
    """A message of a document. Raises `BadPart`."""
    return _read(raw, MessagePart, deepest)


def read_members(members: dict[str, bytes], deepest: int) -> dict[str, Any]:
    """Members that are not known, from JSON. Raises `BadPart`."""
    found = {}
    for name, raw in members.items():
        if too_deep(raw, deepest):
            raise BadPart(name, f"nests deeper than {deepest}")
        try:
            found[name] = msgspec.json.decode(raw)
        except (msgspec.DecodeError, RecursionError):
            raise BadPart(name, "this is no JSON value that can be kept") from None
    return found


def _read(raw: bytes, kind: type[P], deepest: int) -> P:
    if too_deep(raw, deepest):
        raise BadPart("", f"this nests deeper than {deepest}")
    try:
        given = _decode_object(raw)
    except msgspec.ValidationError as refusal:
        raise BadPart("", in_words(place_of(str(refusal))[1])) from None
    except (msgspec.DecodeError, RecursionError):
        raise BadPart("", "this is no JSON object that can be kept") from None
    known = {name: given.pop(name) for name in kind.__struct_fields__ if name != "extra" and name in given}
    for name in DERIVED[kind]:
        given.pop(name, None)
    if known.get("title") == "":
        del known["title"]
    try:
        part = msgspec.convert({**known, "extra": given}, kind)
    except msgspec.ValidationError as refusal:
        field, reason = place_of(str(refusal))
        raise BadPart(field, in_words(reason, get_type_hints(kind).get(field))) from None
    for name in known.keys() & {"active_at", "created_at", "updated_at", "closed_at"}:
        moment = getattr(part, name)
        if moment is not None and not _FIRST <= to_micros(moment) <= _LAST:
            raise BadPart(name, "this time is out of range")
    return part


def session_row(part: SessionPart, staged_id: str, now: int, actor: str) -> SessionRow:
    """The row of a session that is imported, without messages yet. What the document leaves open is as if the session
    had been begun by `actor` at `now` (microseconds). Raises `TooLarge` naming `metadata`."""
    created = _micros(part.created_at, now)
    updated = _micros(part.updated_at, created)
    ended = part.status != "active"
    return SessionRow(
        seq=0,
        id=staged_id,
        title=part.title or "",
        parent_id=part.parent_id,
        project=part.project,
        status=part.status,
        summary=part.summary,
        max_context_messages=part.max_context_messages,
        metadata=encode_value("metadata", part.metadata),
        tags=encode_tags(part.tags),
        messages=0,
        bytes=0,
        last_message_at=None,
        active_at=_micros(part.active_at, updated),
        attached_us=part.attached_us,
        attachments=part.attachments,
        created_at=created,
        updated_at=updated,
        closed_at=_micros(part.closed_at, updated) if ended else None,
        version=part.version,
        actor=part.actor or actor,
    )


def _micros(moment: datetime | None, otherwise: int) -> int:
    return otherwise if moment is None else to_micros(moment)


def extra_of(document: dict[str, Any], entry: dict[str, Any], session: dict[str, Any]) -> Extra:
    """What of a document goes into `session.extra`. Raises `TooLarge` naming which of them."""
    return Extra(
        document=_members("the document's unknown members", document),
        entry=_members("unknown members", entry),
        session=_members("unknown members", session),
    )


def message_extra(part: MessagePart) -> str | None:
    """The column `message.extra`. Raises `TooLarge`."""
    return bytes(_members("unknown members", part.extra)).decode() or None


def _members(name: str, members: dict[str, Any]) -> Raw:
    return Raw(encode_value(name, members).encode()) if members else _NOTHING


def encode_extra(extra: Extra) -> str | None:
    """For the column; None where there is nothing."""
    unknown = {name: getattr(extra, name) for name in ("document", "entry", "session")}
    there: dict[str, Raw | str] = {name: members for name, members in unknown.items() if bytes(members)}
    if extra.parent_id is not None:
        there["parent_id"] = extra.parent_id
    return _encode(there).decode() if there else None


def decode_extra(stored: str | None) -> Extra:
    """From the column."""
    return Extra() if stored is None else _decode_extra(stored)


def beginning(exported_at: int, extra: Extra) -> bytes:
    """What stands before the first session. `extra` is that of the session which the export is about."""
    head = {"format": FORMAT, "version": VERSION, "exported_at": to_time(exported_at), **_unknown(extra.document)}
    return _encode(head)[:-1] + b',"sessions":[\n'


ENDING = b"\n]}\n"


def session_head(row: SessionRow, extra: Extra) -> bytes:
    """A session, up to where its messages stand."""
    known = {
        "id": row.id,
        "title": row.title,
        "parent_id": row.parent_id or extra.parent_id,
        "project": row.project,
        "status": row.status,
        "summary": row.summary,
        "max_context_messages": row.max_context_messages,
        "metadata": Raw(row.metadata.encode()),
        "tags": decode_tags(row.tags),
        "messages": row.messages,
        "bytes": row.bytes,
        "last_message_at": None if row.last_message_at is None else to_time(row.last_message_at),
        "active_at": to_time(row.active_at),
        "attached_us": row.attached_us,
        "attachments": row.attachments,
        "created_at": to_time(row.created_at),
        "updated_at": to_time(row.updated_at),
        "closed_at": None if row.closed_at is None else to_time(row.closed_at),
        "version": row.version,
        "actor": row.actor,
    }
    return b'{"session":' + _encode({**known, **_unknown(extra.session)}) + b',"messages":['


def session_tail(extra: Extra) -> bytes:
    """What stands behind a session's messages."""
    unknown = _unknown(extra.entry)
    return b"\n]" + (b"," + _encode(unknown)[1:] if unknown else b"}")


def message_line(row: MessageRow, extra: str | None) -> bytes:
    """A message, on a line of its own without its end."""
    known = {
        "id": row.id,
        "number": row.number,
        "role": row.role,
        "speaker": row.speaker,
        "content": row.content,
        "metadata": Raw(row.metadata.encode()),
        "created_at": to_time(row.created_at),
        "actor": row.actor,
    }
    return _encode({**known, **({} if extra is None else _decode_members(extra))})


def _unknown(members: Raw) -> dict[str, Raw]:
    return _decode_members(members) if bytes(members) else {}
