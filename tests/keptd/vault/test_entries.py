"""Entries of an unlocked vault: kept, shown, changed, deleted; over a real socket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import pytest

from keptd.vault import store
from tests.harness import Daemon, Peer

from .room import PASSWORD, accesses, agent, disk, guarded, keyring, made, rows, tampered

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quick_passwords")]

ABOUT = {"name": "mail", "category": "credential", "tags": ["b", "a", "b"], "metadata": {"user": "me"}}


async def test_a_secret_comes_back_as_it_was_and_what_is_left_out_of_an_update_stays(peer: Peer) -> None:
    value = {"token": "t0p", "n": [1, None, "ü"]}
    kept = await peer.result("vault.store", **ABOUT, value=value)
    assert kept["tags"] == ["b", "a"]
    assert "value" not in kept

    for ref in ("mail", kept["id"]):
        assert await peer.result("vault.retrieve", id=ref) == {**kept, "value": value}
    updated = await peer.result("vault.update", id="mail", tags=["c"], name="post")
    assert updated == {**kept, "name": "post", "tags": ["c"], "version": 2}
    assert (await peer.result("vault.retrieve", id="post"))["value"] == value
    assert (await peer.result("vault.update", id="post", value=None, category="own"))["version"] == 3
    assert (await peer.result("vault.retrieve", id="post"))["value"] is None
    assert await peer.refusal("vault.retrieve", id="mail") == (-32001, "not_found")


async def test_what_is_stored_is_the_same_after_a_lock_and_a_restart(home: Path, anyio_backend: object) -> None:
    async with guarded(home) as daemon:
        peer = await made(daemon)
        kept = await peer.result("vault.store", **ABOUT, value="v" * 100_000)
        await peer.result("vault.store", name="gone", value=1)
        await peer.result("vault.delete", id="gone")
        await peer.result("vault.lock")
        assert (await peer.result("vault.unlock", password=PASSWORD))["entries"] == 1
        assert (await peer.result("vault.retrieve", id="mail"))["value"] == "v" * 100_000
    async with guarded(home) as daemon:
        assert keyring(daemon).opened is None
        peer = await made(daemon)
        assert await peer.result("vault.retrieve", id="mail") == {**kept, "value": "v" * 100_000}


async def test_a_name_belongs_to_one_entry_however_its_letters_are_put_together(peer: Peer) -> None:
    one = await peer.result("vault.store", name="Zu\u0308rich", value=1)
    assert await peer.refusal("vault.store", name="Z\u00fcrich", value=2) == (-32002, "conflict")
    assert (await peer.result("vault.retrieve", id="Z\u00fcrich"))["value"] == 1
    await peer.result("vault.store", name="Basel", value=2)
    assert await peer.refusal("vault.update", id="Basel", name="Z\u00fcrich") == (-32002, "conflict")
    assert (await peer.result("vault.update", id="Basel", name="Basel"))["name"] == "Basel"
    for method in ("vault.store", "vault.update"):
        fields = {"value": 3} if method == "vault.store" else {"id": "Basel"}
        assert await peer.refusal(method, **fields, name=one["id"]) == (-32602, "invalid_params")


async def test_a_change_that_expects_another_version_changes_nothing(peer: Peer) -> None:
    await peer.result("vault.store", name="a", value=1)
    assert await peer.refusal("vault.update", id="a", value=2, if_version=2) == (-32002, "conflict")
    assert await peer.refusal("vault.delete", id="a", if_version=2) == (-32002, "conflict")
    assert (await peer.result("vault.retrieve", id="a"))["value"] == 1
    assert (await peer.result("vault.delete", id="a", if_version=1))["label"] == "a"
    assert await peer.refusal("vault.delete", id="a") == (-32001, "not_found")
    assert await peer.refusal("vault.update", id="a", value=2) == (-32001, "not_found")


async def test_a_change_that_is_repeated_with_its_key_is_made_once(peer: Peer) -> None:
    first = await peer.result("vault.store", name="a", value=1, idempotency_key="k1")
    assert await peer.result("vault.store", name="a", value=1, idempotency_key="k1") == first
    assert await peer.refusal("vault.store", name="a", value=2, idempotency_key="k1") == (-32002, "conflict")
    second = await peer.result("vault.update", id="a", value=2, idempotency_key="k2")
    assert await peer.result("vault.update", id="a", value=2, idempotency_key="k2") == second
    assert second["version"] == 2

    assert await peer.result("vault.store", name="a", value=1, idempotency_key="k1") == second
    gone = await peer.result("vault.delete", id="a", idempotency_key="k3")
    assert (await peer.result("vault.delete", id="a", idempotency_key="k3"))["id"] == gone["id"]
    assert await peer.refusal("vault.store", name="a", value=1, idempotency_key="k1") == (-32002, "conflict")


async def test_a_key_from_before_a_rotation_answers_for_nothing_that_was_not_done(peer: Peer) -> None:
    await peer.result("vault.store", name="a", value="zero", idempotency_key="k1")
    await peer.result("vault.update", id="a", value="one", idempotency_key="k2")
    await peer.result("vault.store", name="b", value=1)
    await peer.result("vault.delete", id="b", idempotency_key="k3")
    await peer.result("vault.rotate", password=PASSWORD)

    for method, params in (
        ("vault.update", {"id": "a", "value": "two", "idempotency_key": "k2"}),
        ("vault.update", {"id": "a", "value": "one", "idempotency_key": "k2"}),
        ("vault.store", {"name": "a", "value": "zero", "idempotency_key": "k1"}),
        ("vault.delete", {"id": "b", "idempotency_key": "k3"}),
    ):
        reply = await peer.ask(method, **params)
        assert reply["error"]["data"]["field"] == "idempotency_key"
    assert (await peer.result("vault.retrieve", id="a"))["value"] == "one"
    assert (await peer.result("vault.update", id="a", value="two", idempotency_key="k4"))["version"] == 3


async def test_there_is_a_limit_to_everything(home: Path, anyio_backend: object) -> None:
    async with guarded(home, vault__max_entries="2", vault__max_bytes=str(1 << 20)) as daemon:
        peer = await made(daemon)
        assert await peer.refusal("vault.store", name="a", value="v" * (1 << 20)) == (-32006, "too_large")
        assert await peer.refusal("vault.store", name="a", value=1, metadata={"m": "x" * 65536}) == (
            -32006,
            "too_large",
        )
        await peer.result("vault.store", name="a", value=1)
        assert await peer.refusal("vault.update", id="a", metadata={"m": "x" * 65536}) == (-32006, "too_large")
        assert await peer.refusal("vault.update", id="a", value="v" * 600_000) == (-32005, "quota_exceeded")
        await peer.result("vault.store", name="b", value=1)
        assert await peer.refusal("vault.store", name="c", value=1) == (-32005, "quota_exceeded")
        assert (await peer.result("vault.list"))["items"][0]["version"] == 1


async def test_what_is_more_than_may_be_kept_by_now_may_become_less(daemon: Daemon, peer: Peer) -> None:
    for name in ("a", "b", "c"):
        await peer.result("vault.store", name=name, value="v" * 500_000)
    daemon.reconfigure(vault__max_bytes=str(1 << 20), vault__max_entries="1")
    await peer.result("daemon.reload")
    await peer.result("vault.update", id="b", value="v" * 300_000)
    assert await peer.refusal("vault.update", id="a", value="v" * 950_000) == (-32005, "quota_exceeded")
    await peer.result("vault.delete", id="b")


async def test_nothing_is_told_or_changed_without_a_vault_or_while_it_is_locked(daemon: Daemon) -> None:
    requests: dict[str, dict[str, Any]] = {
        "vault.store": {"name": "a", "value": 1},
        "vault.retrieve": {"id": "a"},
        "vault.list": {},
        "vault.search": {"query": "a"},
        "vault.update": {"id": "a", "value": 2},
        "vault.delete": {"id": "a"},
        "vault.change_password": {"password": PASSWORD, "new_password": "another one"},
        "vault.rotate": {"password": PASSWORD},
        "vault.export_key": {"password": PASSWORD},
        "vault.audit": {"id": "a"},
        "vault.requests": {},
        "vault.confirm": {"id": "a", "answer": "deny"},
    }
    peer = await daemon.connect()
    for method, params in requests.items():
        assert await peer.refusal(method, **params) == (-32001, "not_found")
    for method, params in (("vault.lock", {}), ("vault.unlock", {"password": PASSWORD})):
        assert await peer.refusal(method, **params) == (-32001, "not_found")

    await peer.result("vault.init", password=PASSWORD)
    await peer.result("vault.store", name="a", value=1)
    await peer.result("vault.lock")
    for method, params in requests.items():
        assert await peer.refusal(method, **params) == (-32003, "locked")
    assert (await peer.result("vault.lock"))["state"] == "locked"


async def test_an_agent_is_told_metadata_only_of_what_it_may_have(daemon: Daemon, peer: Peer) -> None:
    bot = await agent(daemon)
    for name, rights in (("mine", {}), ("usable", {"agent_usable": True}), ("readable", {"agent_readable": True})):
        await peer.result("vault.store", name=name, value=1, tags=["own"], metadata={"pin": "sesame"}, **rights)
    told = {"mine": {}, "usable": {"pin": "sesame"}, "readable": {"pin": "sesame"}}

    def metadata(page: dict[str, Any]) -> dict[str, Any]:
        return {entry["name"]: entry["metadata"] for entry in page["items"]}

    assert metadata(await bot.result("vault.list")) == told
    assert metadata(await bot.result("vault.search", query="own")) == told
    assert metadata(await peer.result("vault.list")) == {name: {"pin": "sesame"} for name in told}
    for word in ("sesame", "pin"):
        found = (await bot.result("vault.search", query=word))["items"]
        assert {entry["name"] for entry in found} == {"usable", "readable"}
        assert len((await peer.result("vault.search", query=word))["items"]) == 3
    (found,) = (await bot.result("vault.search", query="mine"))["items"]
    assert (found["snippet"], found["tags"]) == ("mine general own", ["own"])
    (found,) = (await peer.result("vault.search", query="mine"))["items"]
    assert "sesame" in found["snippet"]

    # Its own, as anybody's: by the next time a person may have written more there.
    kept = {"name": "its", "value": 1, "metadata": {"a": 1}, "idempotency_key": "k"}
    assert (await bot.result("vault.store", **kept))["metadata"] == {}
    await peer.result("vault.update", id="its", metadata={"pin": "sesame"})
    assert (await bot.result("vault.store", **kept))["metadata"] == {}
    assert (await bot.result("vault.update", id="readable", value=2))["metadata"] == {"pin": "sesame"}


async def test_an_agent_is_lent_what_it_may_use_and_does_not_read_it(daemon: Daemon, peer: Peer) -> None:
    bot = await agent(daemon)
    await peer.result("vault.store", name="mine", value=1)
    await peer.result("vault.store", name="usable", value=2, agent_usable=True)
    await peer.result("vault.store", name="readable", value=3, agent_readable=True)

    assert (await bot.result("vault.retrieve", id="usable", purpose="lend"))["value"] == 2
    assert await bot.refusal("vault.retrieve", id="usable") == (-32004, "denied")
    assert (await bot.result("vault.retrieve", id="readable", purpose="lend"))["value"] == 3
    assert await bot.refusal("vault.retrieve", id="mine", purpose="lend") == (-32004, "denied")
    assert await bot.refusal("vault.update", id="usable", value=3) == (-32004, "denied")
    assert await accesses(peer, id="usable") == [
        *[("store", "ok"), ("lend", "ok"), ("retrieve", "denied"), ("update", "denied")]
    ]
    await peer.result("vault.update", id="usable", agent_usable=False)
    assert await bot.refusal("vault.retrieve", id="usable", purpose="lend") == (-32004, "denied")


async def test_an_agent_gets_what_it_may_read_and_leaves_the_rest_as_it_is(daemon: Daemon, peer: Peer) -> None:
    bot = await agent(daemon)
    await peer.result("vault.store", name="mine", value=1)
    await peer.result("vault.store", name="shared", value=2, agent_readable=True)

    assert (await bot.result("vault.retrieve", id="shared"))["value"] == 2
    assert await bot.refusal("vault.retrieve", id="mine") == (-32004, "denied")
    assert (await bot.result("vault.update", id="shared", value=3))["version"] == 2
    assert await bot.refusal("vault.update", id="mine", value=3) == (-32004, "denied")
    assert await bot.refusal("vault.update", id="shared", agent_readable=True) == (-32004, "denied")
    assert await bot.refusal("vault.delete", id="shared") == (-32004, "denied")
    assert await bot.refusal("vault.update", id="shared", agent_usable=True) == (-32004, "denied")
    # Who has said so stays one.
    await bot.result("daemon.hello", client="bot", kind="person")
    assert await bot.refusal("vault.retrieve", id="mine") == (-32004, "denied")
    assert await accesses(peer, id="mine") == [
        *[("store", "ok"), ("retrieve", "denied"), ("update", "denied"), ("retrieve", "denied")]
    ]


async def test_a_list_goes_by_names_in_pages_and_by_what_is_wanted(peer: Peer) -> None:
    for name in ("b2", "a", "b1", "c"):
        await peer.result("vault.store", name=name, value=1, category="own" if name == "c" else "health", tags=[name])

    async def names(**filters: Any) -> list[str]:
        return [item["name"] for item in (await peer.result("vault.list", **filters))["items"]]

    assert await names() == ["a", "b1", "b2", "c"]
    assert await names(prefix="b") == ["b1", "b2"]
    assert await names(category="own") == ["c"]
    assert await names(tag="b2") == ["b2"]
    page = await peer.result("vault.list", limit=1, prefix="b")
    assert [item["name"] for item in page["items"]] == ["b1"]
    assert await names(prefix="b", cursor=page["next_cursor"]) == ["b2"]
    assert await peer.refusal("vault.list", cursor="nonsense") == (-32602, "invalid_params")


async def test_a_search_finds_all_words_in_whatever_is_known_but_the_value(peer: Peer) -> None:
    await peer.result("vault.store", name="github", value="sesame", tags=["code"], metadata={"user": "Straße"})
    await peer.result("vault.store", name="code", value="sesame")

    async def found(query: str, **filters: Any) -> list[str]:
        return [item["name"] for item in (await peer.result("vault.search", query=query, **filters))["items"]]

    assert await found("CODE") == ["code", "github"]
    assert await found("strasse git") == ["github"]
    assert await found("sesame") == []
    assert await found("code", offset=1) == ["github"]
    assert await found("code", category="own") == []
    hit = (await peer.result("vault.search", query="straße"))["items"][0]
    assert "Straße" in hit["snippet"]
    assert hit["score"] > 0


async def test_a_full_disk_refuses_what_takes_room_and_lets_secrets_be_read_and_deleted(
    daemon: Daemon, peer: Peer
) -> None:
    await peer.result("vault.store", name="a", value=1)
    with disk(daemon, apsw.FullError):
        for method in ("vault.store", "vault.update"):
            fields = {"name": "b"} if method == "vault.store" else {"id": "a"}
            assert await peer.refusal(method, **fields, value=2) == (-32008, "storage_full")
        assert (await peer.result("vault.retrieve", id="a"))["value"] == 1
        assert await peer.refusal("vault.retrieve", id="no such entry") == (-32001, "not_found")
    assert (await peer.result("vault.list"))["items"][0]["version"] == 1
    await peer.result("vault.store", name="b", value=2)
    assert await accesses(peer, action="store") == [("store", "ok"), ("store", "ok")]


async def test_a_refusal_says_why_on_a_full_disk_as_well(daemon: Daemon, peer: Peer) -> None:
    bot = await agent(daemon)
    await peer.result("vault.store", name="a", value=1)
    with disk(daemon, apsw.FullError):
        assert await peer.refusal("vault.retrieve", id="b") == (-32001, "not_found")
        for method, params in (
            ("vault.retrieve", {"id": "a"}),
            ("vault.update", {"id": "a", "value": 2}),
            ("vault.delete", {"id": "a"}),
            ("vault.rotate", {"password": PASSWORD}),
        ):
            assert await bot.refusal(method, **params) == (-32004, "denied")
        tampered(Path(daemon.paths.data_dir), lambda db: db.execute("UPDATE vault_entry SET value = x'00'"))
        assert await peer.refusal("vault.retrieve", id="a") == (-32009, "storage_failed")


async def test_a_disk_that_fails_locks_the_vault_and_the_next_unlock_finds_what_came_of_it(
    daemon: Daemon, peer: Peer
) -> None:
    await peer.result("vault.store", name="a", value=1)
    with disk(daemon, apsw.IOError):
        assert await peer.refusal("vault.store", name="b", value=2) == (-32009, "storage_failed")
        assert keyring(daemon).opened is None
    daemon.clock.advance(60)
    await daemon.until("the disk works again", lambda: daemon.supervisor._store.writer.stats.state == "ok")
    await peer.result("vault.unlock", password=PASSWORD)
    assert [item["name"] for item in (await peer.result("vault.list"))["items"]] == ["a"]


async def test_a_value_that_was_damaged_is_refused_and_written_down(daemon: Daemon, peer: Peer) -> None:
    await peer.result("vault.store", name="a", value="v" * 500)
    with apsw.Connection(daemon.paths.database, vfs="cksmvfs") as db:
        db.execute("UPDATE vault_entry SET value = zeroblob(length(value))")
    assert await peer.refusal("vault.retrieve", id="a") == (-32009, "storage_failed")
    assert await peer.refusal("vault.update", id="a", name="b") == (-32002, "conflict")
    assert ("retrieve", "damaged") in await accesses(peer)
    assert (await peer.result("vault.update", id="a", value="new"))["version"] == 2


async def test_a_value_that_does_not_open_is_named_until_it_is_replaced_and_a_rotation_names_all(
    daemon: Daemon, peer: Peer
) -> None:
    ids = [(await peer.result("vault.store", name=name, value="v" * 500))["id"] for name in ("a", "b", "c", "d")]
    tampered(Path(daemon.paths.data_dir), lambda db: db.execute("UPDATE vault_entry SET value = x'00' WHERE seq < 4"))

    async def damaged() -> list[str]:
        status = await peer.result("vault.status")
        assert (status["problem"] is not None) == bool(status["damaged"])
        return list(status["damaged"])

    assert await damaged() == []
    reply = await peer.ask("vault.retrieve", id="a")
    assert "vault.rotate" in reply["error"]["data"]["hint"]
    assert await damaged() == ids[:1]
    await peer.result("vault.lock")
    await peer.result("vault.unlock", password=PASSWORD)
    assert await damaged() == ids[:1]
    assert await peer.refusal("vault.update", id="b", name="other") == (-32002, "conflict")
    assert await damaged() == ids[:2]

    reply = await peer.ask("vault.rotate", password=PASSWORD)
    assert reply["error"]["data"]["damaged"] == ids[:3]
    assert await damaged() == ids[:3]
    await peer.result("vault.update", id="a", value="new")
    await peer.result("vault.delete", id="b")
    assert await damaged() == ids[2:3]
    await peer.result("vault.rotate", password=PASSWORD, drop_damaged=True)
    assert await damaged() == []
    assert (await peer.result("vault.retrieve", id="a"))["value"] == "new"


async def test_an_older_row_in_the_place_of_a_newer_is_neither_told_nor_taken_over(daemon: Daemon, peer: Peer) -> None:
    await peer.result("vault.store", name="a", value="old")
    (older,) = rows(daemon)
    await peer.result("vault.update", id="a", value="new")
    tampered(Path(daemon.paths.data_dir), lambda db: store.update(db, [older]))
    assert await peer.refusal("vault.retrieve", id="a") == (-32009, "storage_failed")
    assert await peer.refusal("vault.update", id="a", name="b") == (-32002, "conflict")
    assert ("retrieve", "damaged") in await accesses(peer)


async def test_the_audit_list_tells_every_access_and_no_name(daemon: Daemon, peer: Peer) -> None:
    entry = await peer.result("vault.store", name="canaryname", value=1)
    await peer.result("vault.retrieve", id="canaryname")
    await peer.result("vault.list")
    await peer.result("vault.search", query="x")
    await peer.refusal("vault.retrieve", id="nothing")
    await peer.result("vault.delete", id="canaryname")
    await peer.result("vault.lock")

    assert [access for access, _ in await accesses(peer)] == [
        *["init", "store", "retrieve", "list", "search", "retrieve", "delete", "lock"]
    ]
    assert await accesses(peer, id=entry["id"]) == [("store", "ok"), ("retrieve", "ok"), ("delete", "ok")]
    assert await accesses(peer, id=entry["id"], action="store") == [("store", "ok")]
    page = await peer.result("vault.audit", limit=3)
    rest = await peer.result("vault.audit", cursor=page["next_cursor"])
    assert [item["seq"] for item in (*page["items"], *rest["items"])] == [8, 7, 6, 5, 4, 3, 2, 1]
    assert page["items"][0]["client"] == "python"
    assert "canaryname" not in str(page) + str(rest)
    assert await peer.refusal("vault.audit", cursor="x") == (-32602, "invalid_params")
    await peer.result("vault.unlock", password=PASSWORD)
    assert await peer.refusal("vault.audit", id="nothing") == (-32602, "invalid_params")


async def test_a_change_is_told_by_its_id_alone(daemon: Daemon, peer: Peer) -> None:
    entry = await peer.result("vault.store", name="canaryname", value=1)
    await peer.result("vault.update", id="canaryname", tags=["canarytag"])
    await peer.result("vault.delete", id="canaryname")
    events = (await peer.result("event.list"))["items"]
    assert [(one["event"], one["entity"], one["entity_id"] == entry["id"]) for one in events] == [
        ("vault.made", "vault", False),
        *[(name, "vault_entry", True) for name in ("vault.stored", "vault.updated", "vault.deleted")],
    ]
    assert "canary" not in str(events)


async def test_an_entry_can_be_followed_before_there_is_one(daemon: Daemon, peer: Peer) -> None:
    other = await daemon.connect()
    await other.result("event.subscribe", topics=["vault_entry"])
    entry = await peer.result("vault.store", name="a", value=1)
    assert (await other.receive())["params"]["change"]["entity_id"] == entry["id"]


async def test_the_audit_list_tells_names_while_they_can_be_had(daemon: Daemon, peer: Peer) -> None:
    first = await peer.result("vault.store", name="a", value=1)
    gone = await peer.result("vault.store", name="gone", value=1)
    await peer.result("vault.update", id="a", name="b")
    await peer.result("vault.delete", id="gone")

    async def told() -> dict[str, str | None]:
        return {one["entry_id"]: one["name"] for one in (await peer.result("vault.audit"))["items"] if one["entry_id"]}

    before = await peer.result("vault.status")
    daemon.clock.advance(60)
    assert await told() == {first["id"]: "b", gone["id"]: None}
    # To look at the list doesn't keep the vault open.
    assert (await peer.result("vault.status"))["locks_at"] == before["locks_at"]
    daemon.clock.advance(600)
    assert await told() == {first["id"]: None, gone["id"]: None}
