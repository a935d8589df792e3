"""What becomes of a command line when its caller changes its mind or goes, and where its requests are checked."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from keptd.rpc.dispatch import Dispatcher
from keptd.store.readers import Readers, ReadJob
from tests.harness import Daemon, Peer, notification, request

pytestmark = pytest.mark.anyio


@pytest.fixture
async def loaded(peer: Peer) -> Peer:
    """The first command loads the command line, which takes its time."""
    assert (await peer.result("cli.run", argv=["--version"]))["code"] == 0
    return peer


async def cancelled_at(daemon: Daemon, peer: Peer, *, begun: bool) -> Any:
    """The reply to a command that writes and was cancelled: while its write was queued, or after it had begun."""
    with daemon.clock.holding("writer", passes=0):
        if not begun:
            await peer.send(request("first", "memory.set", key="first", value=1))
            await daemon.clock.reached()
        await peer.send(request(1, "cli.run", argv=["log", "words"]))
        if begun:
            await daemon.clock.reached()
        else:
            await daemon.until("it is queued", lambda: daemon.supervisor._store.writer.queued() == 1)
        await peer.send(notification("$/cancelRequest", id=1), request(2, "daemon.ping"))
        assert (await peer.receive())["id"] == 2
    replies = [await peer.receive() for _ in range(1 if begun else 2)]
    return next(reply for reply in replies if reply["id"] == 1)


@pytest.mark.parametrize("begun", [False, True])
async def test_a_cancelled_command_tells_what_has_become_of_its_write(
    daemon: Daemon, loaded: Peer, begun: bool
) -> None:
    reply = await cancelled_at(daemon, loaded, begun=begun)
    await loaded.result("memory.set", key="after", value=1)  # Whatever was begun is done by now.
    written = (await loaded.result("action.list"))["items"]
    assert bool(written) == ("result" in reply and reply["result"]["code"] == 0), json.dumps(reply)
    assert ("Nothing was written" in str(reply)) is not bool(written)


async def test_a_read_on_behalf_of_a_caller_that_has_gone_is_given_up(
    daemon: Daemon, loaded: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[ReadJob] = []
    submit = Readers.submit

    def note(readers: Readers, job: ReadJob) -> None:
        asked.append(job)
        submit(readers, job)

    monkeypatch.setattr(Readers, "submit", note)
    with daemon.clock.holding("reader"):
        await loaded.send(request(1, "cli.run", argv=["memory", "search", "words"]))
        await daemon.clock.reached()
        await loaded.close()
        await daemon.until("the read is given up", lambda: asked[0].cancelled)
    await (await daemon.connect()).is_served()


async def test_what_a_command_asks_for_is_checked_in_its_own_thread(
    loaded: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = threading.get_ident()
    checked: list[int] = []
    prepare = Dispatcher.prepare

    def note(dispatcher: Dispatcher, line: bytes) -> Any:
        if b'"memory.get"' in line:
            checked.append(threading.get_ident())
        return prepare(dispatcher, line)

    monkeypatch.setattr(Dispatcher, "prepare", note)
    await loaded.result("cli.run", argv=["memory", "get", "k"])
    assert checked
    assert home not in checked


async def test_a_command_that_is_asked_again_under_its_key_writes_nothing_twice(loaded: Peer) -> None:
    first = await loaded.result("cli.run", argv=["log", "words"], key="once")
    assert await loaded.result("cli.run", argv=["log", "words"], key="once") == first
    assert len((await loaded.result("action.list"))["items"]) == 1
    await loaded.result("cli.run", argv=["log", "words"], key="another")
    await loaded.result("cli.run", argv=["log", "words"])
    assert len((await loaded.result("action.list"))["items"]) == 3
    refused = await loaded.result("cli.run", argv=["log", "other words"], key="once")
    assert (refused["code"], "used for another request" in refused["err"]) == (1, True)


async def test_a_key_of_the_callers_own_counts_before_that_of_its_command(loaded: Peer) -> None:
    argv = ["rpc", "action.log", json.dumps({"action": "words", "idempotency_key": "mine"})]
    await loaded.result("cli.run", argv=argv, key="one")
    await loaded.result("cli.run", argv=argv, key="two")
    assert len((await loaded.result("action.list"))["items"]) == 1


async def test_an_agent_that_may_not_is_told_kindly_whom_to_ask(loaded: Peer) -> None:
    backup = await loaded.result("backup.create")
    await loaded.result("daemon.hello", client="claude", kind="agent")
    for verb, what in (("restore", "go back to a backup"), ("delete", "delete backups")):
        refused = await loaded.result("cli.run", argv=["backup", verb, backup["id"]])
        assert refused["code"] == 1
        assert refused["err"] == f"kept: an agent doesn't {what}\nhint: Ask a person to do it.\n"
