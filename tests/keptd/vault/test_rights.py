"""What agents may do with an entry, where a backup or an import takes the place of what is kept."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import apsw
import pytest

from kept.wire.event import DATABASE
from keptd.store.changes import ChangeLog
from keptd.vault import audit, entries, store
from keptd.vault.audit import Note
from keptd.vault.entries import About
from keptd.vault.keys import DataKey
from keptd.vault.visit import record
from tests.harness import Daemon, Peer
from tests.keptd.house import House
from tests.rooms import ACTOR

from .room import OTHER, PASSWORD, agent, guarded, made, tampered

pytestmark = pytest.mark.anyio

RIGHTS = {"agent_readable": True, "agent_usable": True}


async def readable(bot: Peer) -> set[str]:
    """The entries that an agent may read; one that it may read or lend has both rights here."""
    may = set()
    for entry in (await bot.result("vault.list"))["items"]:
        for purpose in ("read", "lend"):
            if "result" in await bot.ask("vault.retrieve", id=entry["id"], purpose=purpose):
                assert entry["agent_readable"] or entry["agent_usable"]
                may.add(entry["name"])
    return may


async def go_back(peer: Peer, backup: dict[str, Any], password: str = PASSWORD) -> dict[str, Any]:
    await peer.result("backup.restore", id=backup["id"])
    status: dict[str, Any] = await peer.result("vault.unlock", password=password)
    return status


async def test_a_right_that_was_taken_back_returns_with_no_backup(daemon: Daemon, peer: Peer) -> None:
    bot = await agent(daemon)
    for name in ("a", "b", "gone", "same"):
        await peer.result("vault.store", name=name, value=name, **RIGHTS)
    await peer.result("vault.store", name="people", value="p")
    backup = await peer.result("backup.create")
    for name in ("a", "b"):
        await peer.result("vault.update", id=name, agent_readable=False, agent_usable=False)
    await peer.result("vault.update", id="people", value="q")
    await peer.result("vault.delete", id="gone")

    # Going back once more changes nothing of that.
    for _ in range(2):
        assert (await go_back(peer, backup))["rights_withheld"] == 3
        assert await readable(bot) == {"same"}
    listed = {entry["name"]: entry["rights_withheld"] for entry in (await peer.result("vault.list"))["items"]}
    assert listed == {"a": True, "b": True, "gone": True, "same": False, "people": False}

    await peer.result("vault.update", id="a", agent_readable=True)
    await peer.result("vault.update", id="b", tags=["sealed anew without"])
    await peer.result("vault.rotate", password=PASSWORD)
    assert (await peer.result("vault.status"))["rights_withheld"] == 1
    assert await readable(bot) == {"a", "same"}
    await peer.result("vault.lock")
    assert (await peer.result("vault.unlock", password=PASSWORD))["rights_withheld"] == 1
    assert await readable(bot) == {"a", "same"}
    await peer.result("vault.delete", id="gone")
    await peer.result("vault.lock")
    assert (await peer.result("vault.unlock", password=PASSWORD))["rights_withheld"] == 0
    assert await readable(bot) == {"a", "same"}


async def test_rights_outlast_a_change_of_password_and_not_a_rotation_where_a_backup_comes_back(
    daemon: Daemon, peer: Peer
) -> None:
    bot = await agent(daemon)
    await peer.result("vault.store", name="a", value=1, **RIGHTS)
    backup = await peer.result("backup.create")
    await peer.result("vault.change_password", password=PASSWORD, new_password=OTHER)
    assert (await go_back(peer, backup))["rights_withheld"] == 0
    assert await readable(bot) == {"a"}
    # Sealed under another key, it can't be told from one that was changed.
    await peer.result("vault.rotate", password=PASSWORD)
    assert await readable(bot) == {"a"}
    assert (await go_back(peer, backup))["rights_withheld"] == 1
    assert await readable(bot) == set()


async def test_a_vault_that_comes_into_an_empty_home_keeps_its_rights_and_one_that_was_here_does_not(
    home: Path, anyio_backend: object
) -> None:
    async with guarded(home / "here") as daemon:
        peer, bot = await made(daemon), await agent(daemon)
        await peer.result("vault.store", name="a", value=1, **RIGHTS)
        archive = await peer.result("data.export_all")
        data = (await peer.result("data.read", id=archive["id"], offset=0, length=1 << 20))["data"]
        await peer.result("vault.update", id="a", agent_readable=False, agent_usable=False)
        await take_over(peer, data)
        assert (await peer.result("vault.unlock", password=PASSWORD))["rights_withheld"] == 1
        assert await readable(bot) == set()
    async with guarded(home / "there") as daemon:
        peer, bot = await daemon.connect(), await agent(daemon)
        await take_over(peer, data)
        assert (await peer.result("vault.unlock", password=PASSWORD))["rights_withheld"] == 0
        assert await readable(bot) == {"a"}


async def take_over(peer: Peer, data: str) -> None:
    raw = base64.b64decode(data)
    upload = await peer.result("data.begin", bytes=len(raw), sha256=hashlib.sha256(raw).hexdigest())
    await peer.result("data.write", id=upload["id"], offset=0, data=data)
    await peer.result("data.import_all", id=upload["id"], on_conflict="replace")


async def test_a_right_that_was_taken_back_returns_neither_by_way_of_another_vault_nor_for_a_lost_one(
    home: Path, anyio_backend: object
) -> None:
    async with guarded(home / "another") as daemon:
        peer = await made(daemon)
        await peer.result("vault.store", name="theirs", value=1, **RIGHTS)
        archive = await peer.result("data.export_all")
        data = (await peer.result("data.read", id=archive["id"], offset=0, length=1 << 20))["data"]
    async with guarded(home / "here") as daemon:
        peer, bot = await made(daemon), await agent(daemon)
        await peer.result("vault.store", name="a", value=1, **RIGHTS)
        backup = await peer.result("backup.create")
        await peer.result("vault.update", id="a", agent_readable=False, agent_usable=False)
        await take_over(peer, data)
        assert (await peer.result("vault.unlock", password=PASSWORD))["rights_withheld"] == 1
        assert await readable(bot) == set()
        assert (await go_back(peer, backup))["rights_withheld"] == 1
        assert await readable(bot) == set()
        await peer.result("vault.update", id="a", agent_readable=False)
    tampered(home / "here", lambda db: db.execute("DELETE FROM vault"))
    async with guarded(home / "here", daemon.clock) as daemon:
        peer, bot = await daemon.connect(), await agent(daemon)
        assert (await go_back(peer, backup))["rights_withheld"] == 1
        assert await readable(bot) == set()


async def test_a_right_that_was_taken_back_returns_with_no_row_that_was_put_back(
    home: Path, anyio_backend: object
) -> None:
    async with guarded(home) as daemon:
        peer = await made(daemon)
        for name in ("a", "b"):
            await peer.result("vault.store", name=name, value=name, **RIGHTS)
        keep = "CREATE TABLE aside AS SELECT * FROM vault_entry WHERE seq = 1"
        tampered(home, lambda db: db.execute(keep))
        await peer.result("vault.update", id="a", agent_readable=False, agent_usable=False)
    tampered(home, lambda db: db.execute("REPLACE INTO vault_entry SELECT * FROM aside; DROP TABLE aside"))
    async with guarded(home, daemon.clock) as daemon:
        peer, bot = await daemon.connect(), await agent(daemon)
        status = await peer.result("vault.unlock", password=PASSWORD, despite_damage=True)
        # Which other row is older can't be told for sure.
        assert (status["state"], status["rights_withheld"]) == ("read_only", 2)
        assert await readable(bot) == set()
        assert (await peer.result("vault.retrieve", id="a"))["value"] == "a"
        await peer.result("vault.rotate", password=PASSWORD, drop_damaged=True)
        assert await readable(bot) == set()
        await peer.result("vault.lock")
        assert (await peer.result("vault.unlock", password=PASSWORD))["rights_withheld"] == 2
        await peer.result("vault.update", id="b", agent_readable=True)
        assert await readable(bot) == {"b"}


@pytest.mark.parametrize("with_backup", [True, False], ids=["backup", "none"])
def test_a_recovery_withholds_what_may_have_been_withheld_in_what_is_lost(house: House, *, with_backup: bool) -> None:
    db = house.rooms.writer
    for one in ("before", "changed"):
        add(db, one, 1)
    house.back_up()
    restored = ChangeLog(db, 0, ACTOR, "backup.restore")
    restored.add(DATABASE, "a backup")
    store.withhold(db, ["before"])
    add(db, "new", 1)
    record(ChangeLog(db, 0, ACTOR, "vault.update"), "", "changed")
    house.hit("SELECT 'vault_withheld', rowid FROM vault_withheld")
    house.recover(with_backup=with_backup)
    assert store.withheld(house.rooms.writer) == {"before"}


def test_a_recovery_withholds_what_it_only_finds_older(house: House) -> None:
    db = house.rooms.writer
    add(db, "same", 1)
    add(db, "older", 1)
    house.back_up()
    key = DataKey("the vault", 1)
    store.update(db, [entries.seal(key, "older", 2, about("older"), b"1")])
    audit.add(db, 0, ACTOR, Note("update", "older", revision=2))
    record(ChangeLog(db, 0, ACTOR, "vault.update"), "", "older")
    house.hit("SELECT 'vault_entry', seq FROM vault_entry WHERE id = 'older'")
    house.recover()
    assert store.ids(house.rooms.writer) == {"same", "older"}
    assert store.withheld(house.rooms.writer) == {"older"}


def about(name: str) -> About:
    return About(name, "general", (), {}, True, 0, 0, True)


def add(db: apsw.Connection, entry_id: str, revision: int) -> None:
    store.insert(db, entries.seal(DataKey("the vault", 1), entry_id, revision, about(entry_id), b"1"))
    audit.add(db, 0, ACTOR, Note("store", entry_id, revision=revision))
    record(ChangeLog(db, 0, ACTOR, "vault.store"), "", entry_id)


@pytest.mark.parametrize("other", ["'somebody'", "CAST(x'ff' AS TEXT)"])
async def test_a_withheld_right_that_was_given_to_no_entry_from_outside_withholds_all(
    home: Path, anyio_backend: object, other: str
) -> None:
    async with guarded(home) as daemon:
        peer = await made(daemon)
        for name in ("a", "b"):
            await peer.result("vault.store", name=name, value=1, **RIGHTS)
    tampered(home, lambda db: db.execute(f"INSERT INTO vault_withheld VALUES ({other})"))
    async with guarded(home, daemon.clock) as daemon:
        peer, bot = await made(daemon), await agent(daemon)
        assert await readable(bot) == set()
        assert (await peer.result("vault.status"))["rights_withheld"] == 2


async def test_an_agent_neither_goes_back_nor_takes_the_way_back(daemon: Daemon, peer: Peer) -> None:
    bot = await agent(daemon)
    backup = await bot.result("backup.create")
    assert await bot.refusal("backup.restore", id=backup["id"]) == (-32004, "denied")
    assert await bot.refusal("backup.delete", id=backup["id"]) == (-32004, "denied")
    assert await bot.refusal("data.import_all", id="0" * 32, on_conflict="replace") == (-32004, "denied")
    assert [one["id"] for one in (await peer.result("backup.list"))["items"]] == [backup["id"]]
    await peer.result("backup.delete", id=backup["id"])
