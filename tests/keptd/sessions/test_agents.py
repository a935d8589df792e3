"""Three agents in one session, of which one dies: who is there, and what each has said, in its order."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from anyio.abc import TaskGroup

import kept
from kept.stream import AsyncClient
from kept.wire.event import Event
from kept.wire.message import ListMessages, Message, NewMessage, SendMessage
from kept.wire.session import AttachSession, CreateSession, GetSession
from tests.harness import Process, patience

pytestmark = pytest.mark.anyio

ROUNDS = 30
SIZE = 4

AGENT = """
import sys
from tests.keptd.sessions.test_agents import at_work, connected
import anyio

async def main(home, name, session):
    async with connected(home, name) as agent:
        await at_work(agent, session, name, rounds=sys.maxsize)

anyio.run(main, *sys.argv[1:])
"""


def connected(home: Path | str, name: str) -> AsyncClient:
    return kept.connect_async(name, environ={"KEPT_HOME": str(home)}, start=False)


async def at_work(agent: AsyncClient, session_id: str, name: str, rounds: int = ROUNDS) -> None:
    """Come into the session, and say so many batches."""
    await agent.call(AttachSession(id=session_id))
    for place in range(rounds):
        said = (NewMessage(role="assistant", content=f"{place}.{part}", speaker=name) for part in range(SIZE))
        await agent.call(SendMessage(session_id=session_id, messages=tuple(said)))


async def test_the_batches_of_each_are_whole_and_in_order_and_who_dies_is_there_no_more(home: Path) -> None:
    with Process(home):
        async with connected(home, "watcher") as watcher:
            session = (await watcher.call(CreateSession(title="work"))).id
            with _victim(home, session) as process, patience("three agents at work"):
                async with connected(home, "one") as one, connected(home, "two") as two:
                    async with watcher.subscribe([f"session:{session}"], since=0) as changes:
                        async with anyio.create_task_group() as tasks:
                            _begin(tasks, session, one=one, two=two)
                            # In the middle of its work, not between two batches that somebody waits for.
                            said = 0
                            async for change in changes:
                                assert isinstance(change, Event)
                                said += change.change.actor.pid == process.pid and change.change.number is not None
                                if said == 5 * SIZE:
                                    break
                            process.kill()
                        async for change in changes:
                            assert isinstance(change, Event)
                            if change.change.event == "session.detached":
                                assert change.change.actor.client == "victim"
                                break
                    there = (await watcher.call(GetSession(id=session))).attached
                    assert {who.client for who in there} == {"one", "two"}
            found: list[Message] = []
            while page := (await watcher.call(ListMessages(session_id=session, after=len(found), limit=1000))).items:
                found += page
    assert [one.number for one in found] == list(range(1, len(found) + 1))
    for name in ("one", "two", "victim"):
        own = [one for one in found if one.speaker == name]
        batches = len(own) // SIZE
        assert batches >= 5 if name == "victim" else batches == ROUNDS
        assert [one.content for one in own] == [f"{place}.{part}" for place in range(batches) for part in range(SIZE)]
        # Nobody comes between those of one batch.
        firsts = [one.number for one in own[::SIZE]]
        assert [one.number for one in own] == [first + part for first in firsts for part in range(SIZE)]


def _victim(home: Path, session: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", AGENT, str(home), "victim", session])


def _begin(tasks: TaskGroup, session: str, **agents: AsyncClient) -> None:
    for name, agent in agents.items():
        tasks.start_soon(at_work, agent, session, name)
