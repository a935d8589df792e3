"""What was changed behind the vault's back: told, refused, and read as far as it opens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from keptd.store import OWN
from keptd.store.changes import ChangeLog
from keptd.store.database import open_writer
from keptd.store.migrations import migrate
from keptd.vault import audit, entries, head, inspection, keys, opening, store
from keptd.vault.audit import Note
from keptd.vault.entries import About
from keptd.vault.keys import FLOOR, DataKey
from keptd.vault.schema import MIGRATIONS
from keptd.vault.store import Header
from keptd.vault.visit import following, record
from tests.harness import Daemon, Peer
from tests.keptd.house import House
from tests.rooms import ACTOR

from .room import OTHER, PASSWORD, accesses, guarded, keyring, made, tampered

pytestmark = pytest.mark.usefixtures("quick_passwords")

IDS = ("a", "b", "c")
KEY = DataKey("the vault", 1)
HEADER = Header("the vault", 0, b"salt", 20_000, 2, 1, b"wrapped", 1, None, None, 7, b"")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[apsw.Connection]:
    """The vault of `fill`."""
    opened = open_writer(tmp_path / "kept.db")
    migrate(opened, [*OWN, ("vault", MIGRATIONS)], 0)
    fill(opened)
    yield opened
    opened.close()


def fill(db: apsw.Connection) -> None:
    """A vault with three entries, of which the second was changed; its former row aside."""
    total = 0
    for number, one in enumerate(IDS):
        about = About(one, "general", (), {}, False, 0, 0)
        row = entries.seal(KEY, one, 1, about, b"%d" % number)
        store.insert(db, row)
        note(db, "vault.store", one, 1)
        if one == "b":
            db.execute("CREATE TABLE aside AS SELECT * FROM vault_entry WHERE id = 'b'")
            row = entries.seal(KEY, one, 2, about, b'"newer"')
            store.update(db, [row])
            note(db, "vault.update", one, 2)
        total = head.added(total, head.leaf(KEY, row.outline))
    store.put_header(db, following(KEY, HEADER, 3, total))


def note(db: apsw.Connection, method: str, entry_id: str, revision: int) -> None:
    audit.add(db, 0, ACTOR, Note(method.partition(".")[2], entry_id, revision=revision))
    record(ChangeLog(db, 0, ACTOR, method), "", entry_id)


BREAK = {
    "a row dropped": ("DELETE FROM vault_entry WHERE id = 'b'", {"b"}),
    "a row rolled back": (
        (
            "UPDATE vault_entry SET (revision, about, value_mark, value) = (r, a, m, v) "
            "FROM (SELECT revision AS r, about AS a, value_mark AS m, value AS v FROM aside) WHERE id = 'b'"
        ),
        {"b"},
    ),
    "two rows swapped": (
        "UPDATE vault_entry SET about = (SELECT about FROM vault_entry AS o WHERE o.id = 'c') WHERE id = 'b'",
        {"b"},
    ),
    "a value damaged": ("UPDATE vault_entry SET value_mark = zeroblob(28) WHERE id = 'c'", {"c"}),
    "a name taken over": ("UPDATE vault_entry SET name_hash = zeroblob(32) WHERE id = 'a'", {"a"}),
    "a key's version changed": ("UPDATE vault_entry SET key_version = 7 WHERE id = 'a'", {"a"}),
    "a revision below zero": ("UPDATE vault_entry SET revision = -1 WHERE id = 'a'", {"a"}),
    "a deleted row put back": (
        "INSERT INTO vault_entry SELECT 9, 'd', x'01', revision, key_version, about, value_mark, value FROM aside",
        {"d"},
    ),
    "the counter set back": ("UPDATE vault SET counter = counter - 1", set()),
    "the head replaced": ("UPDATE vault SET head = zeroblob(32)", set()),
    "the recovery code taken out": ("UPDATE vault SET recovery = x'00'", set()),
}


@pytest.mark.parametrize("what", BREAK)
def test_a_look_at_everything_finds_what_was_changed_and_says_where(db: apsw.Connection, what: str) -> None:
    sound = inspection.look(db, KEY)
    assert sound is not None
    assert (sound.trouble, len(sound.known)) == (None, 3)

    sql, bad = BREAK[what]
    db.execute(sql)

    found = inspection.look(db, KEY)
    assert found is not None
    assert found.trouble is not None
    assert set(found.trouble.damaged) == bad
    # Never a wrong plaintext: what opens is what was stored.
    for row in store.whole(db):
        if row.id not in bad:
            assert entries.open_about(KEY, row).name == row.id
            assert entries.open_value(KEY, row) == {"a": b"0", "b": b'"newer"', "c": b"2"}[row.id]


def test_a_row_that_was_deleted_and_put_back_is_named(db: apsw.Connection) -> None:
    found = inspection.look(db, KEY)
    assert found is not None
    row = next(store.whole(db))
    store.delete(db, ["a"])
    note(db, "vault.delete", "a", 0)
    total = head.removed(found.total, head.leaf(KEY, row.outline))
    store.put_header(db, following(KEY, found.header, 2, total))
    fits = inspection.look(db, KEY)
    assert fits is not None
    assert fits.trouble is None

    store.insert(db, row)
    found = inspection.look(db, KEY)
    assert found is not None
    assert found.trouble is not None
    assert found.trouble.damaged == ("a",)


def test_a_recovery_and_the_vault_after_it_say_which_entries_are_lost(house: House) -> None:
    fill(house.rooms.writer)
    house.rooms.writer.execute("DROP TABLE aside")
    house.hit("SELECT 'vault_entry', seq FROM vault_entry WHERE id = 'a'")

    report = house.recover(with_backup=False)

    left = {row.id for row in store.outlines(house.rooms.writer)}
    lost = set(IDS) - left
    assert lost
    assert all(one in report.lost for one in lost)
    found = inspection.look(house.rooms.writer, KEY)
    assert found is not None
    assert found.trouble is not None
    assert set(found.trouble.damaged) == lost


@pytest.mark.parametrize("table", ["vault", "vault_spare"])
@pytest.mark.parametrize("with_backup", [True, False], ids=["backup", "none"])
def test_a_page_with_the_vaults_header_is_lost_without_a_loss(house: House, table: str, *, with_backup: bool) -> None:
    fill(house.rooms.writer)
    house.rooms.writer.execute("DROP TABLE aside")
    house.back_up()
    sound = inspection.look(house.rooms.writer, KEY)
    assert sound is not None
    newer = following(KEY, HEADER._replace(counter=90, wrapped=b"newer"), 3, sound.total)
    store.put_header(house.rooms.writer, newer)
    house.hit(f"SELECT '{table}', only FROM {table}")

    house.recover(with_backup=with_backup)

    for each in ("vault", "vault_spare"):
        assert house.rooms.writer.execute(f"SELECT wrapped FROM {each}").get == b"newer"
    found = inspection.look(house.rooms.writer, KEY)
    assert found is not None
    assert found.trouble is None


def test_a_database_without_a_vault_has_nothing_to_look_at(db: apsw.Connection) -> None:
    db.execute("DELETE FROM vault")
    assert inspection.look(db, KEY) is None


def test_a_header_that_was_changed_opens_with_no_password() -> None:
    secret = bytearray(32)
    bare = HEADER._replace(salt=b"", wrapped=b"")
    made = opening.wrapped_by(PASSWORD, bare, secret, FLOOR)
    assert opening._unwrapped(PASSWORD, made) == secret
    assert opening._unwrapped("wrong", made) is None
    for changed in (
        {"memory_kib": 8},
        {"memory_kib": 1 << 40},
        {"memory_kib": FLOOR.memory_kib + 1024},
        {"passes": 1},
        {"lanes": 2},
        {"salt": bytes(keys.SALT_BYTES)},
        {"id": "another"},
        {"key_version": 2},
        {"wrapped": bytes(60)},
        {"wrapped": b""},
    ):
        assert opening._unwrapped(PASSWORD, made._replace(**changed)) is None, changed


@pytest.mark.anyio
async def test_a_vault_that_does_not_fit_together_says_where_and_opens_to_be_read(
    home: Path, anyio_backend: object
) -> None:
    async with guarded(home) as daemon:
        peer = await made(daemon)
        ids = [(await peer.result("vault.store", name=f"n{number}", value=number))["id"] for number in range(4)]
    tampered(home, lambda db: db.execute("DELETE FROM vault_entry WHERE id = ?", (ids[0],)))
    tampered(home, lambda db: db.execute("UPDATE vault_entry SET value_mark = zeroblob(28) WHERE id = ?", (ids[1],)))

    async with guarded(home) as daemon:
        peer = await daemon.connect()
        reply = await peer.ask("vault.unlock", password=PASSWORD)
        assert reply["error"]["data"]["type"] == "conflict"
        assert reply["error"]["data"]["damaged"] == ids[:2]
        assert keyring(daemon).opened is None
        status = await peer.result("vault.status")
        assert (status["state"], status["damaged"]) == ("locked", ids[:2])
        assert "1 of its entries don't open, 1 are missing" in status["problem"]
        assert (await peer.result("event.list", topics=["vault.damaged"]))["items"]
        assert ("unlock", "damaged") in await accesses(peer)

        status = await peer.result("vault.unlock", password=PASSWORD, despite_damage=True)
        assert (status["state"], status["damaged"]) == ("read_only", ids[:2])
        assert (await peer.result("vault.retrieve", id="n3"))["value"] == 3
        for method, params in (
            ("vault.store", {"name": "x", "value": 1}),
            ("vault.update", {"id": ids[2], "value": 1}),
            ("vault.delete", {"id": ids[2]}),
            ("vault.change_password", {"password": PASSWORD, "new_password": OTHER}),
            ("vault.export_key", {"password": PASSWORD}),
            ("vault.rotate", {"password": PASSWORD}),
        ):
            assert await peer.refusal(method, **params) == (-32002, "conflict")

        done = await peer.result("vault.rotate", password=PASSWORD, drop_damaged=True)
        assert (done["dropped"], done["entries"]) == ([ids[1]], 2)
        assert (await peer.result("vault.status"))["state"] == "unlocked"
        assert await accesses(peer, action="drop") == [("drop", "ok")] * 2
        events = (await peer.result("event.list", topics=["vault.deleted"]))["items"]
        assert {event["entity_id"] for event in events} == set(ids[:2])
        await peer.result("vault.store", name="x", value=1)
        await peer.result("vault.lock")
        status = await peer.result("vault.unlock", password=PASSWORD)
        assert (status["state"], status["damaged"], status["problem"]) == ("unlocked", [], None)
    tampered(home, lambda db: db.execute("DELETE FROM vault_entry WHERE id = ?", (ids[2],)))
    async with guarded(home, daemon.clock) as daemon:
        peer = await daemon.connect()
        reply = await peer.ask("vault.unlock", password=PASSWORD)
        assert reply["error"]["data"]["damaged"] == ids[2:3], "what was removed by then is not missed any more"


@pytest.mark.anyio
async def test_damage_that_was_settled_is_not_told_again_when_the_audit_list_forgets_how(
    home: Path, anyio_backend: object
) -> None:
    async with guarded(home) as daemon:
        peer = await made(daemon)
        await peer.result("vault.store", name="a", value=1)
        tampered(home, lambda db: db.execute("CREATE TABLE aside AS SELECT * FROM vault_entry"))
        await peer.result("vault.update", id="a", value=2)
    tampered(home, lambda db: db.execute("INSERT OR REPLACE INTO vault_entry SELECT * FROM aside"))
    tampered(home, lambda db: db.execute("DROP TABLE aside"))
    async with guarded(home, daemon.clock, vault__audit_rows="100") as daemon:
        peer = await daemon.connect()
        await peer.result("vault.unlock", password=PASSWORD, despite_damage=True)
        await peer.result("vault.rotate", password=PASSWORD, drop_damaged=True)
        for _ in range(100):
            await peer.result("vault.rotate", password=PASSWORD)
        await peer.result("job.run", name="vault.tidy")
        await peer.result("vault.lock")
        status = await peer.result("vault.unlock", password=PASSWORD)
        assert (status["state"], status["problem"]) == ("unlocked", None)
        assert (await peer.result("vault.retrieve", id="a"))["value"] == 1


@pytest.mark.anyio
async def test_a_rotation_of_a_sound_vault_refuses_to_leave_anything_out(daemon: Daemon, peer: Peer) -> None:
    await peer.result("vault.store", name="a", value=1)
    with apsw.Connection(daemon.paths.database, vfs="cksmvfs") as db:
        db.execute("UPDATE vault_entry SET value = zeroblob(length(value))")
    assert await peer.refusal("vault.rotate", password=PASSWORD) == (-32002, "conflict")
    assert (await peer.result("vault.status"))["key_version"] == 1


@pytest.mark.anyio
async def test_a_code_gets_one_into_a_damaged_vault_as_well(home: Path, anyio_backend: object) -> None:
    async with guarded(home) as daemon:
        peer = await made(daemon)
        code = (await peer.result("vault.export_key", password=PASSWORD))["code"]
        for name in "ab":
            await peer.result("vault.store", name=name, value=name)
    tampered(home, lambda db: db.execute("DELETE FROM vault_entry WHERE seq = 1"))
    async with guarded(home) as daemon:
        peer = await daemon.connect()
        assert (await peer.result("vault.recover", code=code, new_password=OTHER))["state"] == "read_only"
        assert (await peer.result("vault.retrieve", id="b"))["value"] == "b"
        await peer.result("vault.lock")
        assert await peer.refusal("vault.unlock", password=OTHER) == (-32002, "conflict")
        assert (await peer.result("vault.unlock", password=OTHER, despite_damage=True))["state"] == "read_only"


@pytest.mark.anyio
async def test_a_lost_header_is_told_and_no_new_vault_is_made_over_what_is_left(
    home: Path, anyio_backend: object
) -> None:
    async with guarded(home) as daemon:
        peer = await made(daemon)
        await peer.result("vault.store", name="a", value=1)
    tampered(home, lambda db: db.execute("DELETE FROM vault"))
    async with guarded(home) as daemon:
        peer = await daemon.connect()
        status = await peer.result("vault.status")
        assert (status["state"], status["entries"]) == ("absent", 1)
        assert "backup" in status["problem"]
        assert await peer.refusal("vault.init", password=PASSWORD) == (-32002, "conflict")
