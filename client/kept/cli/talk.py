"""`kept session new`, `show`, `tail` and `send`: what people do in a conversation, every day.

Short answers are made in the daemon. What may be long runs in the caller's process, page by page: there it goes to a
pager, and to a program as fast as that reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated

from msgspec import Meta, Struct

from ..wire import Id, OnSecret, Project, Tags
from ..wire.errors import QuotaExceeded, StorageFull
from ..wire.event import DATABASE, Event, Lost
from ..wire.message import CONTENT_CHARACTERS, ContextOfSession, Message, Role, SendMessage, Speaker
from ..wire.session import AttachSession, CreateSession, GetSession, ListSessions, Session, StatsOfSession, Title
from .parse import Command
from .render import show_json
from .surface import FINE, Caller, Here, Surface, UsageError, the_caller
from .text import clean
from .transcript import messages, show_document, show_head, show_messages, show_parent

LAST = "last"
"""Stands for the id of the session that was active last."""

_INSIDE_MESSAGES = 100
_INSIDE_CHARACTERS = 256 * 1024
"""How much the daemon puts into one answer; more is read by the caller's process."""

_ALL = 2**53

_ENDS = ("session.closed", "session.reopened", "session.deleted")
"""What whoever follows a session is told of it."""

SessionOrLast = Annotated[Id, Meta(description="The session's id; `last`: the one that was active last.")]
Last = Annotated[int, Meta(ge=0, le=1_000_000, description="How many messages, the newest.")]


class NewSession(Struct, frozen=True, kw_only=True):
    """Begin a conversation; prints its id.

    Without a title it takes the first line of its first message.
    """

    title: Title | None = None
    parent: Annotated[Id, Meta(description="The session that it continues; `last`: the one active last.")] | None = None
    project: Project | None = None
    tag: Tags = ()
    on_secret: OnSecret | None = None


class ShowSession(Struct, frozen=True, kw_only=True):
    """Show a conversation: what it is about, who is there, and what was said last.

    On a terminal messages are drawn as Markdown. What is long goes through a pager: KEPT_PAGER, else PAGER, else less.
    In a pipe it is plain text; `--colour always` draws it as on a terminal, for `less -R`.
    """

    id: SessionOrLast
    last: Last = 20
    all: Annotated[bool, Meta(description="All messages, from the first.")] = False
    context: Annotated[
        bool, Meta(description="What an agent continues it with: the messages that fit, with the parent's summary.")
    ] = False
    pager: Annotated[bool, Meta(description="Show what is long through a pager.")] = True


class TailSession(Struct, frozen=True, kw_only=True):
    """Show the newest messages of a conversation; with -f those that come as well, until Ctrl-C.

    Whoever follows is in the session meanwhile, as `kept session ls` shows. It goes on when the daemon is started anew.
    With --json each message is a document on a line of its own.
    """

    id: SessionOrLast
    last: Last = 10
    follow: Annotated[bool, Meta(description="Go on, and show each message when it comes.")] = False


class Say(Struct, frozen=True, kw_only=True):
    """Say something in a conversation.

    Without a text, or with -, it is read from standard input, exactly as it is but for one line end at its end.
    """

    id: SessionOrLast
    text: Annotated[
        tuple[Annotated[str, Meta(max_length=CONTENT_CHARACTERS)], ...], Meta(description="What is said.")
    ] = ()
    role: Role = "user"
    speaker: Speaker | None = None
    on_secret: OnSecret | None = None


def session_id(given: str, call: Caller) -> str:
    """The id that is meant. Raises `UsageError` for `last` where there is no session."""
    if given != LAST:
        return given
    page = call(ListSessions(limit=1))
    if not page.items:
        raise UsageError("there is no session yet", "kept session new TITLE begins one.")
    return page.items[0].id


def new(wanted: NewSession, call: Caller, surface: Surface) -> int:
    """Begin a session."""
    parent = session_id(wanted.parent, call) if wanted.parent is not None else None
    session = call(
        CreateSession(
            title=wanted.title,
            parent_id=parent,
            project=wanted.project,
            tags=wanted.tag,
            on_secret=wanted.on_secret,
        )
    )
    if surface.json:
        show_json(session, surface)
        return FINE
    surface.line(clean(session.id))
    if surface.terminal:
        surface.line(f"say something: kept session send {clean(session.id)} TEXT")
    return FINE


def show(wanted: ShowSession, call: Caller, surface: Surface) -> int:
    """Show a session and its messages."""
    if wanted.all or wanted.last > _INSIDE_MESSAGES:
        the_caller(surface)
    session = call(GetSession(id=session_id(wanted.id, call)))
    stats = call(StatsOfSession(id=session.id))
    if wanted.context:
        return _show_context(wanted, session, call, surface)
    said = _said(call, session, session.messages if wanted.all else wanted.last, surface)
    if surface.json:
        show_document({"session": session, "stats": stats}, said, surface)
        return FINE
    with _paper(wanted, surface) as paper:
        show_head(session, stats, paper)
        show_messages(said, paper)
        if not session.messages:
            paper.line(f"\nnothing was said yet: kept session send {clean(session.id)} TEXT")
    return FINE


def _show_context(wanted: ShowSession, session: Session, call: Caller, surface: Surface) -> int:
    the_caller(surface)
    context = call(ContextOfSession(id=session.id, with_summary=True))
    if surface.json:
        show_json(context, surface)
        return FINE
    with _paper(wanted, surface) as paper:
        if context.parent is not None:
            show_parent(context.parent, paper)
        show_messages(context.messages, paper)
    return FINE


