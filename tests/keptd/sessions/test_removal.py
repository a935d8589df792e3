"""Leaving the trash for good: at once out of reach, then removed in small steps, until nothing is left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kept.wire.errors import Conflict, NotFound
from kept.wire.message import GetMessage, ListMessages, NewMessage, SendMessage
from kept.wire.session import CreateSession, DeleteSession, GetSession
from kept.wire.trash import EmptyTrash, ListTrash, RestoreTrash
from keptd import memory
from keptd.domain import WriteCtx
from keptd.sessions import DOMAIN, jobs
from keptd.sessions.schema import MESSAGE_TEXT
from keptd.store.changes import ChangeLog
from tests.harness import Daemon, Peer, request, running
from tests.rooms import ACTOR, Rooms
from tests.small_disk import small_disk
from tests.working import done

pytestmark = pytest.mark.anyio

DAY = 86_400


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Rooms]:
    opened = Rooms(tmp_path, [DOMAIN, memory.DOMAIN])
    yield opened
    opened.close()


async def run(peer: Peer, name: str) -> str:
    await peer.send(request("run", "job.run", name=name))
    while "method" in (reply := await peer.receive()):
        pass
    assert reply["result"]["result"] == "ok", reply
    return str(reply["result"]["summary"])


async def talk(peer: Peer, title: str, count: int) -> str:
    made = await peer.result("session.create", title=title, tags=["t"])
    for begin in range(0, count, 1000):
        said = [{"role": "user", "content": f"{title} {number}"} for number in range(begin, min(begin + 1000, count))]
        await peer.result("message.send", session_id=made["id"], messages=said)
    return str(made["id"])


def rows(daemon: Daemon) -> dict[str, int]:
    db = daemon.supervisor._store.inline
    tables = ("session", "message", "session_tag", "session_attachment", "message_text", "session_text")
    found = {}
    for table in tables:
        counted = "_docsize" if table.endswith("_text") else ""
        [(found[table],)] = db.execute(f"SELECT count(*) FROM {table}{counted}")
    return found


def test_a_session_that_was_let_go_is_neither_read_nor_restored(rooms: Rooms) -> None:
    made = rooms(CreateSession(title="Kite"))
    sent = rooms(SendMessage(session_id=made.id, content="hello"))
    rooms(DeleteSession(id=made.id))
    [gone] = rooms(ListTrash()).items
    assert rooms(EmptyTrash(id=gone.id)).removed == 1
    assert rooms.changes()[-2:] == [("trash.empty", "session", "Kite"), ("trash.empty", "trash", "1 removed")]
    with pytest.raises(NotFound):
        rooms(RestoreTrash(id=gone.id))
    with pytest.raises(NotFound):
        rooms(GetSession(id=made.id))
    with pytest.raises(NotFound):
        rooms(GetMessage(id=sent.id))
    with pytest.raises(NotFound):
        rooms(ListMessages(session_id=made.id))
    with pytest.raises(NotFound):
        rooms(SendMessage(session_id=made.id, content="more"))


def test_an_entry_of_the_trash_without_its_session_is_refused_and_stays(rooms: Rooms) -> None:
    made = rooms(CreateSession(title="Kite"))
    rooms(DeleteSession(id=made.id))
    rooms.writer.execute("DELETE FROM session")
    with pytest.raises(Conflict):
        rooms(RestoreTrash(id=rooms(ListTrash()).items[0].id))
    assert len(rooms(ListTrash()).items) == 1
    assert rooms(EmptyTrash()).removed == 1


async def test_what_left_the_trash_is_removed_with_all_that_hung_on_it(daemon: Daemon, peer: Peer) -> None:
    gone, stays = await talk(peer, "Kite", 1203), await talk(peer, "Boat", 3)
    child = await peer.result("session.create", title="child", parent_id=gone)
    await peer.result("session.delete", id=gone)
    assert await run(peer, "session.remove") == "nothing was to be removed"
    assert await peer.result("trash.empty") == {"removed": 1}
    assert await run(peer, "session.remove") == "1204 sessions and messages removed"
    assert rows(daemon) == {
        "session": 2,
        "message": 3,
        "session_tag": 1,
        "session_attachment": 0,
        "message_text": 3,
        "session_text": 2,
    }
    assert (await peer.result("session.get", id=stays))["messages"] == 3
    tree = await peer.result("session.tree", id=child["id"])
    assert [(one["id"], one["status"]) for one in tree["ancestors"]] == [(gone, "missing")]
    (change,) = (await peer.result("event.list", topics=["session.remove"]))["items"]
    assert (change["entity"], change["entity_id"], change["label"]) == ("session", gone, "")


async def test_after_its_days_in_the_trash_a_session_goes_like_everything_else(home: Path) -> None:
    async with running(home, trash__keep_days="2") as daemon:
        peer = await daemon.connect()
        gone = await talk(peer, "Kite", 2)
        await peer.result("session.delete", id=gone)
        daemon.clock.advance(2 * DAY - 1)
        assert await run(peer, "trash.empty") == "nothing was due"
        daemon.clock.advance(1)
        assert await run(peer, "trash.empty") == "1 removed for good"
        assert await peer.refusal("session.get", id=gone) == (-32001, "not_found")
        assert await run(peer, "session.remove") == "3 sessions and messages removed"
        assert rows(daemon)["session"] == rows(daemon)["message"] == 0


async def test_a_removal_that_was_interrupted_goes_on_after_the_next_start(home: Path) -> None:
    async with running(home) as daemon:
        peer = await daemon.connect()
        gone = await talk(peer, "Kite", 7)
        await peer.result("session.delete", id=gone)
        await peer.result("trash.empty")
    async with running(home) as daemon:
        peer = await daemon.connect()
        assert await peer.refusal("session.get", id=gone) == (-32001, "not_found")
        assert await run(peer, "session.remove") == "8 sessions and messages removed"
        assert rows(daemon)["message"] == 0


def test_large_messages_are_removed_a_few_at_a_time(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    made = rooms(CreateSession(title="Kite"))
    said = tuple(NewMessage(role="user", content="x" * size) for size in (100, 100, 5000, 5000, 100, 100))
    rooms(SendMessage(session_id=made.id, messages=said))
    rooms(DeleteSession(id=made.id))
    rooms(EmptyTrash())
    monkeypatch.setattr(jobs, "BYTES", 1000)
    log = ChangeLog(rooms.writer, rooms.clock.now(), ACTOR, "session.remove")
    ctx = WriteCtx(rooms.writer, rooms.clock, ACTOR, rooms.config, log)
    assert [jobs.remove_some(ctx, 500) for _ in range(6)] == [2, 1, 1, 3, 0, 0]
    assert not MESSAGE_TEXT.search(rooms.reader, "x")


def test_many_small_sessions_go_in_one_step_and_no_more_than_it_may_hold(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(10):
        made = rooms(CreateSession(title=f"Kite {number}"))
        if number < 3:
            rooms(SendMessage(session_id=made.id, content="hello"))
        rooms(DeleteSession(id=made.id))
    rooms(EmptyTrash())
    log = ChangeLog(rooms.writer, rooms.clock.now(), ACTOR, "session.remove")
    ctx = WriteCtx(rooms.writer, rooms.clock, ACTOR, rooms.config, log)
    monkeypatch.setattr(jobs, "BYTES", 4 * jobs.SESSION_BYTES)
    steps = [jobs.remove_some(ctx, 500) for _ in range(4)]
    assert (sum(steps), steps[-1]) == (13, 0)
    assert max(steps) >= 4, "a commit for each"
    assert len([change for change in rooms.changes() if change[0] == "session.remove"]) == 10


def test_a_step_ends_with_its_last_row_wherever_that_is(rooms: Rooms) -> None:
    for _ in range(3):
        made = rooms(CreateSession(title="Kite"))
        said = tuple(NewMessage(role="user", content="hello") for _ in range(2))
        rooms(SendMessage(session_id=made.id, messages=said))
        rooms(DeleteSession(id=made.id))
    rooms(EmptyTrash())
    log = ChangeLog(rooms.writer, rooms.clock.now(), ACTOR, "session.remove")
    ctx = WriteCtx(rooms.writer, rooms.clock, ACTOR, rooms.config, log)
    assert [jobs.remove_some(ctx, 2) for _ in range(6)] == [2, 2, 2, 2, 1, 0]


def test_no_step_of_a_removal_writes_the_index_anew(rooms: Rooms) -> None:
    """FTS5 would, once a tenth of a large segment is gone, and everybody else's writes would wait for it."""
    made = rooms(CreateSession(title="Kite"))
    with rooms.writer:
        for begin in range(0, 20_000, 1000):
            said = tuple(NewMessage(role="user", content=f"kite number {begin + n}") for n in range(1000))
            rooms(SendMessage(session_id=made.id, messages=said))
    rooms.writer.execute("INSERT INTO message_text (message_text) VALUES ('optimize')")
    rooms(DeleteSession(id=made.id))
    rooms(EmptyTrash())
    log = ChangeLog(rooms.writer, rooms.clock.now(), ACTOR, "session.remove")
    ctx = WriteCtx(rooms.writer, rooms.clock, ACTOR, rooms.config, log)
    written = []
    for _ in range(40):
        before = rooms.writer.total_changes()
        with rooms.writer:
            assert jobs.remove_some(ctx, 500) == 500
        written.append(rooms.writer.total_changes() - before)
    # To write the index anew would be some 400 pages more.
    assert max(written) < min(written) + 200


