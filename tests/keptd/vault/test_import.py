"""A vault in files is taken over in one step, may be taken over again, and never takes another's place."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anyio
import apsw
import pytest

from keptd.vault import entries, file_vault, import_methods, names
from keptd.vault.store import EntryRow
from tests.harness import Daemon, Peer

from .room import PASSWORD as OWN
from .room import accesses, agent, disk, guarded, keyring, made, progress_of, tampered
from .test_file_vault import PASSWORD, as_javascript, vault

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quick_passwords")]


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_vault, "_ROUNDS", 1)


def sent(*entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The parameters of an import of these entries."""
    files = vault(as_javascript, *entries)
    parts = [{"name": name, "data": base64.b64encode(data).decode()} for name, data in files.items()]
    return {"password": PASSWORD, "files": parts, **more}


def told(imported: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(item["action"], item.get("name")) for item in imported["items"]]


ANN: dict[str, Any] = {
    "key": "ann",
    "value": {"pin": 1234},
    "metadata": {"category": "finance", "tags": ["bank"], "branch": 7},
    "createdAt": "2024-01-15T10:00:00.000Z",
}


async def test_entries_are_stored_with_what_is_known_of_them(peer: Peer) -> None:
    imported = await peer.result("vault.import", **sent(ANN, {"key": "bob", "value": "x"}))
    assert (told(imported), imported["stored"]) == ([("stored", "ann"), ("stored", "bob")], 2)
    found = await peer.result("vault.retrieve", id="ann")
    assert found["value"] == {"pin": 1234}
    assert (found["category"], found["tags"], found["metadata"]) == ("finance", ["bank"], {"branch": 7})
    assert found["created_at"] == found["updated_at"] == "2024-01-15T10:00:00Z"
    assert found["agent_readable"] is False
    assert [item["name"] for item in (await peer.result("vault.list"))["items"]] == ["ann", "bob"]


async def test_it_tells_how_far_it_is(peer: Peer) -> None:
    _, told = await progress_of(peer, "vault.import", **sent(ANN, {"key": "bob", "value": "x"}))
    assert told == [(0, 0, "opening the files"), (0, 2, "sealing"), (0, 0, "writing")]


async def test_it_fits_together_when_it_is_unlocked_again(peer: Peer) -> None:
    await peer.result("vault.import", **sent(ANN))
    await peer.result("vault.lock")
    status = await peer.result("vault.unlock", password=OWN)
    assert (status["state"], status["entries"], status["damaged"]) == ("unlocked", 1, [])
    assert (await peer.result("vault.retrieve", id="ann"))["value"] == {"pin": 1234}


async def test_the_same_again_is_left_alone_and_changes_nothing(peer: Peer) -> None:
    first = await peer.result("vault.import", **sent(ANN))
    counter = (await peer.result("vault.status"))["counter"]
    again = await peer.result("vault.import", **sent(ANN), on_conflict="rename")
    assert told(again) == [("same", "ann")]
    assert again["items"][0]["id"] == first["items"][0]["id"]
    assert (await peer.result("vault.status"))["counter"] == counter


async def test_a_name_that_stands_for_something_else_is_left_out_or_numbered(peer: Peer) -> None:
    for number in (1, 2):
        await peer.result("vault.store", name="ann" if number == 1 else "ann (2)", value=f"own {number}")
    assert told(await peer.result("vault.import", **sent(ANN))) == [("taken", "ann")]
    for action in ("renamed", "same"):
        imported = await peer.result("vault.import", **sent(ANN, on_conflict="rename"))
        assert told(imported) == [(action, "ann (3)")]
    assert (await peer.result("vault.retrieve", id="ann"))["value"] == "own 1"
    assert (await peer.result("vault.retrieve", id="ann (3)"))["value"] == {"pin": 1234}


async def test_two_files_with_one_name_do_not_get_into_each_other_s_way(peer: Peer) -> None:
    files = vault(as_javascript, ANN)
    copy, other = dict(files), vault(as_javascript, ANN | {"value": "other"})
    copy |= {"b.vault": files["ann.vault"], "c.vault": other["ann.vault"]}
    parts = [{"name": name, "data": base64.b64encode(data).decode()} for name, data in copy.items()]
    imported = await peer.result("vault.import", password=PASSWORD, files=parts)
    assert told(imported) == [("stored", "ann"), ("same", "ann"), ("taken", "ann")]


def as_files(entries: Iterable[dict[str, Any]]) -> list[dict[str, str]]:
    """The files of entries whose names may be the same."""
    return [
        {"name": f"{place:04}.vault", "data": base64.b64encode(data).decode()}
        for place, entry in enumerate(entries)
        for name, data in vault(as_javascript, entry).items()
        if name.endswith(".vault")
    ]


