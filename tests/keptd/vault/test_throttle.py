"""Wrong passwords where the disk takes nothing, and those of agents."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from keptd.store.database import open_reader
from keptd.vault import store
from tests.harness import Daemon, Peer
from tests.small_disk import small_disk

from .room import OTHER, PASSWORD, accesses, agent, disk, guarded, made, tampered

pytestmark = pytest.mark.anyio


def counted(daemon: Daemon, *, of_agents: bool = False) -> int:
    """How many are on disk."""
    db = open_reader(Path(daemon.paths.database))
    try:
        return store.failures(db, of_agents).number
    finally:
        db.close()


async def wrong(peer: Peer) -> dict[str, Any]:
    data: dict[str, Any] = (await peer.ask("vault.unlock", password="wrong"))["error"]["data"]
    return data


@pytest.mark.parametrize("fault", [apsw.FullError, apsw.IOError])
async def test_a_wrong_password_that_the_disk_doesnt_take_slows_down_as_any_other(
    daemon: Daemon, peer: Peer, fault: type[apsw.Error]
) -> None:
    with disk(daemon, fault):
        told = [await wrong(peer) for _ in range(3)]
        assert [(one["type"], one["failures"], one["retry_after_ms"]) for one in told] == [
            ("denied", 1, 0),
            ("denied", 2, 0),
            ("denied", 3, 1000),
        ]
        assert (await wrong(peer))["type"] == "busy"
    assert counted(daemon) == 0
    daemon.clock.advance(1)
    assert (await wrong(peer))["failures"] == counted(daemon) == 4
    daemon.clock.advance(2)
    await peer.result("vault.unlock", password=PASSWORD)
    assert (await peer.result("vault.status"))["failures"] == counted(daemon) == 0
    with disk(daemon, apsw.FullError):
        await wrong(peer)
        assert (await peer.result("vault.unlock", password=PASSWORD))["failures"] == 0


async def test_a_wrong_password_is_told_and_counted_while_another_program_has_the_database(
    daemon: Daemon, peer: Peer
) -> None:
    await peer.result("vault.lock")
    writer: Any = daemon.supervisor._store.writer
    writer._db.set_busy_timeout(1)
    with closing(apsw.Connection(daemon.paths.database, vfs="cksmvfs")) as other:
        other.execute("BEGIN IMMEDIATE")
        told = [await wrong(peer) for _ in range(4)]
        assert [one["type"] for one in told] == ["denied", "denied", "denied", "busy"]
        assert told[3]["retry_after_ms"] == 1000
        # The right one tells nothing else, and is not tried either.
        assert await peer.refusal("vault.rotate", password=PASSWORD) == (-32007, "busy")
        other.execute("ROLLBACK")
    daemon.clock.advance(1)
    assert (await wrong(peer))["failures"] == counted(daemon) == 4


@pytest.mark.parametrize(("stored", "then"), [((1 << 63) - 1, 1_000_000), (-5, 1)])
async def test_a_count_that_something_else_wrote_goes_on_within_bounds(
    home: Path, anyio_backend: object, stored: int, then: int
) -> None:
    async with guarded(home) as daemon:
        await made(daemon)
    tampered(home, lambda db: db.execute("INSERT INTO vault_guard VALUES (0, ?, 0)", (stored,)))
    tampered(home, lambda db: db.execute("UPDATE vault SET created_at = ?", (stored,)))
    async with guarded(home, daemon.clock) as daemon:
        peer = await daemon.connect()
        assert (await peer.result("vault.status"))["state"] == "locked"
        daemon.clock.advance(900)
        assert (await wrong(peer))["failures"] == counted(daemon) == then


async def test_a_full_disk_keeps_nobody_from_reading_their_secrets(home: Path, anyio_backend: object) -> None:
    async with guarded(home) as daemon:
        peer = await made(daemon)
        await peer.result("vault.store", name="a", value="at hand")
    # More is asked for than the vault has: it would be wrapped anew.
    async with guarded(home, daemon.clock, vault__passes="3") as daemon:
        peer = await daemon.connect()
        for _ in range(3):
            await wrong(peer)
        daemon.clock.advance(1)
        with disk(daemon, apsw.FullError):
            status = await peer.result("vault.unlock", password=PASSWORD)
            assert (status["state"], status["kdf"]["passes"], status["failures"]) == ("unlocked", 2, 3)
            assert (await peer.result("vault.retrieve", id="a"))["value"] == "at hand"
            assert await peer.refusal("vault.store", name="b", value=1) == (-32008, "storage_full")
            params = {"password": PASSWORD, "new_password": OTHER}
            assert await peer.refusal("vault.change_password", **params) == (-32008, "storage_full")
            assert await peer.refusal("vault.rotate", password=PASSWORD) == (-32008, "storage_full")
            assert await peer.refusal("vault.export_key", password=PASSWORD) == (-32008, "storage_full")
            await peer.result("vault.lock")
            assert (await peer.result("vault.unlock", password=PASSWORD))["state"] == "unlocked"
        await peer.result("vault.store", name="b", value=1)
        assert ("unlock", "ok") not in await accesses(peer)
        status = await peer.result("vault.unlock", password=PASSWORD)
        assert (status["kdf"]["passes"], status["failures"]) == (3, 0)


async def test_a_vault_opens_on_a_disk_that_others_filled(tmp_path: Path, anyio_backend: object) -> None:

    with small_disk(tmp_path, "24m") as room:
        async with guarded(room.folder, storage__ballast_bytes=str(1 << 20)) as daemon:
            peer = await made(daemon)
            await peer.result("vault.store", name="a", value="at hand")
            await peer.result("vault.lock")
            # What is held back for a full disk is taken from it, round by round.
            for _ in range(3):
                room.fill()
                await peer.refusal("memory.set", key="k", value="v" * 900_000)
                room.fill()
                await wrong(peer)
                daemon.clock.advance(10)
                assert (await peer.result("vault.unlock", password=PASSWORD))["state"] == "unlocked"
                assert (await peer.result("vault.retrieve", id="a"))["value"] == "at hand"
                await peer.result("vault.lock")
            room.clear()


async def test_an_agent_that_guesses_slows_down_agents_alone(home: Path, anyio_backend: object) -> None:
    async with guarded(home) as daemon:
        person, bot = await made(daemon), await agent(daemon)
        await person.result("vault.lock")
        for failures in range(1, 6):
            assert (await wrong(bot))["failures"] == failures
            daemon.clock.advance(8)
        assert (await wrong(bot))["retry_after_ms"] == 8000
        assert await bot.refusal("vault.unlock", password=PASSWORD) == (-32007, "busy")
        told = await person.result("vault.status")
        assert (told["failures"], told["agents_failures"], told["retry_after_ms"]) == (0, 6, 0)
        assert (await bot.result("vault.status"))["failures"] == 6
        await person.result("vault.unlock", password=PASSWORD)
        assert counted(daemon, of_agents=True) == 6
        assert await bot.refusal("vault.unlock", password=PASSWORD) == (-32007, "busy")
    daemon.clock.pause(0, "another")
    async with guarded(home, daemon.clock) as daemon:
        bot = await agent(daemon)
        assert await bot.refusal("vault.unlock", password=PASSWORD) == (-32007, "busy")
        daemon.clock.advance(8)
        await bot.result("vault.unlock", password=PASSWORD)
        assert (await bot.result("vault.status"))["agents_failures"] == 0


async def test_who_guesses_as_a_person_slows_down_no_agent(daemon: Daemon, peer: Peer) -> None:
    bot = await agent(daemon)
    for _ in range(3):
        assert (await wrong(peer))["type"] == "denied"
    assert await peer.refusal("vault.change_password", password=PASSWORD, new_password=OTHER) == (-32007, "busy")
    assert (await bot.result("vault.unlock", password=PASSWORD))["failures"] == 0
    assert (await peer.result("vault.status"))["failures"] == 3
