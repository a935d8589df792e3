"""How far a call is, told to whoever follows it: the blocking and the asynchronous client."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from threading import Event
from typing import Any

import pytest

import kept
from kept.faults import NoReply
from kept.wire import Progress
from kept.wire.backup import ListBackups
from kept.wire.memory import GetMemory, SetMemory

from .scripted import Request, Step, environment, line, memory, once, result, serving

EMPTY = {"items": [], "folder": "/f", "bytes": 0}

HOSTILE: list[Any] = [
    {"id": None},
    {"id": 1, "done": "many"},
    {"id": 1, "total": 2.5},
    {"id": 1, "text": 7},
    {"id": [1]},
    [],
    None,
    "text",
]
"""Progress of forms that no client knows."""


def told(number: Any, **params: Any) -> bytes:
    return line({"method": "$/progress", "params": {"id": number, **params}})


def long_work(request: Request) -> Iterable[Step] | None:
    """Tells twice of the call, once of another, and in ways that nobody knows."""
    if request["method"] == "daemon.hello":
        return None
    number = request["id"]
    strange = [line({"method": "$/progress", "params": params}) for params in HOSTILE]
    own = [told(number, done=done, total=4, text="copying") for done in (1, 2)]
    return [*own, told(number + 1, done=9), *strange, told(number, later="field"), result(request, EMPTY)]


EXPECTED = [(1, 4, "copying"), (2, 4, "copying"), (0, 0, "")]


def parts(progress: Iterable[Progress]) -> list[tuple[int, int, str]]:
    return [(one.done, one.total, one.text) for one in progress]


def test_whoever_follows_a_call_is_told_of_that_call_alone(tmp_path: Path) -> None:
    followed: list[Progress] = []
    with serving(tmp_path, long_work), kept.connect(environ=environment(tmp_path), start=False) as client:
        client.call(ListBackups(), progress=followed.append)
        assert parts(followed) == EXPECTED
        client.call(ListBackups())
        assert len(followed) == len(EXPECTED)


def test_a_read_can_be_followed_on_a_connection_that_is_open(tmp_path: Path) -> None:
    followed: list[Progress] = []

    def script(request: Request) -> Iterable[Step] | None:
        if request["method"] != "memory.get":
            return None
        return [told(request["id"], text="reading", elapsed_ms=1200), result(request, memory("k", 1))]

    with serving(tmp_path, script), kept.connect(environ=environment(tmp_path), start=False) as client:
        client.call(SetMemory(key="k", value=1))
        assert client.call(GetMemory(key="k"), progress=followed.append).value == 1
        assert client.call(GetMemory(key="k")).value == 1
    assert [one.elapsed_ms for one in followed] == [1200]


def test_what_a_follower_raises_ends_the_call_and_the_next_one_is_answered(tmp_path: Path) -> None:
    def refuse(_progress: Progress) -> None:
        raise KeyboardInterrupt

    with serving(tmp_path, long_work) as server, kept.connect(environ=environment(tmp_path), start=False) as client:
        with pytest.raises(KeyboardInterrupt):
            client.call(ListBackups(), progress=refuse)
        assert client.call(ListBackups()).folder == "/f"
        assert server.connections == 2


@pytest.mark.anyio
async def test_a_task_that_follows_a_call_gets_the_latest(tmp_path: Path) -> None:
    followed: list[Progress] = []
    with serving(tmp_path, long_work):
        async with kept.connect_async(environ=environment(tmp_path), start=False) as client:
            await client.call(ListBackups(), progress=followed.append)
    assert set(parts(followed)) <= set(EXPECTED)


@pytest.mark.anyio
async def test_what_a_follower_raises_arrives_in_its_own_task_and_cancels_the_call(tmp_path: Path) -> None:
    def script(request: Request) -> Iterable[Step] | None:
        return [told(request["id"], done=1)] if request["method"] == "backup.list" else None

    def refuse(_progress: Progress) -> None:
        raise ZeroDivisionError

    with serving(tmp_path, script) as server:
        async with kept.connect_async(environ=environment(tmp_path), start=False) as client:
            with pytest.raises(ZeroDivisionError):
                await client.call(ListBackups(), progress=refuse)
            await client.call(SetMemory(key="k", value=1))
    assert server.methods == ["backup.list", "$/cancelRequest", "memory.set"]
    assert server.connections == 1


@pytest.mark.anyio
async def test_a_daemon_that_says_nothing_of_a_followed_call_is_given_up(tmp_path: Path) -> None:
    with serving(tmp_path, once(method="backup.list")):
        async with kept.connect_async(environ=environment(tmp_path), start=False, reply_seconds=0.01) as client:
            with pytest.raises(NoReply):
                await client.call(ListBackups(), progress=print)


@pytest.mark.anyio
async def test_a_call_is_not_given_up_while_the_daemon_tells_of_it(tmp_path: Path) -> None:
    """Each message comes well within the time of a reply, all of them together do not."""

    def script(request: Request) -> Iterable[Step] | None:
        if request["method"] != "backup.list":
            return None
        steps: list[Step] = []
        for done in range(5):
            steps += [told(request["id"], done=done), lambda: Event().wait(0.3)]
        return [*steps, result(request, EMPTY)]

    followed: list[Progress] = []
    with serving(tmp_path, script):
        async with kept.connect_async(environ=environment(tmp_path), start=False, reply_seconds=1.0) as client:
            assert (await client.call(ListBackups())).folder == "/f"
            assert (await client.call(ListBackups(), progress=followed.append)).folder == "/f"
    assert [one.done for one in followed] == sorted({one.done for one in followed})
