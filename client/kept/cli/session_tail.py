"""`kept session tail`: what is said in a conversation, as it comes, across restarts of the daemon."""

from __future__ import annotations

from collections import deque
from typing import Annotated

from msgspec import Meta, Struct

from ..wire.errors import NotFound, QuotaExceeded, StorageFull
from ..wire.event import DATABASE, Event, Lost
from ..wire.message import GetMessage
from ..wire.session import AttachSession, GetSession, Session
from .parse import Command
from .surface import FINE, Caller, Here, Surface, the_caller
from .talk import EXAMPLE_ID, INSIDE_MESSAGES, Last, SessionOrLast, said_in, session_id
from .text import counted
from .transcript import messages, show_messages

_ALL = 2**53

_REMEMBERED = 1000
"""How many messages can be undone, and what comes in their place be shown."""

_ENDS = ("session.closed", "session.reopened", "session.deleted")
"""What whoever follows a session is told of it."""


class TailSession(Struct, frozen=True, kw_only=True):
    """Show the newest messages of a conversation; with -f those that come as well, until Ctrl-C.

    Whoever follows is in the session meanwhile, as `kept session ls` shows. It goes on when the daemon is started anew.
    With --json each message is a document on a line of its own.
    """

    id: SessionOrLast
    last: Last = 10
    follow: Annotated[bool, Meta(description="Go on, and show each message when it comes.")] = False


def tail(wanted: TailSession, call: Caller, surface: Surface) -> int:
    """Show the newest messages, and those that come."""
    here = the_caller(surface) if wanted.follow or wanted.last > INSIDE_MESSAGES else None
    session = call(GetSession(id=session_id(wanted.id, call)))
    if here is None or not wanted.follow:
        show_messages(said_in(call, session, wanted.last, surface), surface)
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
        self._shown: deque[tuple[int, str]] = deque(maxlen=_REMEMBERED)
        """The newest of them, each with its number and its id."""

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
        if isinstance(event, Lost) or event.change.entity == DATABASE:
            # All of the state may be that of an earlier time.
            self._step_back()
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
            self._shown.append((message.number, message.id))

    def _step_back(self) -> None:
        """Go on behind the last message that was shown and is still said: since then, others may have its number."""
        undone = 0
        while self._shown and not self._is_said(*self._shown[-1]):
            self._number = self._shown.pop()[0] - 1
            undone += 1
        self._number = min(self._number, self._call(GetSession(id=self._id)).messages)
        if undone:
            self._surface.note(f"kept went back to an earlier state: {counted(undone, 'message')} above did not stay")

    def _is_said(self, number: int, message_id: str) -> bool:
        try:
            return self._call(GetMessage(id=message_id)).number == number
        except NotFound:
            return False


SESSION_TAIL = Command(
    ("session", "tail"),
    TailSession,
    tail,
    by_position=("id",),
    short=(("-n", "last"), ("-f", "follow")),
    examples=("kept session tail last -f", f"kept session tail {EXAMPLE_ID} -f -n 0 --json"),
)
