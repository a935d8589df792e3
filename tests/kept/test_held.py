"""What a connection holds is held again after it was lost: in both libraries, by a daemon that is killed and comes
back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import kept
from kept.client import Client
from kept.held import NotHeld
from kept.stream import AsyncClient
from kept.wire import Call
from kept.wire.catalog import calls
from kept.wire.errors import KeptError, NotFound
from kept.wire.message import SendMessage
from kept.wire.session import AttachSession, CreateSession, DeleteSession, DetachSession, GetSession
from tests.harness import Process

from .scripted import environment

Told = list[tuple[Call[Any], KeptError]]


def client(home: Path, name: str, told: Told | None = None) -> Client:
    return kept.connect(
        name, environ=environment(home), start=False, **({} if told is None else {"on_let_go": collect(told)})
    )


def async_client(home: Path, name: str, told: Told) -> AsyncClient:
    return kept.connect_async(name, environ=environment(home), start=False, on_let_go=collect(told))


def collect(told: Told) -> Any:
    return lambda call, refusal: told.append((call, refusal))


def there(home: Path, session_id: str) -> list[str]:
    """Who is in a session, asked by somebody else."""
    with client(home, "asker") as asker:
        return [who.client for who in asker.call(GetSession(id=session_id)).attached]


@contextmanager
def killed(first: Process, home: Path) -> Iterator[Process]:
    """The daemon that takes the place of one that was killed."""
    first.popen.kill()
    first.popen.wait()
    with Process(home) as second:
        yield second


def test_a_client_is_in_its_sessions_again_before_the_call_that_connects_it_is_sent(home: Path) -> None:
    with Process(home) as first, client(home, "agent") as agent:
        stays, left = (agent.call(CreateSession(title=title)).id for title in ("stays", "left"))
        for session in (stays, left):
            agent.call(AttachSession(id=session))
        agent.call(DetachSession(id=left))
        with killed(first, home):
            assert there(home, stays) == []
            assert [who.client for who in agent.call(GetSession(id=stays)).attached] == ["agent"]
            assert there(home, left) == []
            assert agent.call(DetachSession(id=stays)).attached == ()


def test_a_batch_attaches_as_a_call_does(home: Path) -> None:
    with Process(home) as first, client(home, "agent") as agent:
        one, two = (agent.call(CreateSession(title=title)).id for title in ("one", "two"))
        agent.batch([AttachSession(id=one), AttachSession(id=two), DetachSession(id=one)])
        with killed(first, home):
            said = [SendMessage(session_id=session, content="on") for session in (one, two)]
            assert len(agent.batch(said)) == 2
            assert (there(home, one), there(home, two)) == ([], ["agent"])


def test_attaching_and_detaching_are_repeated_when_the_connection_is_lost(home: Path) -> None:
    with Process(home) as first, client(home, "agent") as agent:
        session = agent.call(CreateSession(title="talk")).id
        with killed(first, home) as second:
            agent.call(AttachSession(id=session))
            assert there(home, session) == ["agent"]
            with killed(second, home):
                assert agent.call(DetachSession(id=session)).attached == ()
                assert there(home, session) == []


def test_a_session_that_was_deleted_meanwhile_is_told_and_the_call_is_answered(home: Path) -> None:
    told: Told = []
    with Process(home) as first, client(home, "agent", told) as agent:
        gone, stays = (agent.call(CreateSession(title=title)).id for title in ("gone", "stays"))
        for session in (gone, stays):
            agent.call(AttachSession(id=session))
        with killed(first, home) as second:
            with client(home, "other") as other:
                other.call(DeleteSession(id=gone))
            assert [who.client for who in agent.call(GetSession(id=stays)).attached] == ["agent"]
            assert [(call, type(refusal)) for call, refusal in told] == [(AttachSession(id=gone), NotFound)]
            with killed(second, home):
                assert [who.client for who in agent.call(GetSession(id=stays)).attached] == ["agent"]
                assert len(told) == 1


def test_who_asked_for_nothing_else_is_told_by_a_warning(home: Path) -> None:
    with Process(home) as first, client(home, "agent") as agent:
        gone = agent.call(CreateSession(title="gone")).id
        agent.call(AttachSession(id=gone))
        with killed(first, home):
            with client(home, "other") as other:
                other.call(DeleteSession(id=gone))
            with pytest.warns(NotHeld, match="session.attach was refused on a new connection: there is no such"):
                assert agent.call(CreateSession(title="next")).title == "next"


def test_what_was_closed_on_purpose_holds_nothing_again(home: Path) -> None:
    with Process(home), client(home, "agent") as agent:
        session = agent.call(CreateSession(title="talk")).id
        agent.call(AttachSession(id=session))
        agent.close()
        assert agent.call(GetSession(id=session)).id == session
        agent.close()
        assert not agent._held.calls()


def test_what_is_followed_on_a_connection_of_its_own_is_in_no_session(home: Path) -> None:
    with Process(home) as first, client(home, "agent") as agent:
        session = agent.call(CreateSession(title="talk")).id
        agent.call(AttachSession(id=session))
        with agent.subscribe():
            assert there(home, session) == ["agent"]
        with killed(first, home), agent.subscribe():
            assert there(home, session) == []


@pytest.mark.anyio
async def test_the_asynchronous_client_is_in_its_sessions_again_as_well(home: Path) -> None:
    told: Told = []
    with Process(home) as first:
        async with async_client(home, "agent", told) as agent:
            stays, left, gone = [(await agent.call(CreateSession(title=title))).id for title in ("s", "l", "g")]
            for session in (stays, left, gone):
                await agent.call(AttachSession(id=session))
            await agent.call(DetachSession(id=left))
            with killed(first, home) as second:
                with client(home, "other") as other:
                    other.call(DeleteSession(id=gone))
                assert [who.client for who in (await agent.call(GetSession(id=stays))).attached] == ["agent"]
                assert (await agent.call(GetSession(id=left))).attached == ()
                assert [(call, type(refusal)) for call, refusal in told] == [(AttachSession(id=gone), NotFound)]
                with killed(second, home):
                    assert (await agent.call(DetachSession(id=stays))).attached == ()
                    assert len(told) == 1


def test_what_lets_go_names_what_holds_by_the_same_parameter() -> None:
    for call in calls().values():
        if call.holds is not None:
            assert call.holds in call.__struct_fields__
        if call.lets_go is not None:
            assert call.lets_go.holds in call.__struct_fields__
    assert {name for name, call in calls().items() if call.holds} == {"session.attach"}
