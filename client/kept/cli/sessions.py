"""`kept session ls` and `stats`: which conversations there are, and how large one is."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from ..wire import Cursor, Id, Limit, Project, Tag, Time
from ..wire.session import (
    Branch,
    ListSessions,
    Session,
    SessionStats,
    StatsOfSession,
    Status,
)
from .markdown import draw
from .parse import Command
from .render import show_entity, show_json
from .surface import FINE, Caller, Surface
from .table import Row, table
from .talk import SessionOrLast, session_id
from .text import clean, clip, counted, duration, one_line, size

_ROOMY = 120
"""Columns from which the table says who is there, and not only how many."""

WIDEST = 100
LEAST = 16
"""Cells that titles get at the most and at the least."""


class ListThem(Struct, frozen=True, kw_only=True):
    """List conversations, those that were last active first: how much was said, and who is there now.

    Archived ones only with --status archived.
    """

    status: Annotated[Status, Meta(description="Only those with this status.")] | None = None
    project: Project | None = None
    parent: (
        Annotated[Id, Meta(description="Only those that continue this session; `last`: the one active last.")] | None
    ) = None
    tag: Annotated[Tag, Meta(description="Only those with this tag.")] | None = None
    limit: Limit = 20
    cursor: Cursor | None = None


class _SessionRow(Row, frozen=True, kw_only=True):
    last_columns = ("msgs", "status", "project")
    right_columns = ("active",)

    id: str
    title: str
    msgs: int
    active: str
    here: str
    status: str
    project: str


def ls(wanted: ListThem, call: Caller, surface: Surface) -> int:
    """List sessions."""
    parent = None if wanted.parent is None else session_id(wanted.parent, call)
    listing = ListSessions(
        status=wanted.status,
        project=wanted.project,
        parent_id=parent,
        tag=wanted.tag,
        limit=wanted.limit,
        cursor=wanted.cursor,
    )
    page = call(listing)
    if surface.json:
        show_json(page, surface)
        return FINE
    if not page.items:
        surface.note("no such session" if any((wanted.status, wanted.project, parent, wanted.tag)) else _NONE_YET)
        return FINE
    surface.out(table([_row(session, surface) for session in page.items], surface))
    if page.next_cursor:
        surface.note(f"more: repeat with --cursor {clean(page.next_cursor)}")
    return FINE


_NONE_YET = "no sessions yet; kept session new TITLE begins one"


def _row(session: Session, surface: Surface) -> _SessionRow:
    names = sorted({one_line(each.client) for each in session.attached})
    says_who = not surface.terminal or surface.columns >= _ROOMY
    return _SessionRow(
        id=clean(session.id),
        title=title_of(session),
        msgs=session.messages,
        active=surface.when(session.active_at),
        here=", ".join(names) if says_who else (f"{len(session.attached)}" if names else ""),
        status="" if session.status == "active" else clean(session.status),
        project=one_line(session.project or ""),
    )


def title_of(session: Session | Branch) -> str:
    """Its title on one line."""
    return one_line(session.title) or "(no title yet)"


class _Stats(Struct, frozen=True, kw_only=True):
    """What is told of a session's size."""

    title: str
    messages: str
    size: str
    tokens: str
    first_message: Time | None
    last_message: Time | None
    there_now: str
    attached: str
    continued_by: str
    warning: str


class CountSession(Struct, frozen=True, kw_only=True):
    """How much is in a session, who spoke how often, and how near it is to its limits; at the same cost at any size."""

    id: SessionOrLast


def stats(wanted: CountSession, call: Caller, surface: Surface) -> int:
    """Tell how large a session is."""
    found = call(StatsOfSession(id=session_id(wanted.id, call)))
    if surface.json:
        show_json(found, surface)
    else:
        show_entity(_told(found, surface), surface)
    return FINE


def _told(found: SessionStats, surface: Surface) -> _Stats:
    room = max(min(surface.columns, WIDEST) - LEAST, LEAST)
    roles = [f"{role} {count:,}" for role, count in msgspec.structs.asdict(found.by_role).items() if count]
    by_role = f" ({', '.join(roles)})" if len(roles) > 1 else ""
    return _Stats(
        title=clip(one_line(found.title) or "(no title yet)", room),
        messages=f"{found.messages:,}{by_role}",
        size=size(found.bytes),
        tokens=f"{found.tokens:,}",
        first_message=found.first_message_at,
        last_message=found.last_message_at,
        there_now=counted(found.attached_now, "client") if found.attached_now else "",
        attached=f"{counted(found.attachments, 'time')}, for {duration(found.attached_seconds)} in all"
        if found.attachments
        else "",
        continued_by=counted(found.children, "session") if found.children else "",
        warning="\n".join(line for each in found.warnings for line in draw(f"{each.text} {each.hint}", room, False)),
    )


SESSIONS = (
    Command(
        ("session", "ls"),
        ListThem,
        ls,
        examples=("kept session ls", "kept session ls --tag api --limit 5", "kept session ls --parent last"),
    ),
    Command(
        ("session", "stats"),
        CountSession,
        stats,
        by_position=("id",),
        examples=("kept session stats last",),
    ),
)
