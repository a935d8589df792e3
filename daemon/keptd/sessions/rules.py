"""What a call makes of a session: pure rules, no SQL."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import UNSET

from kept.wire.errors import Conflict, InvalidParams
from kept.wire.message import NewMessage, SendMessage
from kept.wire.session import TITLE_CHARACTERS, CloseSession, CreateSession, UpdateSession

from ..store.ids import new_id
from ..store.values import encode_value
from .rows import New, SessionRow, encode_tags


def begun(call: CreateSession, now: int, actor: str) -> SessionRow:
    """The row of a session that begins. Raises `TooLarge` naming `metadata`."""
    return SessionRow(
        seq=0,
        id=new_id(),
        title=call.title or "",
        parent_id=call.parent_id,
        project=call.project,
        status="active",
        summary=None,
        max_context_messages=call.max_context_messages,
        metadata=encode_value("metadata", call.metadata),
        tags=encode_tags(call.tags),
        messages=0,
        bytes=0,
        last_message_at=None,
        active_at=now,
        attached_us=0,
        attachments=0,
        created_at=now,
        updated_at=now,
        closed_at=None,
        version=1,
        actor=actor,
    )


def updated(present: SessionRow, call: UpdateSession, now: int, actor: str) -> SessionRow | None:
    """The row that replaces `present`; None where nothing would change. Raises `TooLarge` naming `metadata`."""
    metadata = present.metadata if call.metadata is UNSET else encode_value("metadata", call.metadata)
    wanted = present._replace(
        title=present.title if call.title is UNSET else call.title,
        parent_id=present.parent_id if call.parent_id is UNSET else call.parent_id,
        project=present.project if call.project is UNSET else call.project,
        summary=present.summary if call.summary is UNSET else call.summary,
        max_context_messages=(
            present.max_context_messages if call.max_context_messages is UNSET else call.max_context_messages
        ),
        metadata=metadata,
        tags=present.tags if call.tags is UNSET else encode_tags(call.tags),
    )
    return None if wanted == present else touched(wanted, now, actor)


def closed(present: SessionRow, call: CloseSession, now: int, actor: str) -> SessionRow | None:
    """The row of a session that ends; None where it has ended just so."""
    wanted = present._replace(
        status="archived" if call.archive or present.status == "archived" else "closed",
        summary=present.summary if call.summary is None else call.summary,
        closed_at=now if present.closed_at is None else present.closed_at,
    )
    return None if wanted == present else touched(wanted, now, actor)


def reopened(present: SessionRow, now: int, actor: str) -> SessionRow | None:
    """The row of a session that goes on; None where it had not ended."""
    if present.status == "active":
        return None
    return touched(present._replace(status="active", closed_at=None), now, actor)


def archived(present: SessionRow, now: int, actor: str) -> SessionRow:
    """The row of a session that is put away because nobody used it; that is no use of it."""
    wanted = present._replace(status="archived", closed_at=now if present.closed_at is None else present.closed_at)
    return touched(wanted, now, actor)._replace(active_at=present.active_at)


def touched(row: SessionRow, now: int, actor: str) -> SessionRow:
    """The same, as its next version."""
    return row._replace(active_at=now, updated_at=now, version=row.version + 1, actor=actor)


def new_messages(call: SendMessage) -> list[New]:
    """What a call says. Raises `InvalidParams` for neither or both ways of saying it, and `TooLarge`."""
    if call.messages is None:
        if call.content is None:
            raise InvalidParams("there is no content", hint="Send content, or messages.", field="content")
        one = New(call.role or "user", call.speaker, call.content, encode_value("metadata", call.metadata))
        return [one]
    for field in ("role", "content", "speaker", "metadata"):
        if getattr(call, field) is not None:
            raise InvalidParams(
                f"messages and {field} exclude each other",
                hint=f"Each of messages has its own {field}." if field != "content" else "Send one of them.",
                field=field,
            )
    return [_new(one, place) for place, one in enumerate(call.messages)]


def _new(one: NewMessage, place: int) -> New:
    return New(one.role, one.speaker, one.content, encode_value(f"messages[{place}].metadata", one.metadata))


def check_open(session: SessionRow) -> None:
    """Raises `Conflict` where nothing can be said in a session any more."""
    if session.status != "active":
        raise Conflict(
            f"the session is {session.status}", hint="session.reopen lets it go on.", version=session.version
        )


def title_of(contents: Iterable[str]) -> str:
    """The title that a session without one takes from what was said in it, in this order; empty where nothing has
    text."""
    return next(filter(None, map(title_from, contents)), "")


def title_from(content: str) -> str:
    """What it would take from this: its first line with something in it, shortened."""
    for line in content.splitlines():
        words = " ".join("".join(letter if letter.isprintable() else " " for letter in line).split())
        if words:
            return words if len(words) <= TITLE_CHARACTERS else f"{words[: TITLE_CHARACTERS - 1]}…"
    return ""
