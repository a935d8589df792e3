"""Imports: exact, kind to hand-written documents, and clear about what stands in the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kept.wire.errors import Conflict, InvalidParams, NotFound, QuotaExceeded, SecretFound, StorageFull, from_wire
from keptd import transfers
from tests.harness import Daemon, Peer, request, running
from tests.working import database, done, refused, work

from .moving import document, entry, export, offer, put, says, timeless, upload

pytestmark = pytest.mark.anyio

UNKNOWN_ID = "f" * 32
KEY = "ghp_" + "a1B2" * 9


async def brought(peer: Peer, whole: dict[str, Any], **params: Any) -> dict[str, Any]:
    """Import a document that stands in the call."""
    return dict(await done(peer, "session.import", document=whole, **params))


async def contents(peer: Peer, session_id: str) -> list[str]:
    """What was said in a session, in order."""
    return [
        one["content"] for one in (await peer.result("message.list", session_id=session_id, order="oldest"))["items"]
    ]


async def places(daemon: Daemon) -> list[tuple[str, str]]:
    """Where every session is, by title, in order."""
    db = database(daemon)
    return [(str(title), str(place)) for title, place in db.execute("SELECT title, place FROM session ORDER BY seq")]


async def test_the_least_document_is_enough(daemon: Daemon, peer: Peer) -> None:
    got = await brought(peer, document(entry(None, says("hello"), says("there"))))
    [one] = got["sessions"]
    assert (one["action"], one["former_id"], one["messages"], got["messages"]) == ("created", None, 2, 2)
    session = await peer.result("session.get", id=one["id"])
    assert (session["status"], session["messages"], session["version"]) == ("active", 2, 1)
    assert session["bytes"] == len("hellothere") + 2 * len("null")
    assert session["created_at"] == session["last_message_at"] == "2026-01-01T00:00:00Z"
    assert await contents(peer, one["id"]) == ["hello", "there"]
    await peer.result("message.send", session_id=one["id"], content="on")
    assert (await peer.result("message.list", session_id=one["id"]))["items"][0]["number"] == 3


async def test_what_is_imported_is_listed_tagged_and_found_by_its_words(daemon: Daemon, peer: Peer) -> None:
    await brought(peer, document(entry("s-1", says("a quetzal"), title="Birds", tags=["zoo"], project="p")))
    assert [one["id"] for one in (await peer.result("session.list", tag="zoo"))["items"]] == ["s-1"]
    assert [one["id"] for one in (await peer.result("session.list", project="p"))["items"]] == ["s-1"]
    with database(daemon) as db:
        found = "SELECT count(*) FROM {0} WHERE {0} MATCH ?"
        assert db.execute(found.format("message_text"), ("quetzal",)).fetchall() == [(1,)]
        assert db.execute(found.format("session_text"), ("birds",)).fetchall() == [(1,)]


async def test_unknown_members_come_back_where_they_stood(peer: Peer) -> None:
    deep = {"z": [1, 1.5, -0.0, 2**70, "é\u0000\u2028", None, {"": {}}]}
    one = {**entry("s-1", says("hi", mood=deep, extra=1), colour=deep, document="d"), "beside": deep, "entry": []}
    whole = document(one, entry("s-2", parent_id="s-1"), above=deep, session="x")
    await brought(peer, whole)
    found = timeless(await export(peer, "s-1", tree=True))
    assert (found["above"], found["session"]) == (deep, "x")
    first = found["sessions"][0]
    assert (first["beside"], first["entry"]) == (deep, [])
    assert (first["session"]["colour"], first["session"]["document"]) == (deep, "d")
    assert (first["messages"][0]["mood"], first["messages"][0]["extra"]) == (deep, 1)

    await peer.result("session.update", id="s-1", title="other")
    again = timeless(await export(peer, "s-1", tree=True))
    assert again["sessions"][0]["session"]["colour"] == deep
    assert again["above"] == deep


async def test_derived_members_are_not_believed(peer: Peer) -> None:
    told = entry("s-1", says("hi", number=99, session_id="x"), messages=7, bytes=-1, last_message_at="never")
    await brought(peer, document(told))
    session = await peer.result("session.get", id="s-1")
    assert (session["messages"], session["bytes"]) == (1, 6)
    [message] = (await peer.result("message.list", session_id="s-1"))["items"]
    assert (message["number"], message["session_id"]) == (1, "s-1")


@pytest.mark.parametrize("layout", [{}, {"indent": 2}, {"sort_keys": True}, {"indent": 1, "sort_keys": True}])
async def test_any_layout_and_order_of_members_is_read(peer: Peer, layout: dict[str, Any]) -> None:
    whole = document(entry("s-2", parent_id="s-1"), entry("s-1", says("a"), says("b")), z={"unknown": [1]})
    got = await put(peer, json.dumps(whole, **layout))
    assert [one["action"] for one in got["sessions"]] == ["created", "created"]
    assert (await peer.result("session.get", id="s-2"))["parent_id"] == "s-1"
    assert await contents(peer, "s-1") == ["a", "b"]


async def test_a_taken_id_gives_a_new_one_to_the_session_and_its_children(peer: Peer) -> None:
    whole = document(entry("s-1", says("a", id="m-1")), entry("s-2", parent_id="s-1"))
    await brought(peer, whole)
    got = await brought(peer, whole)
    first, second = got["sessions"]
    assert {first["id"], second["id"]}.isdisjoint({"s-1", "s-2"})
    assert (first["former_id"], second["former_id"]) == ("s-1", "s-2")
    assert (await peer.result("session.get", id=second["id"]))["parent_id"] == first["id"]
    [message] = (await peer.result("message.list", session_id=first["id"]))["items"]
    assert message["id"] != "m-1"
    assert (await peer.result("message.get", id="m-1"))["session_id"] == "s-1"


async def test_skipping_leaves_what_is_there_and_adds_what_is_not(peer: Peer) -> None:
    await brought(peer, document(entry("s-1", says("old"))))
    got = await brought(peer, document(entry("s-1", says("new")), entry("s-2", parent_id="s-1")), on_conflict="skip")
    assert [(one["id"], one["action"]) for one in got["sessions"]] == [("s-1", "skipped"), ("s-2", "created")]
    assert await contents(peer, "s-1") == ["old"]
    assert (await peer.result("session.get", id="s-2"))["parent_id"] == "s-1"


async def test_replacing_moves_what_is_there_to_the_trash(daemon: Daemon, peer: Peer) -> None:
    await brought(peer, document(entry("s-1", says("old"), title="old", tags=["t"])))
    child = await peer.result("session.create", parent_id="s-1")
    got = await brought(peer, document(entry("s-1", says("new"), title="new", tags=["t"])), on_conflict="replace")
    assert [(one["id"], one["action"]) for one in got["sessions"]] == [("s-1", "replaced")]
    assert await contents(peer, "s-1") == ["new"]
    assert (await peer.result("session.get", id=child["id"]))["parent_id"] == "s-1"
    assert [one["title"] for one in (await peer.result("session.list", tag="t"))["items"]] == ["new"]
    [gone] = (await peer.result("trash.list"))["items"]
    assert (gone["entity"], gone["label"]) == ("session", "old")
    assert gone["entity_id"] != "s-1"
    assert await places(daemon) == [("old", "trash"), ("", "here"), ("new", "here")]


async def test_the_id_of_what_is_in_the_trash_stays_its_own(peer: Peer) -> None:
    await brought(peer, document(entry("s-1")))
    await peer.result("session.delete", id="s-1")
    for on_conflict in ("new_id", "skip", "replace"):
        got = await brought(peer, document(entry("s-1")), on_conflict=on_conflict)
        assert got["sessions"][0]["id"] != "s-1"
        assert "trash" in got["warnings"][0]


async def test_a_parent_that_is_not_there_is_left_away_but_not_forgotten(peer: Peer) -> None:
    got = await brought(peer, document(entry("s-2", parent_id="s-1")))
    assert "s-1" in got["warnings"][0]
    assert (await peer.result("session.get", id="s-2"))["parent_id"] is None
    again = timeless(await export(peer, "s-2"))
    assert again["sessions"][0]["session"]["parent_id"] == "s-1"

    await brought(peer, document(entry("s-1")))
    await brought(peer, again, on_conflict="replace")
    assert (await peer.result("session.get", id="s-2"))["parent_id"] == "s-1"


async def test_a_parent_that_would_close_a_circle_is_left_away(peer: Peer) -> None:
    await brought(peer, document(entry("s-1"), entry("s-2", parent_id="s-1")))
    got = await brought(peer, document(entry("s-1", parent_id="s-2")), on_conflict="replace")
    assert len(got["warnings"]) == 1
    assert (await peer.result("session.get", id="s-1"))["parent_id"] is None


async def test_each_session_is_one_change(peer: Peer) -> None:
    before = (await peer.result("daemon.status"))["storage"]["last_seq"]
    await brought(peer, document(entry("s-1", says("a"), says("b"), title="one"), entry("s-2", says("c"))))
    found = (await peer.result("event.list", since=before))["items"]
    assert [(one["method"], one["entity"], one["entity_id"]) for one in found] == [
        ("session.import", "session", "s-1"),
        ("session.import", "session", "s-2"),
    ]


async def test_an_upload_is_imported_once_and_gives_the_first_result_again(daemon: Daemon, peer: Peer) -> None:
    id_ = await upload(peer, json.dumps(document(entry("s-1", says("a")))))
    first = await done(peer, "session.import", upload_id=id_)
    assert await done(peer, "session.import", upload_id=id_) == first
    assert list((Path(daemon.paths.data_dir) / "exports").iterdir()) == []
    assert await refused(peer, "session.import", upload_id=id_, on_conflict="skip") is NotFound
    daemon.clock.advance(10)
    keyed = {"document": document(entry("s-1")), "idempotency_key": "once"}
    assert await done(peer, "session.import", **keyed) == await done(peer, "session.import", **keyed)
    assert await refused(peer, "session.import", document=document(), idempotency_key="once") is Conflict
    assert len((await peer.result("session.list"))["items"]) == 2


async def test_either_a_file_or_a_document_is_needed(peer: Peer) -> None:
    assert await refused(peer, "session.import") is InvalidParams
    assert await refused(peer, "session.import", upload_id=UNKNOWN_ID, document={}) is InvalidParams
    assert await refused(peer, "session.import", upload_id=UNKNOWN_ID) is NotFound


async def test_a_file_that_has_not_come_whole_is_refused(peer: Peer) -> None:
    begun = await done(peer, "data.begin", bytes=10, sha256="0" * 64)
    assert await refused(peer, "session.import", upload_id=begun["id"]) is Conflict


async def test_a_newer_version_is_refused_before_anything_else_is_looked_at(daemon: Daemon, peer: Peer) -> None:
    for whole in (document("later"), {"a": 1, **document("later")}):  # type: ignore[arg-type]  # of a later form
        newer = json.dumps({**whole, "version": 2}, sort_keys=True)
        error = await offer(peer, newer)
        assert from_wire(error).type == Conflict.type
        assert "version 2" in error["message"]
        assert error["data"]["version"] == 2
    assert await places(daemon) == []


WRONG: list[tuple[Any, str]] = [
    ({}, "no document of sessions"),
    ({"format": "kept.session", "version": True, "sessions": []}, "no document of sessions"),
    ({"format": "other", "version": 1, "sessions": []}, "no document of sessions"),
    ({"format": "kept.session", "version": 1}, "no sessions"),
    (document({"messages": []}), "sessions[0] has no session"),
    (document(entry("a b")), "sessions[0].session.id"),
    (document(entry(title="x" * 201)), "sessions[0].session.title"),
    (document(entry(status="asleep")), "sessions[0].session.status"),
    (document(entry(tags=["x"] * 33)), "sessions[0].session.tags"),
    (document(entry(version=0)), "sessions[0].session.version"),
    (document(entry(created_at="2026-01-01T00:00:00")), "sessions[0].session.created_at"),
    (document(entry(created_at="0001-01-01T00:00:00+12:00")), "sessions[0].session.created_at: this time"),
    (document(entry(None, {"role": "user"})), "sessions[0].messages[0]"),
    (
        document(entry(), entry(None, says("a"), says("b", role="robot"))),
        "sessions[1].messages[1].role: expected one of",
    ),
    (document(entry(None, says("a\0b"))), "sessions[0].messages[0].content"),
    (document(entry(None, says("a", actor="x\ny"))), "sessions[0].messages[0].actor"),
    (document(entry("s-1"), entry("s-1")), "sessions[1].session.id"),
    (document(entry("s-1", parent_id="s-2"), entry("s-2", parent_id="s-1")), "descends from itself"),
    (document(entry("s-1", parent_id="s-1")), "descends from itself"),
    (document(*(entry(f"s{n}", parent_id=f"s{n + 1}") for n in range(1001))), "ancestors"),
    (document(**{f"m{n}": n for n in range(33)}), "unknown members"),
]


@pytest.mark.parametrize(("whole", "told"), WRONG)
async def test_a_wrong_document_is_refused_with_the_place(
    daemon: Daemon, peer: Peer, whole: dict[str, Any], told: str
) -> None:
    error = await offer(peer, json.dumps(whole))
    assert from_wire(error).type == InvalidParams.type
    assert told in error["message"]
    assert "robot" not in error["message"]
    assert await places(daemon) == []


async def test_a_refusal_names_the_line_and_the_byte(peer: Peer) -> None:
    text = json.dumps(document(entry("s-1", says("a"), says("b", role="robot"))), indent=1)
    error = await offer(peer, text)
    line = text[: text.index("robot")].count("\n")  # The message begins on the line before.
    assert f"(line {line}, byte " in error["message"]
    begin = error["data"]["offset"]
    assert json.JSONDecoder().raw_decode(text, begin)[0]["content"] == "b"


@pytest.mark.parametrize("text", ["", "{", '{"format": "kept.session", "version": 1, "sessions": [', "[]", "\x00"])
async def test_what_is_no_json_is_refused(peer: Peer, text: str) -> None:
    assert from_wire(await offer(peer, text or " ")).type == InvalidParams.type


async def test_values_that_are_too_large_are_refused_with_the_place(peer: Peer) -> None:
    for whole in (
        document(entry(metadata="x" * 1_100_000)),
        document(entry(None, says("x", metadata="x" * 1_100_000))),
        document(entry(None, says("x", unknown="x" * 1_100_000))),
    ):
        error = await offer(peer, json.dumps(whole))
        assert from_wire(error).type == "too_large"
        assert "sessions[0]" in error["message"]
    deep = json.loads("[" * 100 + "]" * 100)
    assert "deep" in (await offer(peer, json.dumps(document(entry(metadata=deep)))))["message"]


async def test_credentials_are_refused_masked_or_let_through(daemon: Daemon, peer: Peer) -> None:
    whole = document(entry("s-1", says("a"), says(f"it is {KEY}", more={"k": KEY})))
    error = await offer(peer, json.dumps(whole))
    assert from_wire(error).type == SecretFound.type
    assert error["data"]["field"] == "sessions[0].messages[1].content"
    assert KEY not in json.dumps(error)
    assert await refused(peer, "session.import", document=document(entry(title=KEY))) is SecretFound
    assert await refused(peer, "session.import", document=document(entry(note={"token": KEY}))) is SecretFound
    assert await refused(peer, "session.import", document=document(note=KEY)) is SecretFound
    assert await places(daemon) == []

    await brought(peer, whole, on_secret="redact")
    assert await contents(peer, "s-1") == ["a", "it is [redacted github_token]"]
    assert KEY not in await export(peer, "s-1")
    got = await brought(peer, whole, on_secret="allow")
    assert (await contents(peer, got["sessions"][0]["id"]))[1] == f"it is {KEY}"


async def test_a_disk_without_room_refuses_and_leaves_nothing(
    peer: Peer, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    id_ = await upload(peer, json.dumps(document(entry("s-1"))))
    with monkeypatch.context() as patch:
        patch.setattr(transfers.Incoming, "check_whole", no_room)
        assert await refused(peer, "session.import", upload_id=id_) is StorageFull
    assert await places(daemon) == []
    assert (await done(peer, "session.import", upload_id=id_))["messages"] == 0


async def test_long_imports_tell_how_far_they_are(peer: Peer) -> None:
    whole = document(entry("s-1", *(says("x") for _ in range(3))))
    _, told = await work(peer, "session.import", upload_id=await upload(peer, json.dumps(whole)))
    assert {one["text"] for one in told} <= {"checking", "importing", "showing the sessions"}
    assert told


@pytest.mark.parametrize(
    ("setting", "field"),
    [("max_messages=2", "messages"), ("max_bytes=10", "bytes"), ("max_sessions=1", None)],
)
async def test_what_would_be_more_than_may_be_is_refused_before_anything_is_written(
    home: Path, setting: str, field: str | None
) -> None:
    whole = document(entry("s-1", says("one"), says("two"), says("three")), entry("s-2"))
    name, _, value = setting.partition("=")
    async with running(home, **{f"sessions__{name}": value}) as daemon:
        peer = await daemon.connect()
        error = await offer(peer, json.dumps(whole))
        assert from_wire(error).type == QuotaExceeded.type
        assert await refused(peer, "session.import", document=whole) is QuotaExceeded
        assert error["data"].get("field") == field
        assert await places(daemon) == []


async def test_a_session_without_a_title_takes_it_from_its_messages(peer: Peer) -> None:
    got = await done(
        peer, "session.import", document=document(entry(None, says(" "), says("Kites fly\nhigh"), says("on")))
    )
    [session] = (await peer.result("session.list"))["items"]
    assert (session["id"], session["title"], session["version"]) == (got["sessions"][0]["id"], "Kites fly", 1)
    [found] = (await peer.result("session.search", query="kites"))["items"]
    assert found["id"] == session["id"]


async def test_a_mark_of_the_encoding_is_passed_over_and_another_encoding_is_named(peer: Peer) -> None:
    text = json.dumps(document(entry("s-1", says("kite"))))
    assert (await put(peer, b"\xef\xbb\xbf" + text.encode()))["messages"] == 1
    assert await contents(peer, "s-1") == ["kite"]
    for encoding in ("utf-16", "utf-16-be"):
        error = await offer(peer, "\ufeff".encode(encoding)[-2:] + text.encode("utf-16-be"))
        assert error["data"]["type"] == "invalid_params"
        assert error["message"] == "the document is in UTF-16, and JSON is in UTF-8"


async def test_where_something_is_wrong_behind_a_mark_the_place_in_the_file_is_told(peer: Peer) -> None:
    error = await offer(peer, b"\xef\xbb\xbf[]")
    assert (error["data"]["offset"], error["data"]["line"]) == (3, 1)


async def test_what_was_to_be_skipped_and_is_deleted_meanwhile_is_not_reported_as_there(
    daemon: Daemon, peer: Peer
) -> None:
    await brought(peer, document(entry("s-1", says("old"))))
    other = await daemon.connect()
    # Held before the second session is staged, when it is known that the first is here.
    with daemon.clock.holding("writer"):
        both = document(entry("s-1", says("new")), entry("s-2", says("new")))
        await peer.send(request("import", "session.import", document=both, on_conflict="skip"))
        await daemon.clock.reached()
        await other.send(request("delete", "session.delete", id="s-1"))
    assert "result" in await other.receive()
    while "method" in (reply := await peer.receive()):
        pass
    assert reply["error"]["data"]["type"] == "conflict"
    assert (await peer.result("session.list"))["items"] == []
    assert {one["action"] for one in (await brought(peer, both, on_conflict="skip"))["sessions"]} == {"created"}
