"""When the vault opens, when it falls shut, and what a wrong password costs."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import anyio
import apsw
import msgspec
import pytest

from kept.wire.vault import InitVault
from keptd import vault
from keptd.config import Vault
from keptd.domain import JobCtx, to_nobody
from keptd.vault import opening, throttle
from tests.harness import Daemon, Peer, request
from tests.rooms import ACTOR

from .room import PASSWORD, accesses, agent, disk, guarded, keyring, made
from .strongbox import strongbox

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quick_passwords")]


async def state(peer: Peer) -> str:
    return str((await peer.result("vault.status"))["state"])


async def test_a_vault_is_made_once_and_by_a_person(daemon: Daemon) -> None:
    peer, bot = await daemon.connect(), await agent(daemon)
    assert await bot.refusal("vault.init", password=PASSWORD) == (-32004, "denied")
    assert await peer.refusal("vault.init", password="short") == (-32602, "invalid_params")
    with disk(daemon, apsw.FullError):
        assert await peer.refusal("vault.init", password=PASSWORD) == (-32008, "storage_full")
    assert await state(peer) == "absent"

    status = await peer.result("vault.init", password=PASSWORD)
    assert (status["state"], status["counter"], status["key_version"]) == ("unlocked", 1, 1)
    assert status["kdf"] == {"memory_kib": 19456, "passes": 2, "lanes": 1}
    assert await peer.refusal("vault.init", password=PASSWORD) == (-32002, "conflict")


async def test_a_vault_is_locked_and_said_to_be_where_that_cant_be_written_down(daemon: Daemon) -> None:
    peer = await made(daemon)
    for fault in (apsw.FullError, apsw.IOError):
        with disk(daemon, fault):
            assert (await peer.result("vault.lock"))["state"] == "locked"
        assert await state(peer) == "locked"
        await peer.result("vault.unlock", password=PASSWORD)
    assert await accesses(peer, action="lock") == []


async def test_of_two_that_make_the_vault_at_once_one_does(daemon: Daemon) -> None:
    peers = [await daemon.connect() for _ in range(3)]
    types: list[Any] = []

    async def make(peer: Peer) -> None:
        reply = await peer.ask("vault.init", password=PASSWORD)
        types.append(reply.get("error", {}).get("data", {}).get("type"))

    async with anyio.create_task_group() as tasks:
        for peer in peers:
            tasks.start_soon(make, peer)
    assert sorted(types, key=str) == [None, "conflict", "conflict"]


async def test_wrong_passwords_wait_longer_and_longer_also_after_a_restart(home: Path, anyio_backend: object) -> None:
    async with guarded(home) as daemon:
        clock, peer = daemon.clock, await made(daemon)
        await peer.result("vault.lock")
        for failures, wait in ((1, 0), (2, 0), (3, 1000)):
            told = (await peer.ask("vault.unlock", password="wrong"))["error"]["data"]
            assert (told["type"], told["failures"], told["retry_after_ms"]) == ("denied", failures, wait)
        # Refused untried, and so not counted.
        assert await peer.refusal("vault.unlock", password=PASSWORD) == (-32007, "busy")
        clock.advance(1)
        assert (await peer.ask("vault.unlock", password="wrong"))["error"]["data"]["retry_after_ms"] == 2000
        events = (await peer.result("event.list", topics=["vault.refused"]))["items"]
        assert len(events) == 4
    clock.pause(1, "second")
    async with guarded(home, clock) as daemon:
        peer = await daemon.connect()
        status = await peer.result("vault.status")
        assert (status["state"], status["failures"], status["retry_after_ms"]) == ("locked", 4, 1000)
        clock.put(-86_400)
        assert (await peer.result("vault.status"))["retry_after_ms"] == 2000
        clock.put(86_400)
        clock.advance(1)
        status = await peer.result("vault.unlock", password=PASSWORD)
        assert (status["state"], status["failures"]) == ("unlocked", 0)
        assert [outcome for action, outcome in await accesses(peer, action="unlock")] == ["wrong_password"] * 4 + ["ok"]


async def test_a_clock_that_is_set_does_not_shorten_the_wait(daemon: Daemon, peer: Peer) -> None:
    for _ in range(3):
        await peer.refusal("vault.unlock", password="wrong")
    daemon.clock.put(86_400)
    assert await peer.refusal("vault.unlock", password=PASSWORD) == (-32007, "busy")


def test_the_wait_doubles_from_a_second_to_a_quarter_of_an_hour() -> None:
    assert [throttle.pause(failures) for failures in (0, 2, 3, 4, 5, 12, 13, 10**9)] == [0, 0, 1, 2, 4, 512, 900, 900]


@pytest.mark.parametrize(
    "method", ["vault.unlock", "vault.change_password", "vault.rotate", "vault.export_key"], ids=str
)
async def test_whatever_takes_the_password_counts_it_when_it_is_wrong(daemon: Daemon, method: str) -> None:
    peer = await made(daemon)
    params = {"new_password": "another one"} if method == "vault.change_password" else {}
    assert await peer.refusal(method, password="wrong", **params) == (-32004, "denied")
    assert await peer.refusal(method, password="wrong", **params) == (-32004, "denied")
    assert await peer.refusal(method, password="wrong", **params) == (-32004, "denied")
    for each in ("vault.unlock", "vault.rotate", "vault.export_key", "vault.change_password"):
        extra = {"new_password": "another one"} if each == "vault.change_password" else {}
        assert await peer.refusal(each, password=PASSWORD, **extra) == (-32007, "busy")
    daemon.clock.advance(1)
    await peer.result("vault.unlock", password=PASSWORD)
    assert (await peer.result("vault.status"))["failures"] == 0


async def test_too_many_passwords_at_once_are_refused_untried(daemon: Daemon, peer: Peer) -> None:
    ring = keyring(daemon)
    async with ring.deriving:
        for number in range(opening.QUEUE):
            await peer.send(request(number, "vault.unlock", password=PASSWORD))
        await daemon.until("they wait", lambda: ring.deriving.statistics().tasks_waiting == opening.QUEUE)
        other = await daemon.connect()
        assert await other.refusal("vault.unlock", password=PASSWORD) == (-32007, "busy")
        await peer.close()
    await daemon.until("nobody waits", lambda: not ring.deriving.locked())


async def test_the_status_says_until_when_it_is_open(daemon: Daemon, peer: Peer) -> None:
    daemon.clock.advance(60)
    status = await peer.result("vault.status")
    assert (status["unlocked_at"], status["locks_at"], status["locks_by"]) == (
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:10:00Z",
        "2026-01-01T02:00:00Z",
    )
    status = await peer.result("vault.lock")
    assert (status["unlocked_at"], status["locks_at"], status["locks_by"]) == (None, None, None)


async def test_a_weak_vault_is_made_as_strong_as_the_settings_ask_by_the_next_unlock(
    home: Path, anyio_backend: object
) -> None:
    async with guarded(home) as daemon:
        await (await made(daemon)).result("vault.store", name="a", value=1)
    async with guarded(home, vault__passes="3") as daemon:
        peer = await made(daemon)
        status = await peer.result("vault.status")
        assert (status["kdf"]["passes"], status["counter"]) == (3, 3)
    async with guarded(home) as daemon:
        peer = await made(daemon)
        assert (await peer.result("vault.status"))["kdf"]["passes"] == 3
        assert (await peer.result("vault.retrieve", id="a"))["value"] == 1


async def test_who_reads_while_it_is_made_stronger_is_not_locked_out(daemon: Daemon, peer: Peer) -> None:
    await peer.result("vault.store", name="a", value=1)
    overridden = daemon.supervisor._config
    settings = msgspec.structs.replace(overridden.vault, passes=3)
    daemon.supervisor._dispatcher.configure(msgspec.structs.replace(overridden, vault=settings), daemon.served())
    other, done = await daemon.connect(), anyio.Event()

    async def unlock() -> None:
        assert (await other.result("vault.unlock", password=PASSWORD))["kdf"]["passes"] == 3
        done.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(unlock)
        while not done.is_set():
            assert (await peer.result("vault.retrieve", id="a"))["value"] == 1


async def test_it_falls_shut_when_nobody_uses_it_and_when_its_longest_time_is_over(daemon: Daemon, peer: Peer) -> None:
    clock = daemon.clock
    clock.advance(599)
    await peer.result("vault.list")
    clock.advance(599)
    # To look how it is, is no use of it.
    assert await state(peer) == "unlocked"
    clock.advance(2)
    assert await state(peer) == "locked"
    assert (await accesses(peer))[-1] == ("lock", "ok")
    events = (await peer.result("event.list", topics=["vault.locked"]))["items"]
    assert [event["actor"]["client"] for event in events] == ["keptd"]

    await peer.result("vault.unlock", password=PASSWORD)
    for _ in range(14):
        clock.advance(500)
        await peer.result("vault.list")
    clock.advance(201)
    assert await peer.refusal("vault.list") == (-32003, "locked")

    await peer.result("vault.unlock", password=PASSWORD)
    clock.suspend(601)
    assert await peer.refusal("vault.list") == (-32003, "locked")


async def test_only_what_is_given_or_changed_keeps_it_open(daemon: Daemon, peer: Peer) -> None:
    bot = await agent(daemon)
    await peer.result("vault.store", name="mine", value=1)
    await peer.result("vault.store", name="readable", value=2, agent_readable=True)
    uses: list[tuple[Peer, str, dict[str, Any]]] = [
        (bot, "vault.retrieve", {"id": "readable"}),
        (bot, "vault.list", {}),
        (peer, "vault.search", {"query": "mine"}),
        (peer, "vault.update", {"id": "mine", "value": 3}),
    ]
    for by, method, params in uses:
        daemon.clock.advance(599)
        await by.result(method, **params)
    daemon.clock.advance(599)
    refused: list[tuple[Peer, str, dict[str, Any]]] = [
        (bot, "vault.retrieve", {"id": "mine"}),
        (bot, "vault.update", {"id": "mine", "value": 4}),
        (bot, "vault.delete", {"id": "readable"}),
        (peer, "vault.retrieve", {"id": "nothing"}),
        (peer, "vault.store", {"name": "mine", "value": 5}),
        (peer, "vault.confirm", {"id": "nobody", "answer": "allow"}),
    ]
    for by, method, params in refused:
        await by.refusal(method, **params)
    await peer.result("vault.requests")
    await peer.result("vault.audit", id="mine")
    assert await state(peer) == "unlocked"
    daemon.clock.advance(2)
    assert await state(peer) == "locked"


async def test_it_locks_itself_in_time_also_where_an_agent_has_paused_the_job(daemon: Daemon, peer: Peer) -> None:
    bot, ring = await agent(daemon), keyring(daemon)
    assert (await bot.result("job.pause", name="vault.auto_lock"))["paused"]
    daemon.clock.advance(599)
    await peer.result("vault.list")
    # What waited for the former moment looks again.
    daemon.clock.advance(2)
    await peer.result("daemon.ping")
    assert ring.opened is not None
    daemon.clock.advance(599)
    await daemon.until("it is locked, though nobody calls", lambda: ring.opened is None)
    assert (await accesses(peer))[-1] == ("lock", "ok")
    assert (await peer.result("job.run", name="vault.auto_lock"))["summary"] == "nothing to lock"

    await peer.result("vault.unlock", password=PASSWORD)
    daemon.clock.suspend(7201)
    await daemon.until("it is locked after each unlock", lambda: ring.opened is None)


async def test_the_job_finds_it_unlocked_too_long(tmp_path: Path) -> None:
    async with strongbox(tmp_path, settings=Vault(memory_kib=19456, passes=2, lanes=1)) as box:
        await box(InitVault(password=PASSWORD))
        job = next(one for one in vault.DOMAIN.jobs if one.name == "vault.auto_lock")
        ctx = JobCtx(box.store, box.clock, box.config, ACTOR, to_nobody)
        assert await job.run(ctx) == "nothing to lock"
        box.clock.advance(601)
        assert await job.run(ctx) == "locked"
        assert box.keyring.opened is None


async def test_requests_that_run_while_it_is_locked_finish_or_are_refused(daemon: Daemon, peer: Peer) -> None:
    others = [await daemon.connect() for _ in range(4)]
    begun = anyio.Event()
    kept: list[str] = []

    async def keep_storing(peer: Peer, number: int) -> None:
        for place in count():
            name = f"{number} {place}"
            reply = await peer.ask("vault.store", name=name, value=place)
            if "error" in reply:
                assert reply["error"]["data"]["type"] == "locked"
                return
            kept.append(name)
            begun.set()

    async with anyio.create_task_group() as tasks:
        for number, other in enumerate(others):
            tasks.start_soon(keep_storing, other, number)
        await begun.wait()
        await peer.result("vault.lock")
    await peer.result("vault.unlock", password=PASSWORD)
    assert {entry["name"] for entry in (await peer.result("vault.list", limit=1000))["items"]} == set(kept)


async def test_an_agent_that_knows_the_password_may_unlock_and_lock(daemon: Daemon, peer: Peer) -> None:
    bot = await agent(daemon)
    assert (await bot.result("vault.lock"))["state"] == "locked"
    assert (await bot.result("vault.unlock", password=PASSWORD))["state"] == "unlocked"


async def test_a_reload_changes_the_time_at_once(daemon: Daemon, peer: Peer) -> None:
    daemon.clock.advance(10)
    daemon.reconfigure(vault__idle_seconds="5")
    await peer.result("daemon.reload")
    assert await state(peer) == "locked"
