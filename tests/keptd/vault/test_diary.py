"""Looks on their way into the audit list."""

from __future__ import annotations

import apsw
import pytest

from keptd.vault.audit import Note
from tests.harness import Daemon, Peer, request
from tests.rooms import ACTOR

from .room import accesses, disk, keyring

pytestmark = pytest.mark.anyio


async def test_looks_that_come_while_one_is_written_go_together_and_in_order(daemon: Daemon, peer: Peer) -> None:
    diary, store = keyring(daemon).diary, daemon.supervisor._store
    await daemon.until("all is written", lambda: not diary._is_writing)
    before = store.writer.stats.writes
    for number in range(50):
        diary.add(store, daemon.clock, ACTOR, Note(f"look {number}"))
    await daemon.until("all is written", lambda: not diary._is_writing)
    assert store.writer.stats.writes - before == 2
    assert [action for action, _ in await accesses(peer)][1:] == [f"look {number}" for number in range(50)]


async def test_a_change_comes_behind_the_looks_before_it(daemon: Daemon, peer: Peer) -> None:
    looks = [request(number, "vault.list") for number in range(5)]
    await peer.send(*looks, request("s", "vault.store", name="a", value=1))
    for _ in range(6):
        assert "result" in await peer.receive()
    assert [action for action, _ in await accesses(peer)] == ["init", *["list"] * 5, "store"]


async def test_a_look_that_can_not_be_written_down_is_told_by_the_log(daemon: Daemon, peer: Peer) -> None:
    with disk(daemon, apsw.FullError):
        await peer.result("vault.list")
        await daemon.until("it was tried", lambda: not keyring(daemon).diary._is_writing)
    assert "the vault's audit list misses something" in daemon.log()
    await peer.result("vault.list")
    assert await accesses(peer, action="list") == [("list", "ok")]
