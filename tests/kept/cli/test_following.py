"""Following a conversation, with changes that a test plays."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from kept.wire import Call
from kept.wire.errors import NotFound, QuotaExceeded, StorageFull
from kept.wire.event import DATABASE, Event, Lost
from kept.wire.message import GetMessage, ListMessages, NewMessage, SendMessage
from kept.wire.session import AttachSession, CreateSession, DeleteSession, GetSession, Session

from .test_local import LOST, Played, event
from .typing_at import OverTheWire, Printed, type_in

Step = Callable[[], Event | Lost]


class Live(Played):
    """A client's process in which something happens before each event; attaching is refused with `refusal`."""

    def __init__(self, *steps: Step, refusal: Exception | None = None) -> None:
        super().__init__()
        self.steps = steps
        self.refusal = refusal

    def follow(
        self,
        topics: tuple[str, ...] | None,
        since: int | None,
        begun: Callable[[int], object],
        first: tuple[Call[Any], ...] = (),
    ) -> Iterator[Event | Lost]:
        self.first = first
        if first and self.refusal is not None:
            raise self.refusal
        begun(7)
        for step in self.steps:
            yield step()


class Counting:
    """Passes calls on, and keeps them."""

    def __init__(self, rooms: OverTheWire) -> None:
        self.rooms = rooms
        self.asked: list[Call[Any]] = []

    def __call__(self, call: Call[Any], /) -> Any:
        self.asked.append(call)
        return self.rooms(call)


def change(entity: str, entity_id: str, name: str | None, number: int | None = None) -> Event:
    like = event(9, "x")
    return Event(
        subscription_id=like.subscription_id,
        change=msgspec.structs.replace(like.change, entity=entity, entity_id=entity_id, event=name, number=number),
    )


@pytest.fixture
def session(rooms: OverTheWire) -> Session:
    return rooms(CreateSession(title="a talk"))


def says(rooms: OverTheWire, session: Session, *texts: str) -> Step:
    """Say this, and give the change of the last of it."""

    def step() -> Event:
        said = tuple(NewMessage(role="user", content=text) for text in texts)
        sent = rooms(SendMessage(session_id=session.id, messages=said))
        return change("message", sent.id, "message.sent", sent.number)

    return step


def follow(call: Counting | OverTheWire, here: Live, *options: str) -> Printed:
    return type_in(["session", "tail", "last", "-f", *options], call, here=here)


def shown(printed: Printed) -> list[str]:
    return re.findall(r"^  (.*)$", printed.out, re.MULTILINE)


def test_each_message_is_shown_once_and_its_change_asks_for_nothing_again(rooms: OverTheWire, session: Session) -> None:
    counting = Counting(rooms)
    listed: list[int] = []

    def lists() -> int:
        return sum(isinstance(call, ListMessages) for call in counting.asked)

    def told_again() -> Event:
        listed.append(lists())
        (newest,) = rooms(ListMessages(session_id=session.id, before=3, limit=1)).items
        return change("message", newest.id, "message.sent", newest.number)

    here = Live(says(rooms, session, "one", "two", "three"), told_again)
    assert shown(follow(counting, here)) == ["one", "two", "three"]
    assert listed == [lists()]
    assert here.first == (AttachSession(id=session.id),)


def test_what_was_passed_over_is_read(rooms: OverTheWire, session: Session) -> None:
    def lose() -> Lost:
        says(rooms, session, "one")()
        return LOST

    assert shown(follow(rooms, Live(lose, says(rooms, session, "two")))) == ["one", "two"]


def test_after_the_database_went_back_new_messages_are_shown_again(rooms: OverTheWire, session: Session) -> None:
    says(rooms, session, "one", "two")()

    class GoneBack(Counting):
        def __call__(self, call: Call[Any], /) -> Any:
            found = super().__call__(call)
            again = isinstance(call, GetSession) and sum(isinstance(each, GetSession) for each in self.asked) > 1
            return msgspec.structs.replace(found, messages=1) if again else found

    here = Live(lambda: change(DATABASE, "", None))
    assert shown(follow(GoneBack(rooms), here, "-n", "0")) == ["two"]


def test_what_came_in_the_place_of_messages_that_were_undone_is_shown(rooms: OverTheWire, session: Session) -> None:
    class Undone(Counting):
        """The second message was another when it was shown."""

        def __call__(self, call: Call[Any], /) -> Any:
            found = super().__call__(call)
            if isinstance(call, GetMessage) and found.number == 2:
                raise NotFound("there is no such message")
            return found

    here = Live(says(rooms, session, "one", "two"), lambda: change(DATABASE, "", None))
    printed = follow(Undone(rooms), here)
    assert shown(printed) == ["one", "two", "two"]
    assert "1 message above did not stay" in printed.err


def test_it_ends_with_the_session_and_goes_on_when_it_is_closed(rooms: OverTheWire, session: Session) -> None:
    def delete() -> Event:
        rooms(DeleteSession(id=session.id))
        return change("session", session.id, "session.deleted")

    here = Live(
        lambda: change("session", session.id, "session.attached"),
        lambda: change("session", session.id, "session.closed"),
        says(rooms, session, "after"),
        delete,
        says(rooms, session, "never"),
    )
    printed = follow(rooms, here)
    assert (printed.code, shown(printed)) == (0, ["after"])
    assert printed.err == "following; Ctrl-C ends\nthe session was closed\nthe session was deleted\n"


@pytest.mark.parametrize("refusal", [StorageFull("the disk is full"), QuotaExceeded("too many")])
def test_who_can_not_be_there_may_read_all_the_same(rooms: OverTheWire, session: Session, refusal: Exception) -> None:
    printed = follow(rooms, Live(says(rooms, session, "one"), refusal=refusal))
    assert (printed.code, shown(printed)) == (0, ["one"])


def test_any_other_refusal_is_told(rooms: OverTheWire, session: Session) -> None:
    printed = follow(rooms, Live(refusal=NotFound("there is no such session")))
    assert (printed.code, printed.err.splitlines()[0]) == (1, "kept: there is no such session")