async def test_a_full_disk_with_a_small_reserve_gets_its_room_back(tmp_path: Path) -> None:
    """A step must not write more than the reserve holds: it would be refused, and have eaten the reserve up."""
    (folder := tmp_path / "disk").mkdir()
    settings = {"storage.ballast_bytes": "2097152"}
    with small_disk(folder, "24m") as room:
        async with running(folder / "home", **settings) as daemon:
            peer = await daemon.connect()
            sessions = [(await peer.result("session.create"))["id"] for _ in range(2)]
            sent = 0
            while "result" in await peer.ask("message.send", session_id=sessions[sent % 2], content="word " * 40_000):
                sent += 1
            assert sent > 20
            room.fill()
            await peer.ask("memory.set", key="k", value="v" * 100_000)
            assert (await peer.refusal("message.send", session_id=sessions[0], content="more"))[1] == "storage_full"
            await peer.result("session.delete", id=sessions[0])
            await peer.result("trash.empty")
            assert await run(peer, "session.remove") == f"{(sent + 1) // 2 + 1} sessions and messages removed"
            assert (await peer.result("session.get", id=sessions[1]))["messages"] == sent // 2


async def test_nothing_of_a_session_can_be_read_after_everything_was_deleted(home: Path) -> None:
    async with running(home) as daemon:
        peer = await daemon.connect()
        for word in ("canaryone", "canarytwo", "canarythree"):
            session = {"title": f"{word}title", "tags": [f"{word}tag"], "metadata": f"{word}meta"}
            made = await peer.result("session.create", **session)
            await peer.result("message.send", session_id=made["id"], content=f"{word}said", speaker=f"{word}speaker")
            await peer.result("session.close", id=made["id"], summary=f"{word}summary")
            if word != "canaryone":
                await peer.result("session.delete", id=made["id"])
            if word == "canarytwo":
                await peer.result("trash.empty")
        await daemon.supervisor._store.checkpoint()
        assert "kept.db" in holding(home)
        await done(peer, "data.delete_all", confirm=f"delete everything in {home.name}")
        assert holding(home) == []
    assert holding(home) == []


def holding(home: Path) -> list[str]:
    """The files in which a word of a session can be read."""
    files = [path for path in home.rglob("*") if path.is_file()]
    return [path.name for path in files if b"canary" in path.read_bytes().lower()]
