"""An agent asks for a secret, and a person says yes or no."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from keptd.vault import consent
from tests.harness import Daemon, Peer, request

from .room import accesses, agent, keyring

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quick_passwords")]


@asynccontextmanager
async def waiting(daemon: Daemon, peer: Peer, bot: Peer) -> AsyncIterator[dict[str, Any]]:
    """The agent waits; what it is told in the end comes next on its connection."""
    await bot.send(request("r", "vault.retrieve", id="mine", wait_seconds=60))
    await daemon.until("it waits", keyring(daemon).asking.all)
    (asked,) = (await peer.result("vault.requests"))["items"]
    told = (await bot.receive())["params"]
    assert (told["id"], told["text"].split()[-4:]) == ("r", ["vault", "confirm", asked["id"], "allow"])
    yield asked


@pytest.fixture
async def bot(daemon: Daemon, peer: Peer) -> Peer:
    await peer.result("vault.store", name="mine", value="sesame")
    return await agent(daemon)


async def test_a_confirmed_request_gets_the_value_this_once(daemon: Daemon, peer: Peer, bot: Peer) -> None:
    async with waiting(daemon, peer, bot) as asked:
        assert (asked["name"], asked["client"], asked["purpose"]) == ("mine", "bot", "read")
        told = (await peer.result("event.list", topics=["vault.asked"]))["items"]
        assert [event["entity_id"] for event in told] == [asked["entry_id"]]
        other = await agent(daemon)
        assert await other.refusal("vault.confirm", id=asked["id"], answer="allow") == (-32004, "denied")
        await peer.result("vault.confirm", id=asked["id"], answer="allow")
    assert (await bot.receive())["result"]["value"] == "sesame"
    assert await bot.refusal("vault.retrieve", id="mine") == (-32004, "denied")
    assert await accesses(peer, id=asked["entry_id"]) == [
        *[("store", "ok"), ("ask", "ok"), ("confirm", "denied"), ("confirm", "ok"), ("retrieve", "ok")],
        ("retrieve", "denied"),
    ]


async def test_who_is_asked_learns_whether_the_agent_will_see_it(daemon: Daemon, peer: Peer, bot: Peer) -> None:
    await bot.send(request("r", "vault.retrieve", id="mine", purpose="lend", wait_seconds=60))
    await daemon.until("it waits", keyring(daemon).asking.all)
    (asked,) = (await peer.result("vault.requests"))["items"]
    assert asked["purpose"] == "lend"
    assert (await peer.result("vault.confirm", id=asked["id"], answer="allow"))["purpose"] == "lend"
    assert (await bot.receive())["method"] == "$/progress"
    assert (await bot.receive())["result"]["value"] == "sesame"
    assert ("ask_lend", "ok") in await accesses(peer, id=asked["entry_id"])


async def test_a_refused_a_late_and_a_locked_out_request_get_nothing(daemon: Daemon, peer: Peer, bot: Peer) -> None:
    async with waiting(daemon, peer, bot) as asked:
        await peer.result("vault.confirm", id=asked["id"], answer="deny")
    refused = (await bot.receive())["error"]
    assert (refused["code"], refused["data"]["type"]) == (-32004, "denied")
    # Who was told no is not told to ask again.
    assert "wait_seconds" not in refused["data"]["hint"]
    assert await peer.refusal("vault.confirm", id=asked["id"], answer="allow") == (-32001, "not_found")

    async with waiting(daemon, peer, bot):
        daemon.clock.advance(60)
    assert (await bot.error())[1:] == (-32004, "denied")

    async with waiting(daemon, peer, bot) as asked:
        await peer.result("vault.lock")
    assert (await bot.error())[1:] == (-32003, "locked")
    assert await peer.refusal("vault.confirm", id=asked["id"], answer="allow") == (-32003, "locked")


async def test_who_hangs_up_waits_no_more(daemon: Daemon, peer: Peer, bot: Peer) -> None:
    async with waiting(daemon, peer, bot):
        await bot.close()
    await daemon.until("nobody waits", lambda: not keyring(daemon).asking.all())
    assert (await peer.result("vault.requests"))["items"] == []


async def test_too_many_that_wait_are_refused(
    daemon: Daemon, peer: Peer, bot: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consent, "MOST", 1)
    other = await agent(daemon)
    async with waiting(daemon, peer, bot) as asked:
        assert await other.refusal("vault.retrieve", id="mine", wait_seconds=1) == (-32007, "busy")
        await peer.result("vault.confirm", id=asked["id"], answer="allow")
    assert (await bot.receive())["result"]["value"] == "sesame"


async def test_what_was_changed_while_the_agent_waited_is_what_it_gets(daemon: Daemon, peer: Peer, bot: Peer) -> None:
    async with waiting(daemon, peer, bot) as asked:
        await peer.result("vault.update", id="mine", value="new", name="renamed")
        await peer.result("vault.confirm", id=asked["id"], answer="allow")
    assert (await bot.receive())["result"]["value"] == "new"

    await bot.send(request("r", "vault.retrieve", id="renamed", wait_seconds=60))
    assert (await bot.receive())["method"] == "$/progress"
    await peer.result("vault.delete", id="renamed")
    (asked,) = (await peer.result("vault.requests"))["items"]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: peer.result("vault.confirm", id=asked["id"], answer="allow"))
        assert (await bot.error())[1:] == (-32001, "not_found")
