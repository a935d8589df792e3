"""The vault where what is kept is replaced, carried away, or gone as a whole."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import apsw
import pytest

from keptd.supervisor import Supervisor
from keptd.vault import inspection, opening
from keptd.vault.keys import DataKey
from keptd.vault.visit import Visit
from tests.harness import PATIENCE, Daemon, Peer, request

from .room import OTHER, PASSWORD, accesses, agent, guarded, keyring, made, rows, tampered

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quick_passwords")]


async def is_open(peer: Peer) -> bool:
    return bool((await peer.result("vault.status"))["state"] == "unlocked")


async def test_a_restore_locks_the_vault_and_brings_its_passwords_and_secrets_of_then(
    daemon: Daemon, peer: Peer
) -> None:
    await peer.result("vault.store", name="a", value=1)
    backup = await peer.result("backup.create")
    await peer.result("vault.update", id="a", value=2)
    await peer.result("vault.change_password", password=PASSWORD, new_password=OTHER)
    await peer.result("vault.rotate", password=OTHER)
    assert await peer.refusal("vault.unlock", password="wrong") == (-32004, "denied")
    opened = keyring(daemon).opened
    assert opened is not None

    await peer.result("backup.restore", id=backup["id"])

    assert opened.key.is_wiped
    status = await peer.result("vault.status")
    # Wrong passwords are not forgotten by going back.
    assert (status["state"], status["key_version"], status["failures"]) == ("locked", 1, 1)
    assert await peer.refusal("vault.unlock", password=OTHER) == (-32004, "denied")
    await peer.result("vault.unlock", password=PASSWORD)
    assert (await peer.result("vault.retrieve", id="a"))["value"] == 1


async def test_going_back_makes_nobody_forget_who_saw_what(daemon: Daemon, peer: Peer) -> None:
    for name in ("a", "b"):
        await peer.result("vault.store", name=name, value=1)
    backup = await peer.result("backup.create")
    await peer.result("vault.update", id="a", value=2)
    await peer.result("vault.retrieve", id="a")
    await peer.result("vault.delete", id="b")
    before = await accesses(peer)

    for _ in range(2):
        await peer.result("backup.restore", id=backup["id"])
        # What the list tells of revisions that are gone makes no entry pass for damaged.
        assert (await peer.result("vault.unlock", password=PASSWORD))["damaged"] == []
        assert (await peer.result("vault.retrieve", id="a"))["value"] == 1
        before += [("unlock", "ok"), ("retrieve", "ok")]
        assert await accesses(peer) == before
    await peer.result("vault.update", id="b", value=3)
    await peer.result("vault.lock")
    assert (await peer.result("vault.unlock", password=PASSWORD))["damaged"] == []


async def test_an_import_in_the_place_of_all_keeps_both_lists(home: Path, anyio_backend: object) -> None:
    async with guarded(home / "here") as daemon:
        peer = await made(daemon)
        await peer.result("vault.store", name="theirs", value=1)
        theirs = (await peer.result("vault.audit"))["items"]
        archive = await peer.result("data.export_all")
        part = await peer.result("data.read", id=archive["id"], offset=0, length=1 << 20)
        data = base64.b64decode(part["data"])
    async with guarded(home / "there") as daemon:
        daemon.clock.advance(1)
        peer = await made(daemon)
        await peer.result("vault.list")
        ours = (await peer.result("vault.audit"))["items"]
        for _ in range(2):
            upload = await peer.result("data.begin", bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
            await peer.result("data.write", id=upload["id"], offset=0, data=part["data"])
            await peer.result("data.import_all", id=upload["id"], on_conflict="replace")
        listed = (await peer.result("vault.audit"))["items"]
    assert sorted(map(_told, listed)) == sorted(map(_told, [*theirs, *ours]))


def _told(access: dict[str, Any]) -> tuple[str, str, str]:
    return access["at"], access["action"], access["entry_id"] or ""


async def test_a_vault_that_was_put_back_from_outside_is_noticed_by_the_next_call(daemon: Daemon, peer: Peer) -> None:
    await peer.result("vault.store", name="a", value=1)
    with apsw.Connection(daemon.paths.database, vfs="cksmvfs") as db:
        db.execute("UPDATE vault SET counter = counter + 1, head = zeroblob(32)")
    assert not await is_open(peer)
    assert keyring(daemon).opened is None
    assert await peer.refusal("vault.retrieve", id="a") == (-32003, "locked")


async def test_a_vault_that_went_away_is_locked_by_the_next_look(daemon: Daemon, peer: Peer) -> None:
    opened = keyring(daemon).opened
    assert opened is not None
    tampered(Path(daemon.paths.data_dir), lambda db: db.execute("DELETE FROM vault"))
    assert (await peer.result("vault.status"))["state"] == "absent"
    assert opened.key.is_wiped


async def test_a_change_of_a_vault_that_is_replaced_before_it_is_written_changes_nothing(
    daemon: Daemon, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await peer.result("vault.store", name="a", value=1)
    write = Visit.write

    async def late(visit: Visit, *given: Any, **options: Any) -> None:
        tampered(Path(daemon.paths.data_dir), lambda db: db.execute("UPDATE vault SET head = zeroblob(32)"))
        await write(visit, *given, **options)

    monkeypatch.setattr(Visit, "write", late)
    assert await peer.refusal("vault.store", name="b", value=2) == (-32002, "conflict")
    assert len(rows(daemon)) == 1
    assert await peer.refusal("vault.list") == (-32003, "locked")


async def test_an_unlock_during_a_restore_puts_no_header_over_the_one_that_came(
    home: Path, monkeypatch: pytest.MonkeyPatch, anyio_backend: object
) -> None:
    wrapping, restored, told = threading.Event(), threading.Event(), anyio.Event()
    wrapped_by, replaced = opening.wrapped_by, Supervisor.replaced

    def late(*given: Any) -> Any:
        wrapping.set()
        assert restored.wait(PATIENCE)
        return wrapped_by(*given)

    async def later(supervisor: Supervisor) -> None:
        restored.set()
        await told.wait()
        await replaced(supervisor)

    async with guarded(home) as daemon:
        peer = await made(daemon)
        await peer.result("vault.store", name="a", value=1)
        backup = await peer.result("backup.create")
        await peer.result("vault.rotate", password=PASSWORD)
    # More is asked for than the vault has: it is wrapped anew while the backup comes back.
    async with guarded(home, daemon.clock, vault__passes="3") as daemon:
        peer, other = await daemon.connect(), await daemon.connect()
        with monkeypatch.context() as slow:
            slow.setattr(opening, "wrapped_by", late)
            slow.setattr(Supervisor, "replaced", later)
            await peer.send(request("unlock", "vault.unlock", password=PASSWORD))
            assert await anyio.to_thread.run_sync(wrapping.wait, PATIENCE)
            await other.send(request("restore", "backup.restore", id=backup["id"]))
            assert await peer.error() == ("unlock", -32002, "conflict")
            told.set()
            while "method" in (reply := await other.receive()):
                pass
            assert "result" in reply
        assert (await peer.result("vault.unlock", password=PASSWORD))["damaged"] == []
        assert (await peer.result("vault.retrieve", id="a"))["value"] == 1


async def test_an_export_carries_the_vault_sealed_and_another_home_opens_it(
    home: Path, tmp_path: Path, anyio_backend: object
) -> None:
    there = home / "there"
    async with guarded(home / "here") as daemon:
        peer = await made(daemon)
        await peer.result("vault.store", name="canaryname", value="canaryvalue", idempotency_key="k")
        archive = await peer.result("data.export_all")
        part = await peer.result("data.read", id=archive["id"], offset=0, length=1 << 20)
        data = base64.b64decode(part["data"])
    async with guarded(there) as daemon:
        peer = await made(daemon)
        upload = await peer.result("data.begin", bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        await peer.result("data.write", id=upload["id"], offset=0, data=part["data"])
        await peer.result("data.import_all", id=upload["id"], on_conflict="replace")
        assert not await is_open(peer)
        await peer.result("vault.unlock", password=PASSWORD)
        assert (await peer.result("vault.retrieve", id="canaryname"))["value"] == "canaryvalue"


async def test_deleting_everything_deletes_the_vault_and_its_keys(daemon: Daemon, peer: Peer) -> None:
    await peer.result("vault.store", name="a", value=1)
    opened = keyring(daemon).opened
    assert opened is not None
    for _ in range(3):
        await peer.result("vault.retrieve", id="a")
    await peer.result("data.delete_all", confirm=f"delete everything in {Path(daemon.paths.data_dir).name}")
    assert opened.key.is_wiped
    # Not even by what was still to be written down.
    assert await accesses(peer) == []
    assert (await peer.result("vault.status"))["state"] == "absent"
    assert rows(daemon) == []
    assert (await peer.result("vault.init", password=OTHER))["entries"] == 0


async def test_the_keys_are_gone_when_the_daemon_has_ended(home: Path, anyio_backend: object) -> None:
    async with guarded(home) as daemon:
        peer = await made(daemon)
        await peer.result("vault.list")
        opened = keyring(daemon).opened
        assert opened is not None
        secret = opened.key.secret
    assert secret == bytes(32)

    def listed(db: apsw.Connection) -> None:
        actions = [action for (action,) in db.execute("SELECT action FROM vault_audit ORDER BY seq")]
        assert actions == ["init", "list"]

    tampered(home, listed)


async def test_the_list_of_accesses_is_kept_for_so_many_rows_and_days(home: Path, anyio_backend: object) -> None:
    async with guarded(home, vault__audit_rows="100", vault__audit_days="2") as daemon:
        peer = await made(daemon)

        async def left() -> Counter[str]:
            await peer.result("job.run", name="vault.tidy")
            found: list[Any] = (await peer.result("vault.audit", limit=1000))["items"]
            return Counter(item["action"] for item in found)

        await peer.result("vault.store", name="a", value=1, idempotency_key="k")
        assert await peer.refusal("vault.unlock", password="wrong") == (-32004, "denied")
        await peer.result("vault.retrieve", id="a")
        bot = await agent(daemon)
        for _ in range(120):
            await bot.result("vault.list")
            await bot.result("vault.search", query="a")
        newest = (await peer.result("vault.audit", action="list", limit=100))["items"]
        # Who looks without end pushes out nothing but looks.
        assert await left() == {"init": 1, "store": 1, "unlock": 1, "retrieve": 1, "list": 100, "search": 100}
        assert (await peer.result("vault.audit", action="list", limit=1000))["items"] == newest
        daemon.clock.advance(3 * 86_400)
        # Of this moment: nobody has used it since.
        assert await left() == {"lock": 1}
        await peer.result("vault.unlock", password=PASSWORD)
        # The key is forgotten as well: it would be done again, were the name free.
        assert await peer.refusal("vault.store", name="a", value=1, idempotency_key="k") == (-32002, "conflict")


async def test_what_could_not_be_read_twice_is_not_taken_for_an_entry(daemon: Daemon, peer: Peer) -> None:
    """The key of one vault opens nothing of another."""
    await peer.result("vault.store", name="a", value=1)
    with daemon.supervisor._store.snapshot() as db:
        found = inspection.look(db, DataKey("another", 1))
    assert found is not None
    assert found.known == []
    assert found.trouble is not None
