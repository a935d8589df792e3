"""Following the change log: what is replayed and what follows make one sequence, at the pace of the one who reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import apsw
import pytest

from kept.wire.event import Event
from keptd.rpc.peer import HIGH_WATER
from keptd.store import changes
from tests.harness import Daemon, Peer, notification, request, running

pytestmark = pytest.mark.anyio


async def write(peer: Peer, count: int, prefix: str = "k") -> None:
    """So many changes, pipelined."""
    for start in range(0, count, 200):
        numbers = range(start, min(start + 200, count))
        await peer.send(*(request(n, "memory.set", key=f"{prefix}{n}", value=n) for n in numbers))
        for _ in numbers:
            assert "result" in await peer.receive()


async def event(peer: Peer) -> dict[str, Any]:
    """The change in the next message, which must be an event."""
    message = await peer.receive()
    assert message["method"] == "event", message
    change: dict[str, Any] = message["params"]["change"]
    return change


async def events(peer: Peer, count: int) -> list[int]:
    """The sequences of the next events."""
    return [(await event(peer))["seq"] for _ in range(count)]


@pytest.fixture
async def writer(daemon: Daemon) -> Peer:
    return await daemon.connect()


async def test_without_a_place_to_begin_only_what_comes_later_is_sent(peer: Peer, writer: Peer) -> None:
    await write(writer, 3)
    begun = await peer.result("event.subscribe")
    assert begun["seq"] == 3
    await write(writer, 2, "later")
    assert await events(peer, 2) == [4, 5]


async def test_an_event_says_who_did_what_to_what_and_never_a_value(peer: Peer, writer: Peer) -> None:
    begun = await peer.result("event.subscribe")
    await writer.result("daemon.hello", client="tester", project="p")
    entry = await writer.result("memory.set", key="the key", value="canary-value", tags=["canary-tag"])
    message = await peer.receive()
    assert message["params"]["subscription_id"] == begun["id"]
    change = message["params"]["change"]
    assert (change["method"], change["entity"], change["entity_id"], change["label"]) == (
        "memory.set",
        "memory",
        entry["id"],
        "the key",
    )
    assert (change["actor"]["client"], change["actor"]["project"]) == ("tester", "p")
    assert "canary" not in str(message)


async def test_what_was_missed_is_replayed_from_a_place_and_then_followed(peer: Peer, writer: Peer) -> None:
    await write(writer, 450)
    await peer.result("event.subscribe", since=20)
    assert await events(peer, 430) == list(range(21, 451))
    await write(writer, 2, "later")
    assert await events(peer, 2) == [451, 452]


async def test_a_place_that_the_log_has_not_reached_means_from_now_on(peer: Peer, writer: Peer) -> None:
    await write(writer, 2)
    await peer.result("event.subscribe", since=1000)
    await write(writer, 1, "later")
    assert await events(peer, 1) == [3]


async def test_between_replay_and_live_nothing_is_missing_or_twice_while_eight_write(daemon: Daemon) -> None:
    peers = [await daemon.connect() for _ in range(8)]
    each, followers = 100, 4
    received: list[list[int]] = []

    async def follow() -> None:
        follower = await daemon.connect()
        await follower.result("event.subscribe", since=0)
        received.append(await events(follower, each * len(peers)))

    async with anyio.create_task_group() as tasks:
        for number, peer in enumerate(peers):
            tasks.start_soon(write, peer, each, f"{number}-")
        for number in range(followers):
            await daemon.until("some are written", lambda n=number: daemon.supervisor._bus.seq >= n * 150)
            tasks.start_soon(follow)
    assert received == [list(range(1, each * len(peers) + 1))] * followers


async def test_the_typed_client_sees_the_same_sequence(daemon: Daemon, writer: Peer) -> None:
    await write(writer, 10)
    async with daemon.client() as client, client.subscribe(since=0) as changes_:
        seen = []
        with anyio.fail_after(20):
            async for change in changes_:
                assert isinstance(change, Event)
                seen.append(change.change.seq)
                if len(seen) == 10:
                    await write(writer, 5, "later")
                if len(seen) == 15:
                    break
    assert seen == list(range(1, 16))


@pytest.mark.parametrize(
    ("topics", "expected"),
    [
        (["memory"], ["memory.set", "memory.set", "memory.delete"]),
        (["memory.delete"], ["memory.delete"]),
        (["action.log", "memory.delete"], ["action.log", "memory.delete"]),
        (["memory", "memory.set", "memory"], ["memory.set", "memory.set", "memory.delete"]),
        (["error", "memory.expire"], []),
        ([], []),
        (None, ["memory.set", "action.log", "memory.set", "memory.delete"]),
    ],
    ids=str,
)
@pytest.mark.parametrize("since", [0, None], ids=["replayed", "live"])
async def test_topics_are_entities_or_methods(
    peer: Peer, writer: Peer, topics: list[str] | None, expected: list[str], since: int | None
) -> None:
    if since is None:
        await peer.result("event.subscribe", topics=topics)
    await writer.result("memory.set", key="a", value=1)
    await writer.result("action.log", action="did")
    await writer.result("memory.set", key="b", value=1)
    await writer.result("memory.delete", key="a")
    if since is not None:
        await peer.result("event.subscribe", topics=topics, since=since)
    assert [(await event(peer))["method"] for _ in expected] == expected
    # And nothing else: a second subscription is told of the last change, the first one is not told anything more.
    other = await peer.result("event.subscribe", topics=["component"])
    await writer.result("component.set", name="n", status="down")
    messages = [await peer.receive()]
    if topics is None:
        messages.append(await peer.receive())
    assert other["id"] in {message["params"]["subscription_id"] for message in messages}


@pytest.mark.parametrize("topic", ["", "Memory", "a b", "a.b.c", "memory.*", "x" * 65, "'; --"])
async def test_a_topic_of_another_form_is_refused(peer: Peer, topic: str) -> None:
    assert await peer.refusal("event.subscribe", topics=[topic]) == (-32602, "invalid_params")
    assert await peer.refusal("event.list", topics=[topic]) == (-32602, "invalid_params")


@pytest.mark.parametrize("method", ["event.subscribe", "event.list"])
@pytest.mark.parametrize(
    ("topic", "hint"),
    [
        ("memry", "Did you mean memory"),
        ("memory.sett", "Did you mean memory.set"),
        ("decision.get", "Did you mean decision"),
        ("zzz", "The entities are action, component, database, decision, error, memory, message, session, trash"),
    ],
)
async def test_a_topic_that_no_change_can_have_is_refused_with_a_hint(
    peer: Peer, method: str, topic: str, hint: str
) -> None:
    error = (await peer.ask(method, topics=["memory", topic]))["error"]
    assert (error["code"], error["data"]["field"]) == (-32602, "topics[1]")
    assert error["data"]["hint"].startswith(hint)


async def test_after_unsubscribing_nothing_comes_and_the_reply_says_how_far_it_was(peer: Peer, writer: Peer) -> None:
    begun = await peer.result("event.subscribe")
    await write(writer, 2)
    assert await events(peer, 2) == [1, 2]
    assert await peer.result("event.unsubscribe", id=begun["id"]) == {"id": begun["id"], "seq": 2}
    await write(writer, 2, "later")
    await peer.is_served()
    assert await peer.refusal("event.unsubscribe", id=begun["id"]) == (-32001, "not_found")


async def test_changes_of_other_topics_move_a_subscription_on(daemon: Daemon, peer: Peer, writer: Peer) -> None:
    begun = await peer.result("event.subscribe", topics=["component"])
    await write(writer, 300)
    (following,) = daemon.served()[0].subscriptions.values()
    await daemon.until("it has moved on", lambda: following.seq == 300)
    assert (await peer.result("event.unsubscribe", id=begun["id"]))["seq"] == 300


async def test_a_replay_waits_for_a_subscriber_that_does_not_read(daemon: Daemon, peer: Peer, writer: Peer) -> None:
    long = dict.fromkeys(("client", "version", "user", "project", "session"), "😀" * 200)
    await writer.result("daemon.hello", **long)  # 4 KiB of each event
    count = 1000
    await write(writer, count)
    await peer.result("event.subscribe", since=0)
    served = daemon.served()[0]
    await daemon.until("the outbox fills", lambda: len(served.outbox) > HIGH_WATER)
    for _ in range(50):
        await writer.is_served()
    assert len(served.outbox) < 2 * HIGH_WATER
    assert await events(peer, count) == list(range(1, count + 1))


async def test_a_subscription_belongs_to_its_connection(daemon: Daemon, peer: Peer, writer: Peer) -> None:
    begun = await peer.result("event.subscribe")
    assert await writer.refusal("event.unsubscribe", id=begun["id"]) == (-32001, "not_found")
    assert (await writer.result("daemon.status"))["subscriptions"] == 1
    await peer.close()
    await daemon.until("the connection is let go", lambda: len(daemon.served()) == 1)
    assert (await writer.result("daemon.status"))["subscriptions"] == 0
    await write(writer, 3)


async def test_subscriptions_of_a_connection_are_limited(home: Path) -> None:
    async with running(home, limits__subscriptions="2") as daemon:
        peer, other = await daemon.connect(), await daemon.connect()
        first = await peer.result("event.subscribe")
        await peer.result("event.subscribe")
        reply = await peer.ask("event.subscribe")
        assert (reply["error"]["code"], reply["error"]["data"]["limit"]) == (-32005, 2)
        await other.result("event.subscribe")
        await peer.result("event.unsubscribe", id=first["id"])
        await peer.result("event.subscribe")


async def test_one_that_falls_behind_is_told_the_range_it_lost_and_goes_on(home: Path) -> None:
    async with running(home, limits__subscriber_lag="50") as daemon:
        peer, writer = await daemon.connect(), await daemon.connect()
        await writer.result("memory.set", key="big", value="x" * 500_000)
        await peer.result("event.subscribe")
        served = daemon.served()[0]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(peer.send, *(request(n, "memory.get", key="big") for n in range(20)))
            await daemon.until("the outbox fills", lambda: len(served.outbox) > HIGH_WATER)
            await write(writer, 200)
            seen: list[dict[str, Any]] = []
            replies = 0
            while replies < 20 or not seen:
                message = await peer.receive()
                if "method" in message:
                    seen.append(message)
                else:
                    replies += 1
        (lost,) = seen
        assert lost["method"] == "lost"
        assert (lost["params"]["resume_from"], lost["params"]["until"]) == (1, 201)
        await write(writer, 2, "later")
        assert await events(peer, 2) == [202, 203]
        missed = await peer.result("event.list", since=lost["params"]["resume_from"], limit=1000)
        assert [change["seq"] for change in missed["items"]] == list(range(2, 204))


async def test_one_that_reads_as_fast_as_it_can_loses_nothing_however_much_is_written_meanwhile(home: Path) -> None:
    async with running(home, limits__subscriber_lag="5") as daemon:
        peer, writer = await daemon.connect(), await daemon.connect()
        await write(writer, 300)
        await peer.result("event.subscribe", since=0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write, writer, 2000, "more")
            assert await events(peer, 2300) == list(range(1, 2301))


async def test_many_changes_in_one_commit_are_not_lost_to_one_that_waits_for_them(home: Path) -> None:
    async with running(home, limits__subscriber_lag="5") as daemon:
        peer, writer = await daemon.connect(), await daemon.connect()
        await peer.result("event.subscribe")
        with daemon.clock.holding("writer"):
            await writer.send(request(0, "memory.set", key="first", value=1))
            await daemon.clock.reached()
            await writer.send(*(request(n, "memory.set", key=f"k{n}", value=n) for n in range(1, 100)))
            await writer.is_served()
        assert await events(peer, 100) == list(range(1, 101))


async def test_a_replay_that_was_asked_for_is_never_called_lost(home: Path) -> None:
    async with running(home, limits__subscriber_lag="5") as daemon:
        peer, writer = await daemon.connect(), await daemon.connect()
        await write(writer, 500)
        await peer.result("event.subscribe", since=0)
        assert await events(peer, 500) == list(range(1, 501))


async def test_a_log_that_can_not_be_read_is_told_as_lost_and_the_daemon_goes_on(
    daemon: Daemon, peer: Peer, writer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise apsw.IOError

    daemon.expected.add("events can't be read")
    await peer.result("event.subscribe")
    with monkeypatch.context() as broken:
        broken.setattr(changes, "after", fail)
        await write(writer, 1)
        message = await peer.receive()
    assert (message["method"], message["params"]["resume_from"], message["params"]["until"]) == ("lost", 0, 1)
    await write(writer, 1, "later")
    assert await events(peer, 1) == [2]


async def test_a_notification_may_subscribe(peer: Peer, writer: Peer) -> None:
    await peer.send(notification("event.subscribe", since=0))
    await peer.is_served()
    await write(writer, 1)
    assert await events(peer, 1) == [1]
