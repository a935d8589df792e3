"""Who is in a session: as clients say it, as connections end, and as the clocks measure it."""

from __future__ import annotations

from typing import Any

import pytest

from kept.wire.errors import NotFound, QuotaExceeded, StorageFull
from keptd.sessions import attendance
from tests.harness import Daemon, Peer, request

pytestmark = pytest.mark.anyio


async def begun(peer: Peer, **params: Any) -> str:
    return str((await peer.result("session.create", **params))["id"])


async def there(peer: Peer, session: str) -> list[str]:
    return [who["client"] for who in (await peer.result("session.get", id=session))["attached"]]


async def told(peer: Peer, session: str) -> list[str]:
    """The methods of a session's changes."""
    changes = (await peer.result("event.list", topics=["session"], limit=1000))["items"]
    return [change["method"] for change in changes if change["entity_id"] == session]


@pytest.fixture
async def other(daemon: Daemon, peer: Peer) -> Peer:
    second = await daemon.connect()
    await second.is_served()
    return second


async def test_who_attaches_is_shown_until_it_detaches_and_its_time_is_added(daemon: Daemon, peer: Peer) -> None:
    await peer.result("daemon.hello", client="editor", version="1", user="Ada")
    session = await begun(peer, title="t")
    daemon.clock.advance(60)
    attached = await peer.result("session.attach", id=session)
    [who] = attached["attached"]
    assert (who["client"], who["user"], who["since"]) == ("editor", "Ada", "2026-01-01T00:01:00Z")
    assert (attached["active_at"], attached["attachments"]) == ("2026-01-01T00:01:00Z", 0)
    [listed] = (await peer.result("session.list"))["items"]
    assert listed == attached
    daemon.clock.advance(90)
    detached = await peer.result("session.detach", id=session)
    assert (detached["attached"], detached["attached_seconds"], detached["attachments"]) == ([], 90, 1)
    assert detached["active_at"] == "2026-01-01T00:02:30Z"
    assert detached == await peer.result("session.get", id=session)
    assert await told(peer, session) == ["session.create", "session.attach", "session.detach"]


@pytest.mark.parametrize("by", [86_400, -86_400])
async def test_a_clock_that_is_set_meanwhile_changes_no_stay_in_the_statistics(
    daemon: Daemon, peer: Peer, by: int
) -> None:
    session = await begun(peer)
    await peer.result("session.attach", id=session)
    daemon.clock.advance(7)
    daemon.clock.put(by)
    stats = await peer.result("session.stats", id=session)
    assert (stats["attached_now"], stats["attached_seconds"]) == (1, 7)
    assert (await peer.result("session.detach", id=session))["attached_seconds"] == 7


async def test_attaching_twice_is_once_and_detaching_twice_is_no_fault(daemon: Daemon, peer: Peer) -> None:
    session = await begun(peer)
    first = await peer.result("session.attach", id=session)
    daemon.clock.advance(5)
    assert await peer.result("session.attach", id=session) == first
    gone = await peer.result("session.detach", id=session)
    assert await peer.result("session.detach", id=session) == gone
    assert gone["attachments"] == 1
    assert await told(peer, session) == ["session.create", "session.attach", "session.detach"]


async def test_several_may_be_in_one_session_and_one_in_several(peer: Peer, other: Peer) -> None:
    await peer.result("daemon.hello", client="one", version="1")
    await other.result("daemon.hello", client="two", version="1")
    both, mine = await begun(peer), await begun(peer)
    for who in (peer, other):
        await who.result("session.attach", id=both)
    await peer.result("session.attach", id=mine)
    assert await there(peer, both) == ["one", "two"]
    await peer.result("session.detach", id=both)
    assert await there(other, both) == ["two"]
    assert await there(other, mine) == ["one"]


async def test_a_session_that_is_not_there_can_be_neither_entered_nor_left(peer: Peer) -> None:
    for method in ("session.attach", "session.detach"):
        assert await peer.refusal(method, id="nowhere") == (NotFound.code, NotFound.type)


async def test_a_connection_is_in_a_bounded_number_of_sessions(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attendance, "MOST", 2)
    sessions = [await begun(peer) for _ in range(3)]
    for session in sessions[:2]:
        await peer.result("session.attach", id=session)
    assert await peer.refusal("session.attach", id=sessions[2]) == (QuotaExceeded.code, QuotaExceeded.type)
    await peer.result("session.attach", id=sessions[0])
    await peer.result("session.detach", id=sessions[0])
    await peer.result("session.attach", id=sessions[2])


async def test_closing_leaves_people_there_and_deleting_detaches_them(daemon: Daemon, peer: Peer, other: Peer) -> None:
    session = await begun(peer)
    for who in (peer, other):
        await who.result("session.attach", id=session)
    assert len((await peer.result("session.close", id=session))["attached"]) == 2
    daemon.clock.advance(7)
    await peer.result("session.delete", id=session)
    rows = daemon.supervisor._store.inline.execute("SELECT attached_us, attachments FROM session").fetchall()
    assert rows == [(14_000_000, 2)]
    assert daemon.supervisor._store.inline.execute("SELECT count(*) FROM session_attachment").get == 0
    assert await peer.refusal("session.detach", id=session) == (NotFound.code, NotFound.type)


@pytest.mark.parametrize("how", ["close", "half-close"])
async def test_a_connection_that_ends_is_detached_from_all_its_sessions(
    daemon: Daemon, peer: Peer, other: Peer, how: str
) -> None:
    sessions = [await begun(other) for _ in range(2)]
    for session in sessions:
        await peer.result("session.attach", id=session)
    daemon.clock.advance(30)
    if how == "close":
        await peer.close()
    else:
        await peer.end_sending()
        await peer.ended()
    await daemon.until("the connection is let go", lambda: len(daemon.served()) == 1)
    for session in sessions:
        found = await other.result("session.get", id=session)
        assert (found["attached"], found["attached_seconds"], found["attachments"]) == ([], 30, 1)
        assert (await told(other, session))[-1] == "session.detach"


async def test_who_vanishes_while_it_attaches_is_not_there_in_the_end(daemon: Daemon, peer: Peer, other: Peer) -> None:
    session = await begun(other)
    with daemon.clock.holding("writer"):
        await peer.send(request(1, "session.attach", id=session))
        await daemon.clock.reached()
        await peer.close()
    await daemon.until("the connection is let go", lambda: len(daemon.served()) == 1)
    assert await there(other, session) == []
    count = daemon.supervisor._store.inline.execute("SELECT count(*) FROM session_attachment").get
    assert count == 0


async def test_neither_a_clock_that_is_set_nor_a_machine_that_sleeps_falsifies_the_time(
    daemon: Daemon, peer: Peer
) -> None:
    session = await begun(peer)
    await peer.result("session.attach", id=session)
    daemon.clock.advance(10)
    daemon.clock.put(-86_400)
    daemon.clock.suspend(3600)
    gone = await peer.result("session.detach", id=session)
    assert gone["attached_seconds"] == 10
    assert gone["active_at"] == "2026-01-01T00:00:00Z"


async def test_on_a_full_disk_nobody_comes_but_everybody_can_go(
    daemon: Daemon, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, new = await begun(peer), await begun(peer)
    await peer.result("session.attach", id=session)
    writer = daemon.supervisor._store.writer
    monkeypatch.setattr(writer._ballast, "hold", lambda: False)
    writer.stats.state = "full"
    assert await peer.refusal("session.attach", id=new) == (StorageFull.code, StorageFull.type)
    assert (await peer.result("session.detach", id=session))["attached"] == []
