"""What the lock before a sleep puts an end to, and what it waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import anyio.to_thread
import pytest

from keptd.vault import entries, sleep
from keptd.vault.keys import DataKey
from keptd.vault.store import EntryRow
from tests.harness import PATIENCE, Daemon, Peer, request

from .room import PASSWORD, accesses, keyring

pytestmark = pytest.mark.anyio


async def lock_of(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Coroutine[Any, Any, None]]:
    """What a daemon does before a sleep."""
    found: list[Callable[[], Coroutine[Any, Any, None]]] = []

    async def heed(lock: Callable[[], Coroutine[Any, Any, None]]) -> None:
        found.append(lock)

    with monkeypatch.context() as patch:
        patch.setattr(sleep, "heed", heed)
        await sleep.follow(daemon.supervisor._store, daemon.clock)
    return found[0]


async def test_an_unlock_that_is_on_its_way_when_the_machine_sleeps_comes_too_late(
    daemon: Daemon, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = await lock_of(daemon, monkeypatch)
    await peer.result("vault.lock")
    async with anyio.create_task_group() as tasks:
        async with keyring(daemon).turn:
            await peer.send(request("unlock", "vault.unlock", password=PASSWORD))
            await daemon.until("it waits for its turn", lambda: keyring(daemon).turn.statistics().tasks_waiting)
            locks = keyring(daemon).locks
            tasks.start_soon(lock)
            await daemon.until("it is locked", lambda: keyring(daemon).locks > locks)
        assert (await peer.error())[2] == "conflict"
    assert (await peer.result("vault.status"))["state"] == "locked"
    told = [("init", "ok"), ("lock", "ok"), ("unlock", "locked")]
    assert await accesses(peer) == told, "what was locked is not written down once more"


async def test_the_machine_waits_until_no_thread_has_a_key_any_more(
    daemon: Daemon, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = await lock_of(daemon, monkeypatch)
    await peer.result("vault.store", name="a", value=1)
    sealing, go = threading.Event(), threading.Event()
    with_keys: list[DataKey] = []
    seal = entries.seal

    def held(key: DataKey, *rest: Any) -> EntryRow:
        with_keys.append(key)
        sealing.set()
        assert go.wait(PATIENCE)
        return seal(key, *rest)

    monkeypatch.setattr(entries, "seal", held)
    over = False

    async def before_sleep() -> None:
        nonlocal over
        await lock()
        over = True

    async with anyio.create_task_group() as tasks:
        await peer.send(request("rotate", "vault.rotate", password=PASSWORD))
        await anyio.to_thread.run_sync(sealing.wait, PATIENCE)
        tasks.start_soon(before_sleep)
        turn = keyring(daemon).turn
        await daemon.until("it waits", lambda: turn.statistics().tasks_waiting)
        assert (keyring(daemon).opened, over, with_keys[0].is_wiped) == (None, False, False)
        go.set()
    assert over
    assert with_keys[0].is_wiped


async def test_a_thread_that_does_not_end_delays_the_sleep_for_some_time_only(
    daemon: Daemon, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = await lock_of(daemon, monkeypatch)
    monkeypatch.setattr(sleep, "_SETTLING_SECONDS", 0.0)
    async with anyio.create_task_group() as tasks, keyring(daemon).turn:
        tasks.start_soon(lock)
        await daemon.until("it is locked", lambda: keyring(daemon).opened is None)
        await daemon.until("it is given up", lambda: not keyring(daemon).turn.statistics().tasks_waiting)
