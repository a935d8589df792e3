"""What is told of conversations: by entity, by method, and by what happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kept.wire.catalog import calls, events, further_names
from tests.harness import Daemon, Peer, running

pytestmark = pytest.mark.anyio

HAPPENED = [
    "session.created",
    "message.sent",
    "session.updated",
    "session.closed",
    "session.reopened",
    "session.deleted",
]


async def live(peer: Peer) -> str:
    """A session's whole life."""
    made = await peer.result("session.create", title="Kite")
    await peer.result("message.send", session_id=made["id"], content="hello")
    await peer.result("session.update", id=made["id"], title="Boat")
    await peer.result("session.close", id=made["id"])
    await peer.result("session.reopen", id=made["id"])
    await peer.result("session.delete", id=made["id"])
    return str(made["id"])


async def told(peer: Peer) -> dict[str, Any]:
    message = await peer.receive()
    assert message["method"] == "event"
    return dict(message["params"]["change"])


@pytest.mark.parametrize("since", [0, None], ids=["replayed", "live"])
async def test_what_happened_can_be_followed_by_its_name(daemon: Daemon, peer: Peer, since: int | None) -> None:
    other = await daemon.connect()
    topics = ["message.sent", "session.closed", "session.deleted"]
    if since is None:
        await peer.result("event.subscribe", topics=topics)
    await live(other)
    if since is not None:
        await peer.result("event.subscribe", topics=topics, since=since)
    changes = [await told(peer) for _ in topics]
    assert [change["event"] for change in changes] == topics
    assert [change["method"] for change in changes] == ["message.send", "session.close", "session.delete"]
    await peer.is_served()


async def test_every_change_says_what_happened_where_there_is_a_name_for_it(peer: Peer) -> None:
    await live(peer)
    await peer.result("memory.set", key="k", value=1)
    changes = (await peer.result("event.list"))["items"]
    assert [change.get("event") for change in changes] == [*HAPPENED, None]
    assert [change["entity"] for change in changes[:2]] == ["session", "message"]


@pytest.mark.parametrize("event", HAPPENED)
async def test_a_list_takes_each_name(peer: Peer, event: str) -> None:
    await live(peer)
    (change,) = (await peer.result("event.list", topics=[event, event]))["items"]
    assert change["event"] == event


async def test_a_name_and_its_method_give_each_change_once(peer: Peer) -> None:
    await live(peer)
    found = (await peer.result("event.list", topics=["message.sent", "message.send", "message"]))["items"]
    assert len(found) == 1


async def test_a_name_that_is_none_is_refused_with_the_nearest(peer: Peer) -> None:
    error = (await peer.ask("event.subscribe", topics=["message.sen"]))["error"]
    assert error["data"]["hint"].startswith("Did you mean message.sen")
    assert await peer.refusal("event.list", topics=["session.opened"]) == (-32602, "invalid_params")


async def test_that_a_session_comes_near_a_limit_is_told_once_as_a_change_of_its_own(home: Path) -> None:
    async with running(home, sessions__recommended_messages="5") as daemon:
        peer, other = await daemon.connect(), await daemon.connect()
        await peer.result("event.subscribe", topics=["session.near_limit"])
        made = await other.result("session.create", title="Kite")
        replies = [await other.result("message.send", session_id=made["id"], content="hello") for _ in range(6)]
        changes = [await told(peer), await told(peer)]
        assert [change["label"] for change in changes] == [
            "4 messages: 80 % of the recommended 5: Kite",
            "5 messages: 100 % of the recommended 5: Kite",
        ]
        assert {(change["entity"], change["entity_id"]) for change in changes} == {("session", made["id"])}
        assert replies[-1]["warning"].startswith("6 messages: 120 % of the recommended 5.")
        await peer.is_served()


async def test_the_document_of_the_methods_tells_the_names(peer: Peer) -> None:
    methods = {method["name"]: method for method in (await peer.result("rpc.discover"))["methods"]}
    assert {name: method["x-event"] for name, method in methods.items() if "x-event" in method} == dict(events())
    assert methods["message.send"]["x-notices"] == ["session.near_limit"]


def test_no_name_is_a_methods_own_and_each_has_the_form_of_a_topic() -> None:
    names = further_names(calls().values())
    assert not names & set(calls())
    assert all(name.count(".") == 1 and len(name) <= 64 for name in names)


@pytest.mark.parametrize("since", [0, None], ids=["replayed", "live"])
async def test_one_session_can_be_followed_alone_and_its_messages_say_which_they_are(
    daemon: Daemon, peer: Peer, since: int | None
) -> None:
    other = await daemon.connect()
    mine, theirs = [(await other.result("session.create", title=title))["id"] for title in ("mine", "theirs")]
    begun = None if since is None else 0

    async def follow() -> None:
        await peer.result("event.subscribe", topics=[f"session:{mine}"], since=begun)

    if since is None:
        await follow()
    sent = []
    for session in (theirs, mine, theirs, mine):
        several = [{"role": "user", "content": "canary"}] * 2
        sent.append(await other.result("message.send", session_id=session, messages=several))
    await other.result("session.close", id=theirs)
    await other.result("session.close", id=mine)
    if since is not None:
        await follow()
        assert (await told(peer))["event"] == "session.created"
    changes = [await told(peer) for _ in range(5)]
    assert [(change["entity_id"], change["number"]) for change in changes[:4]] == [
        (one, number) for number, one in enumerate((*sent[1]["ids"], *sent[3]["ids"]), 1)
    ]
    assert {change["session_id"] for change in changes} == {mine}
    assert changes[4]["event"] == "session.closed"
    assert "canary" not in str(changes)
    await peer.is_served()


async def test_a_session_and_other_topics_are_followed_together_each_change_once(peer: Peer) -> None:
    made = await peer.result("session.create", title="t")
    await peer.result("memory.set", key="k", value=1)
    await peer.result("message.send", session_id=made["id"], content="x")
    topics = [f"session:{made['id']}", "message.sent", "memory"]
    found = (await peer.result("event.list", topics=topics))["items"]
    assert [change["entity"] for change in found] == ["session", "memory", "message"]
