"""Other passwords, other keys, and the way back with a code."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import anyio
import apsw
import pytest

from keptd import offload
from keptd.vault import changing, entries
from keptd.vault.store import EntryRow
from tests.harness import PATIENCE, Daemon, Peer, notification, request

from .room import OTHER, PASSWORD, accesses, agent, disk, guarded, keyring, made, progress_of, rows

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quick_passwords")]


async def opens(peer: Peer, password: str) -> bool:
    await peer.result("vault.lock")
    return "result" in await peer.ask("vault.unlock", password=password)


async def test_another_password_opens_what_the_former_did_and_the_former_nothing(daemon: Daemon, peer: Peer) -> None:
    await peer.result("vault.store", name="a", value=1)
    before = await peer.result("vault.status")
    after = await peer.result("vault.change_password", password=PASSWORD, new_password=OTHER)

    assert (after["counter"], after["key_version"]) == (before["counter"] + 1, 1)
    assert not await opens(peer, PASSWORD)
    assert await opens(peer, OTHER)
    assert (await peer.result("vault.retrieve", id="a"))["value"] == 1
    events = (await peer.result("event.list", topics=["vault.password_changed"]))["items"]
    assert len(events) == 1


async def test_a_rotation_seals_everything_anew_and_tells_what_it_made_void(daemon: Daemon, peer: Peer) -> None:
    for number in range(5):
        await peer.result("vault.store", name=f"n{number}", value=number)
    code = (await peer.result("vault.export_key", password=PASSWORD))["code"]
    before = rows(daemon)
    done = await peer.result("vault.rotate", password=PASSWORD)

    assert done == {"entries": 5, "key_version": 2, "recovery_code_void": True, "dropped": []}
    for old, new in zip(before, rows(daemon), strict=True):
        assert (old.id, old.revision) == (new.id, new.revision)
        assert not {old.about, old.value, old.value_mark, old.name_hash} & {*new[:2], *new[4:]}
    assert [(await peer.result("vault.retrieve", id=f"n{number}"))["value"] for number in range(5)] == [*range(5)]
    assert await peer.refusal("vault.recover", code=code, new_password=OTHER) == (-32002, "conflict")
    assert await opens(peer, PASSWORD)
    assert (await peer.result("vault.retrieve", id="n3"))["version"] == 1


async def test_reading_goes_on_while_everything_is_sealed_anew_and_changes_come_after_it(
    daemon: Daemon, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await peer.result("vault.store", name="a", value=1)
    other, third = await daemon.connect(), await daemon.connect()
    began, go = anyio.Event(), anyio.Event()
    seal = changing._sealed_anew

    def held(*given: object) -> object:
        anyio.from_thread.run_sync(began.set)
        anyio.from_thread.run(go.wait)
        return seal(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(changing, "_sealed_anew", held)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: peer.result("vault.rotate", password=PASSWORD))
        await began.wait()
        tasks.start_soon(lambda: third.result("vault.update", id="a", value=2))
        assert (await other.result("vault.retrieve", id="a"))["value"] == 1
        assert (await other.result("vault.status"))["key_version"] == 1
        go.set()
    assert await other.result("vault.retrieve", id="a") == {
        **(await other.result("vault.list"))["items"][0],
        "value": 2,
    }
    assert (await other.result("vault.status"))["key_version"] == 2


async def test_a_code_is_the_way_back_until_the_next_one(daemon: Daemon, peer: Peer) -> None:
    await peer.result("vault.store", name="a", value=1)
    assert await peer.refusal("vault.recover", code="word", new_password=OTHER) == (-32602, "invalid_params")
    first = await peer.result("vault.export_key", password=PASSWORD)
    code = await peer.result("vault.export_key", password=PASSWORD)
    assert len(code["code"].split()) == 24
    assert (await peer.result("vault.status"))["has_recovery_code"]
    await peer.result("vault.lock")

    assert await peer.refusal("vault.recover", code=first["code"], new_password=OTHER) == (-32004, "denied")
    with disk(daemon, apsw.FullError):
        assert await peer.refusal("vault.recover", code=code["code"], new_password=OTHER) == (-32008, "storage_full")
    status = await peer.result("vault.recover", code=code["code"], new_password=OTHER)
    assert (status["state"], status["failures"]) == ("unlocked", 0)
    assert (await peer.result("vault.retrieve", id="a"))["value"] == 1
    assert not await opens(peer, PASSWORD)
    assert await opens(peer, OTHER)
    assert (await peer.result("vault.recover", code=code["code"], new_password=PASSWORD))["state"] == "unlocked"


async def test_codes_are_counted_and_slowed_down_as_passwords_are(daemon: Daemon, peer: Peer) -> None:
    code = (await peer.result("vault.export_key", password=PASSWORD))["code"]
    await peer.result("vault.export_key", password=PASSWORD)
    for _ in range(3):
        assert await peer.refusal("vault.recover", code=code, new_password=OTHER) == (-32004, "denied")
    assert await peer.refusal("vault.recover", code=code, new_password=OTHER) == (-32007, "busy")
    assert await peer.refusal("vault.unlock", password=PASSWORD) == (-32007, "busy")
    assert [outcome for _, outcome in await accesses(peer, action="recover")] == ["wrong_password"] * 3


async def test_no_agent_changes_keys_and_nobody_recovers_what_is_not_there(daemon: Daemon) -> None:
    peer, bot = await daemon.connect(), await agent(daemon)
    code = " ".join(["abandon"] * 23 + ["art"])
    assert await peer.refusal("vault.recover", code=code, new_password=OTHER) == (-32001, "not_found")
    await peer.result("vault.init", password=PASSWORD)
    for method, params in (
        ("vault.change_password", {"password": PASSWORD, "new_password": OTHER}),
        ("vault.rotate", {"password": PASSWORD}),
        ("vault.export_key", {"password": PASSWORD}),
        ("vault.recover", {"code": code, "new_password": OTHER}),
    ):
        assert await bot.refusal(method, **params) == (-32004, "denied")
        if method != "vault.recover":
            assert await peer.refusal(method, **params | {"password": "wrong"}) == (-32004, "denied")
            daemon.clock.advance(1000)


@pytest.mark.parametrize("fault", [apsw.FullError, apsw.IOError], ids=["full", "failing"])
async def test_what_could_not_be_written_leaves_the_old_password_and_the_old_keys(
    home: Path, anyio_backend: object, fault: type[apsw.Error]
) -> None:
    expected = (-32008, "storage_full") if fault is apsw.FullError else (-32009, "storage_failed")
    async with guarded(home) as daemon:
        peer = await made(daemon)
        await peer.result("vault.store", name="a", value=1)
        for method, params in (
            ("vault.change_password", {"password": PASSWORD, "new_password": OTHER}),
            ("vault.rotate", {"password": PASSWORD}),
            ("vault.export_key", {"password": PASSWORD}),
        ):
            with disk(daemon, fault):
                assert await peer.refusal(method, **params) == expected
            daemon.clock.advance(60)
            await daemon.until("the disk works", lambda: daemon.supervisor._store.writer.stats.state != "failed")
            status = await peer.result("vault.unlock", password=PASSWORD)
            assert (status["key_version"], status["counter"], status["has_recovery_code"]) == (1, 2, False)
            assert (await peer.result("vault.retrieve", id="a"))["value"] == 1


async def test_of_two_changes_of_the_password_at_once_one_is_made(daemon: Daemon, peer: Peer) -> None:
    other = await daemon.connect()
    types = []

    async def change(peer: Peer, new: str) -> None:
        reply = await peer.ask("vault.change_password", password=PASSWORD, new_password=new)
        types.append((reply.get("error", {}).get("data", {}).get("type"), new))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(change, peer, OTHER)
        tasks.start_soon(change, other, "third password")
    (won,) = [new for refused, new in types if refused is None]
    assert {refused for refused, _ in types} - {None} <= {"conflict", "denied"}
    assert await opens(peer, won)


async def test_a_password_that_was_changed_while_another_change_waited_is_told_so(daemon: Daemon, peer: Peer) -> None:
    """Each proves the password first, and takes its turn then."""
    ring, other = keyring(daemon), await daemon.connect()
    for method in ("vault.rotate", "vault.export_key", "vault.unlock"):
        types: list[str] = []

        async def ask(method: str = method, into: list[str] = types) -> None:
            into.append((await peer.ask(method, password=PASSWORD))["error"]["data"]["type"])

        async with anyio.create_task_group() as tasks, ring.turn:
            tasks.start_soon(lambda: other.result("vault.change_password", password=PASSWORD, new_password=OTHER))
            await daemon.until("it waits", lambda: ring.turn.statistics().tasks_waiting == 1)
            tasks.start_soon(ask)
            await daemon.until("it waits as well", lambda: ring.turn.statistics().tasks_waiting == 2)
        assert types == ["conflict"], method
        await other.result("vault.change_password", password=OTHER, new_password=PASSWORD)
    assert await peer.refusal("vault.export_key", password=OTHER) == (-32004, "denied")


async def test_a_rotation_tells_how_far_it_is(peer: Peer) -> None:
    for number in range(3):
        await peer.result("vault.store", name=f"n{number}", value=number)
    result, told = await progress_of(peer, "vault.rotate", password=PASSWORD)
    assert result["entries"] == 3
    # How many are told in between depends on how long it takes.
    assert (told[0], told[-1]) == ((0, 3, "sealing anew"), (0, 0, "writing"))
    assert told[:-1] == sorted(told[:-1])


async def test_a_rotation_that_nobody_waits_for_any_more_changes_nothing(
    daemon: Daemon, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        await peer.result("vault.store", name=f"n{number}", value=number)
    before = await peer.result("vault.status")
    sealing, go = threading.Event(), threading.Event()
    seal = entries.seal

    def held(*given: Any) -> EntryRow:
        sealing.set()
        assert go.wait(PATIENCE)
        return seal(*given)

    with monkeypatch.context() as patch:
        patch.setattr(entries, "seal", held)
        patch.setattr(offload, "BEAT_SECONDS", 0)
        other = await daemon.connect()
        await other.send(request("long", "vault.rotate", password=PASSWORD))
        await daemon.until("it seals", sealing.is_set)
        await other.send(notification("$/cancelRequest", id="long"))
        await other.is_served()
        go.set()
        await daemon.until("it has ended", lambda: not keyring(daemon).turn.locked())
    after = await peer.result("vault.status")
    assert (after["counter"], after["key_version"]) == (before["counter"], 1)
    assert (await peer.result("vault.retrieve", id="n2"))["value"] == 2