@contextmanager
def _paper(wanted: ShowSession, surface: Surface) -> Iterator[Surface]:
    """The surface, through a pager where there is one."""
    if surface.here is None or not surface.terminal or not wanted.pager:
        yield surface
        return
    with surface.here.paged() as out:
        yield replace(surface, out=out)


def _said(call: Caller, session: Session, last: int, surface: Surface) -> Iterator[Message]:
    """The newest `last` messages, oldest first. Raises `NeedsCaller` in the daemon where they are long."""
    said = messages(call, session.id, max(session.messages - last, 0), session.messages)
    if not surface.inside:
        return said
    held: list[Message] = []
    room = _INSIDE_CHARACTERS
    for message in said:
        room -= len(message.content)
        if room < 0:
            the_caller(surface)
        held.append(message)
    return iter(held)


def tail(wanted: TailSession, call: Caller, surface: Surface) -> int:
    """Show the newest messages, and those that come."""
    here = the_caller(surface) if wanted.follow or wanted.last > _INSIDE_MESSAGES else None
    session = call(GetSession(id=session_id(wanted.id, call)))
    if here is None or not wanted.follow:
        show_messages(_said(call, session, wanted.last, surface), surface)
        return FINE
    reader = _Reader(session, wanted.last, call, surface)
    try:
        return reader.follow(here, attends=True)
    except (QuotaExceeded, StorageFull):
        # Nobody sees that it is there then; what is said can be read all the same.
        return reader.follow(here, attends=False)


class _Reader:
    """Somebody who follows a session: `_number` is the last message that was shown."""

    def __init__(self, session: Session, last: int, call: Caller, surface: Surface) -> None:
        self._id = session.id
        self._number = max(session.messages - last, 0)
        self._call = call
        self._surface = surface

    def follow(self, here: Here, attends: bool) -> int:
        """Show what comes until the session is deleted."""
        topics = (f"session:{self._id}",)
        first = (AttachSession(id=self._id),) if attends else ()
        for event in here.follow(topics, None, self._begin, first):
            if not self._heed(event):
                return FINE
        return FINE

    def _begin(self, _: int) -> None:
        self._read()
        self._surface.note("following; Ctrl-C ends")

    def _heed(self, event: Event | Lost) -> bool:
        """Take a change in; whether there is more to come."""
        if isinstance(event, Lost):
            self._read()
        elif event.change.entity == DATABASE:
            # All of the state may be that of an earlier time.
            self._number = min(self._number, self._call(GetSession(id=self._id)).messages)
            self._read()
        elif event.change.entity == "message":
            # Those of one call come one by one, when all of them have been shown.
            if event.change.number is None or event.change.number > self._number:
                self._read()
        elif event.change.event in _ENDS:
            self._surface.note(f"the session was {event.change.event.partition('.')[2]}")
            return event.change.event != "session.deleted"
        return True

    def _read(self) -> None:
        for message in messages(self._call, self._id, self._number, _ALL):
            show_messages((message,), self._surface)
            self._number = message.number


def send(wanted: Say, call: Caller, surface: Surface) -> int:
    """Say something."""
    if not wanted.text and surface.here is not None and surface.here.terminal() is not None:
        surface.note("type what is to be said; Ctrl-D on a line of its own ends it, Ctrl-C gives it up")
    text = " ".join(wanted.text) if wanted.text else surface.stdin().removesuffix("\n")
    if len(text) > CONTENT_CHARACTERS:
        raise UsageError(
            f"the message has {len(text):,} characters, and one can have {CONTENT_CHARACTERS:,}",
            "Send it in several parts.",
        )
    if not text.strip():
        raise UsageError("there is nothing to send: the text is blank", "kept session send ID TEXT")
    sent = call(
        SendMessage(
            session_id=session_id(wanted.id, call),
            content=text,
            role=wanted.role,
            speaker=wanted.speaker,
            on_secret=wanted.on_secret,
        )
    )
    if surface.json:
        show_json(sent, surface)
        return FINE
    surface.line(f"sent #{sent.number}")
    if sent.warning is not None:
        surface.note(f"note: {clean(sent.warning)}")
    return FINE


_ID = "0190f3c2-7d1e-7b52-9c0e-5a1d3f6b8e20"

TALK = (
    Command(
        ("session", "new"),
        NewSession,
        new,
        by_position=("title",),
        examples=('kept session new "move the API" --project web-1a2b3c4d', "kept session new --parent last"),
    ),
    Command(
        ("session", "show"),
        ShowSession,
        show,
        by_position=("id",),
        short=(("-n", "last"),),
        examples=(
            "kept session show last",
            f"kept session show {_ID} -n 100",
            f"kept session show {_ID} --all",
        ),
    ),
    Command(
        ("session", "tail"),
        TailSession,
        tail,
        by_position=("id",),
        short=(("-n", "last"), ("-f", "follow")),
        examples=("kept session tail last -f", f"kept session tail {_ID} -f -n 0 --json"),
    ),
    Command(
        ("session", "send"),
        Say,
        send,
        by_position=("id", "text"),
        examples=(
            'kept session send last "the port is 8080"',
            f"git diff | kept session send {_ID} --role tool --speaker git",
        ),
    ),
)
