"""Exports: whole, exact, in parts, and unmoved by what is said meanwhile."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kept.wire.errors import Conflict, InvalidParams, NotFound
from keptd.sessions import export as parts
from tests.harness import Daemon, Peer
from tests.working import done, refused

from .moving import export

pytestmark = pytest.mark.anyio


async def begun(peer: Peer, *contents: str, **params: Any) -> str:
    """A session with some messages; its id."""
    session = await peer.result("session.create", **params)
    for content in contents:
        await peer.result("message.send", session_id=session["id"], content=content)
    return str(session["id"])


async def test_an_export_says_all_that_the_session_says(daemon: Daemon, peer: Peer) -> None:
    id_ = await begun(peer, "one", "two", title="Talk", tags=["a", "b"], project="p", metadata={"x": [1.5, None]})
    daemon.clock.advance(60)
    await peer.result("session.close", id=id_, summary="we spoke")
    found = json.loads(await export(peer, id_))
    session = await peer.result("session.get", id=id_)
    messages = (await peer.result("message.list", session_id=id_, order="oldest"))["items"]

    assert (found["format"], found["version"]) == ("kept.session", 1)
    [entry] = found["sessions"]
    local = {name: session.pop(name) for name in ("attached", "attached_seconds")}
    assert local == {"attached": [], "attached_seconds": 0}
    assert entry["session"] == {**session, "attached_us": 0}
    assert entry["messages"] == [
        {name: value for name, value in one.items() if name != "session_id"} for one in messages
    ]


async def test_each_message_is_a_line(peer: Peer) -> None:
    id_ = await begun(peer, "one\ntwo", "three\u2028four")
    lines = (await export(peer, id_)).split("\n")
    assert [json.loads(line.rstrip(","))["content"] for line in lines[2:4]] == ["one\ntwo", "three\u2028four"]


async def test_a_tree_has_parents_before_children_and_nothing_that_is_in_the_trash(peer: Peer) -> None:
    root = await begun(peer, title="root")
    first, second = [await begun(peer, "said", parent_id=root) for _ in range(2)]
    below = await begun(peer, parent_id=first)
    gone = await begun(peer, parent_id=root)
    await begun(peer, title="stranger")
    await peer.result("session.delete", id=gone)

    whole = json.loads(await export(peer, root, tree=True))
    assert [one["session"]["id"] for one in whole["sessions"]] == [root, first, second, below]
    alone = json.loads(await export(peer, root))
    assert [one["session"]["id"] for one in alone["sessions"]] == [root]


@pytest.mark.parametrize("form", ["json", "markdown", "txt"])
async def test_parts_of_any_size_are_the_same_text(peer: Peer, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    root = await begun(peer, *(f"message {number}" for number in range(5)))
    await begun(peer, parent_id=root)
    await begun(peer, "a", "b", parent_id=root)
    whole = await export(peer, root, tree=True, format=form)
    for size in (1, 150, 700, 2000):
        monkeypatch.setattr(parts, "PART_BYTES", size)
        assert await export(peer, root, tree=True, format=form) == whole


async def test_parts_tell_how_far_they_are(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_BYTES", 1)
    id_ = await begun(peer, "a", "b")
    told = []
    cursor: dict[str, str] = {}
    while cursor.get("cursor", "") is not None:
        part = await done(peer, "session.export", id=id_, **cursor)
        told.append((part["done"], part["total"]))
        cursor = {"cursor": part["next_cursor"]}
    assert told[0] == (0, 2)
    assert told[-1] == (2, 2)


async def test_what_is_said_meanwhile_is_not_in_it(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_BYTES", 1)
    id_ = await begun(peer, "a", "b")
    text = ""
    cursor: dict[str, str] = {}
    for _ in range(10):
        part = await done(peer, "session.export", id=id_, **cursor)
        text += part["text"]
        if part["next_cursor"] is None:
            break
        cursor = {"cursor": part["next_cursor"]}
        await peer.result("message.send", session_id=id_, content="later")
    [entry] = json.loads(text)["sessions"]
    assert len(entry["messages"]) == entry["session"]["messages"]
    assert [one["content"] for one in entry["messages"]][:2] == ["a", "b"]
    assert len(entry["messages"]) < 5


async def test_a_tree_that_changed_meanwhile_is_refused(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_BYTES", 1)
    root = await begun(peer, "a")
    child = await begun(peer, parent_id=root)
    cursor = (await done(peer, "session.export", id=root, tree=True))["next_cursor"]
    await begun(peer, parent_id=root)
    assert (await done(peer, "session.export", id=root, tree=True, cursor=cursor))["text"]
    await peer.result("session.delete", id=child)
    assert await refused(peer, "session.export", id=root, tree=True, cursor=cursor) is Conflict


async def test_what_is_not_there_and_a_cursor_of_something_else_are_refused(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PART_BYTES", 1)
    id_ = await begun(peer, "a")
    cursor = (await done(peer, "session.export", id=id_))["next_cursor"]
    assert await refused(peer, "session.export", id=id_, format="txt", cursor=cursor) is InvalidParams
    assert await refused(peer, "session.export", id=await begun(peer, "b"), cursor=cursor) is Conflict
    await peer.result("session.delete", id=id_)
    assert await refused(peer, "session.export", id=id_) is NotFound
    assert await refused(peer, "session.export", id=id_, cursor=cursor) is NotFound
