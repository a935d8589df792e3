"""Looks on their way into the audit list."""

from __future__ import annotations

import apsw
import pytest

from keptd.vault.audit import Note
from keptd.vault.audit_queue import MOST
from tests.harness import Daemon, Peer, request
from tests.rooms import ACTOR

from .room import accesses, disk, keyring

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quick_passwords")]


async def test_looks_that_come_one_after_the_other_go_together_and_in_order(daemon: Daemon, peer: Peer) -> None:
    queue, store = keyring(daemon).audit_queue, daemon.supervisor._store
    await queue.settled()
    daemon.clock.advance(1)
    before = store.writer.stats.writes
    for number in range(50):
        queue.add(store, daemon.clock, ACTOR, Note(f"look {number}"))
    await daemon.until("the first is written", lambda: store.writer.stats.writes == before + 1)
    daemon.clock.advance(1)
    await daemon.until("the others are", lambda: store.writer.stats.writes == before + 2)
    assert [action for action, _ in await accesses(peer)][1:] == [f"look {number}" for number in range(50)]


async def test_no_more_looks_wait_than_one_write_should_have(daemon: Daemon, peer: Peer) -> None:
    queue, store = keyring(daemon).audit_queue, daemon.supervisor._store
    await queue.settled()
    before = store.writer.stats.writes
    for _ in range(2 * MOST):
        queue.add(store, daemon.clock, ACTOR, Note("look"))
    await daemon.until("they are written", lambda: store.writer.stats.writes >= before + 2)


async def test_whoever_asks_for_the_list_sees_what_came_before(daemon: Daemon, peer: Peer) -> None:
    for _ in range(3):
        await peer.result("vault.list")
    items = (await peer.result("vault.audit", action="list"))["items"]
    assert len(items) == 3


async def test_a_change_comes_behind_the_looks_before_it(daemon: Daemon, peer: Peer) -> None:
    looks = [request(number, "vault.list") for number in range(5)]
    await peer.send(*looks, request("s", "vault.store", name="a", value=1))
    for _ in range(6):
        assert "result" in await peer.receive()
    assert [action for action, _ in await accesses(peer)] == ["init", *["list"] * 5, "store"]


async def test_a_look_that_can_not_be_written_down_is_told_by_the_log(daemon: Daemon, peer: Peer) -> None:
    with disk(daemon, apsw.FullError):
        await peer.result("vault.list")
        await keyring(daemon).audit_queue.settled()
    assert "the vault's audit list misses something" in daemon.log()
    await peer.result("vault.list")
    assert await accesses(peer, action="list") == [("list", "ok")]