async def test_many_entries_of_one_name_are_numbered_without_all_numbers_for_each(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ann", "ann (3)"):
        await peer.result("vault.store", name=name, value="own")
    made = 0

    def counted(name: str) -> str:
        nonlocal made
        made += 1
        return names.cleaned(name)

    values = ["own", *range(40), *range(40), "own"]
    files = as_files({"key": "ann", "value": value} for value in values)
    monkeypatch.setattr(import_methods, "cleaned", counted)
    imported = await peer.result("vault.import", password=PASSWORD, files=files, on_conflict="rename")
    assert made <= 2 * len(values)
    free = [f"ann ({number})" for number in (2, *range(4, 43))]
    wanted = [("same", "ann"), *(("renamed", name) for name in free), *(("same", name) for name in free)]
    assert told(imported) == [*wanted, ("same", "ann")]
    monkeypatch.undo()
    for name, value in zip(free, range(40), strict=True):
        assert (await peer.result("vault.retrieve", id=name))["value"] == value


async def test_a_name_loses_what_does_not_show_and_that_is_told(peer: Peer) -> None:
    await peer.result("vault.store", name="bob", value="own")
    entries = [{"key": f"an\u200bn{number}\n ", "value": number} for number in (1, 2)]
    files = vault(as_javascript, *entries, {"key": "b\u202eob", "value": "x"}, {"key": "\u200b", "value": 1})
    parts = [
        {"name": f"{place}.vault", "data": base64.b64encode(data).decode()}
        for place, data in enumerate(data for name, data in files.items() if name.endswith(".vault"))
    ]
    for again in range(2):
        imported = await peer.result("vault.import", password=PASSWORD, files=parts)
        first = "same" if again else "renamed"
        assert sorted(told(imported), key=str) == sorted(
            [(first, "ann1"), (first, "ann2"), ("taken", "bob"), ("unread", None)], key=str
        )
    assert (await peer.result("vault.retrieve", id="ann1"))["value"] == 1
    renamed = await peer.result("vault.import", password=PASSWORD, files=parts, on_conflict="rename")
    (item,) = (item for item in renamed["items"] if item["action"] == "renamed")
    assert item["name"] == "bob (2)"
    assert "doesn't show" in item["why"]


async def test_what_can_not_be_read_is_told_beside_what_was_stored(peer: Peer) -> None:
    request = sent(ANN, {"key": "0190b2c4-0000-7000-8000-000000000000", "value": 1})
    request["files"].append({"name": "x.vault", "data": base64.b64encode(b"x" * 50).decode()})
    imported = await peer.result("vault.import", **request)
    assert imported["stored"] == 1
    unread = {item["file"]: item["why"] for item in imported["items"] if item["action"] == "unread"}
    assert "form of an id" in unread["0190b2c4-0000-7000-8000-000000000000.vault"]
    assert "doesn't open" in unread["x.vault"]


async def test_a_wrong_password_is_refused_and_in_the_audit_list(peer: Peer) -> None:
    assert (await peer.refusal("vault.import", **sent(ANN) | {"password": "wrong"}))[1] == "denied"
    (access, *_) = (await peer.result("vault.audit", action="import"))["items"]
    assert access["outcome"] == "wrong_password"
    assert (await peer.result("vault.status"))["failures"] == 0, "it is not the password of this vault"


async def test_each_entry_is_in_the_audit_list_and_the_change_log_as_stored(peer: Peer) -> None:
    imported = await peer.result("vault.import", **sent(ANN))
    entry_id = imported["items"][0]["id"]
    audit = (await peer.result("vault.audit", id=entry_id))["items"]
    assert [(access["action"], access["outcome"]) for access in audit] == [("store", "ok")]
    changes = (await peer.result("event.list", since=0))["items"]
    assert [change["entity_id"] for change in changes if change["method"] == "vault.store"] == [entry_id]
    assert [change["entity"] for change in changes if change["method"] == "vault.import"] == ["vault"]


@pytest.mark.parametrize(
    "change",
    [
        lambda files: files.append(files[0]),
        lambda files: files[0].update(data="*"),
        lambda files: files[0].update(name="a/b"),
        lambda files: files.clear(),
    ],
)
async def test_files_that_are_none_are_refused(peer: Peer, change: Any) -> None:
    request = sent(ANN)
    change(request["files"])
    assert (await peer.refusal("vault.import", **request))[1] == "invalid_params"


async def test_without_a_vault_there_is_nothing_to_import_into(home: Path) -> None:
    async with guarded(home) as daemon:
        peer = await daemon.connect()
        assert (await peer.refusal("vault.import", **sent(ANN)))[1] == "not_found"


async def test_a_vault_that_was_opened_despite_damage_takes_nothing(home: Path) -> None:
    async with guarded(home) as daemon:
        await (await made(daemon)).result("vault.store", name="a", value=1)
    tampered(home, lambda db: db.execute("UPDATE vault_entry SET about = zeroblob(92)"))
    async with guarded(home) as daemon:
        peer = await daemon.connect()
        await peer.result("vault.unlock", password=OWN, despite_damage=True)
        assert (await peer.refusal("vault.import", **sent(ANN)))[1] == "conflict"


async def test_more_than_the_vault_may_have_is_refused_as_a_whole(home: Path) -> None:
    async with guarded(home, vault__max_entries="2") as daemon:
        peer = await daemon.connect()
        await peer.result("vault.init", password=OWN)
        entries = [{"key": f"k{number}", "value": number} for number in range(3)]
        assert (await peer.refusal("vault.import", **sent(*entries)))[1] == "quota_exceeded"
        assert (await peer.result("vault.status"))["entries"] == 0


async def test_a_locked_vault_takes_nothing(peer: Peer) -> None:
    await peer.result("vault.lock")
    assert (await peer.refusal("vault.import", **sent(ANN)))[1] == "locked"


async def test_a_lock_meanwhile_lets_it_end_and_leaves_nothing_open(
    daemon: Daemon, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal = entries.seal

    await peer.result("vault.store", name="own", value=1)

    def locked_meanwhile(*given: Any) -> EntryRow:
        anyio.from_thread.run_sync(keyring(daemon).lock)
        return seal(*given)

    monkeypatch.setattr(entries, "seal", locked_meanwhile)
    assert (await peer.result("vault.import", **sent(ANN)))["stored"] == 1
    monkeypatch.undo()
    assert (await peer.result("vault.status"))["state"] == "locked"
    status = await peer.result("vault.unlock", password=OWN)
    assert (status["state"], status["entries"]) == ("unlocked", 2)


async def test_a_full_disk_leaves_everything_as_it_was(daemon: Daemon, peer: Peer) -> None:
    with disk(daemon, apsw.FullError):
        assert (await peer.refusal("vault.import", **sent(ANN)))[1] == "storage_full"
    assert (await peer.result("vault.list"))["items"] == []
    assert (await peer.result("vault.import", **sent(ANN)))["stored"] == 1


async def test_of_two_names_that_may_look_alike_the_second_is_taken_or_numbered(peer: Peer) -> None:
    await peer.result("vault.store", name="\U0001f600", value="own")
    entries = [{"key": name, "value": name} for name in ("\U0001f600\ufe0f", "\u2602\ufe0e", "\u2602")]
    parts = as_files(entries)
    imported = await peer.result("vault.import", password=PASSWORD, files=parts)
    assert [action for action, _ in told(imported)] == ["taken", "stored", "taken"]
    imported = await peer.result("vault.import", password=PASSWORD, files=parts, on_conflict="rename")
    assert [action for action, _ in told(imported)] == ["renamed", "same", "renamed"]


async def test_a_long_name_that_is_numbered_is_one_that_may_be_stored(peer: Peer) -> None:
    long = "ab" + "\U0001f469\u200d\U0001f4bb" * 66
    assert (len(long), long[195]) == (200, "\u200d")
    await peer.result("vault.store", name=long, value="own")
    ((action, given),) = told(
        await peer.result("vault.import", **sent({"key": long, "value": 1}, on_conflict="rename"))
    )
    assert (action, given is not None and given.endswith(" (2)")) == ("renamed", True)
    names.check(str(given))


async def test_an_agent_is_not_told_whether_it_guessed_a_value_that_it_may_not_read(daemon: Daemon, peer: Peer) -> None:
    bot = await agent(daemon)
    await peer.result("vault.store", name="pin", value=3)
    await peer.result("vault.store", name="open", value=3, agent_readable=True)
    for name, actions in (("pin", {"taken"}), ("open", {"taken", "same"})):
        files = [
            {"name": f"{guess}.vault", "data": base64.b64encode(data).decode()}
            for guess in range(5)
            for file, data in vault(as_javascript, {"key": name, "value": guess}).items()
            if file.endswith(".vault")
        ]
        for each, told_it in ((bot, actions), (peer, {"taken", "same"})):
            imported = await each.result("vault.import", password=PASSWORD, files=files)
            assert {item["action"] for item in imported["items"]} == told_it
    # What only looked is written down as well.
    assert await accesses(peer, action="import") == [("import", "ok")] * 4
