"""An import that ends in the middle: nothing of it is ever seen, and nobody else waits for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from keptd.sessions import importing
from keptd.store.writer import WriteJob, Writer
from tests.harness import Daemon, Peer, notification, request, running
from tests.working import database, done

from ..data.moving import fetch
from ..data.moving import put as bring
from .moving import document, entry, export, put, says, timeless, upload

pytestmark = pytest.mark.anyio

SESSIONS, MESSAGES = 2, 3
WRITES = SESSIONS * (1 + MESSAGES) + 1
"""Of an import whose batches hold one message: each session, each message, and the commit in which all count."""


def whole() -> dict[str, Any]:
    return document(
        *(entry(f"s-{n}", *(says("a quetzal", id=f"m-{n}-{k}") for k in range(MESSAGES))) for n in range(SESSIONS))
    )


def standing(daemon: Daemon) -> dict[str, int]:
    """How many sessions there are, by their place."""
    rows = database(daemon).execute("SELECT place, count(*) FROM session GROUP BY place")
    return {str(place): int(str(count)) for place, count in rows}


@pytest.fixture
async def small(monkeypatch: pytest.MonkeyPatch, peer: Peer) -> None:
    """Batches of one message, and nothing left of the start for the writer to do."""
    monkeypatch.setattr(importing, "BATCH", 1)
    await peer.result("memory.set", key="k", value=1)


@pytest.mark.parametrize("write", range(WRITES))
@pytest.mark.parametrize("how", ["cancelled", "gone"])
@pytest.mark.usefixtures("small")
async def test_all_or_nothing_is_there_wherever_it_was_ended(daemon: Daemon, how: str, write: int) -> None:
    peer, other = await daemon.connect(), await daemon.connect()
    with daemon.clock.holding("writer", write):
        await peer.send(request("import", "session.import", document=whole()))
        await daemon.clock.reached()
        if how == "gone":
            await peer.close()
            await other.is_served()
        else:
            await peer.send(notification("$/cancelRequest", id="import"))
            await peer.send(request("after", "daemon.ping"))
            while (await peer.receive()).get("id") != "after":
                pass
    if how == "cancelled":
        while "method" in (reply := await peer.receive()):
            pass
        assert ("result" in reply) == (write == WRITES - 1), reply
        if "error" in reply:
            assert reply["error"]["data"]["type"] == "cancelled"
    await daemon.until("an end of it", lambda: "staged" not in standing(daemon))

    shown = len((await other.result("session.list"))["items"])
    # That somebody has gone shows when something is sent: it may be imported to its end.
    assert shown in ((SESSIONS if write == WRITES - 1 else 0), 0 if how == "cancelled" else SESSIONS)
    assert len((await other.result("event.list", topics=["session"]))["items"]) == shown
    got = await done(other, "session.import", document=whole(), on_conflict="skip")
    assert {one["id"] for one in got["sessions"]} == {"s-0", "s-1"}
    assert (await other.result("message.get", id="m-1-2"))["session_id"] == "s-1"


@pytest.mark.usefixtures("small")
async def test_others_write_between_two_batches(daemon: Daemon) -> None:
    peer, other = await daemon.connect(), await daemon.connect()
    with daemon.clock.holding("writer", 3):
        await peer.send(request("import", "session.import", document=whole()))
        await daemon.clock.reached()
        await other.send(request("mine", "session.create", title="mine"))
        await other.send(request("seen", "daemon.ping"))
        assert (await other.receive())["id"] == "seen"
        await daemon.until("the write's turn", lambda: daemon.supervisor._store.writer.queued() > 0)
    reply = await other.receive()
    while "method" in (told := await peer.receive()):
        pass
    # What came first has the smaller place in the change log.
    assert "result" in told
    changes = (await other.result("event.list", topics=["session"]))["items"]
    assert changes[0]["entity_id"] == reply["result"]["id"]


@pytest.mark.usefixtures("small")
async def test_what_is_being_imported_is_not_seen(daemon: Daemon) -> None:
    peer, other = await daemon.connect(), await daemon.connect()
    with daemon.clock.holding("writer", WRITES - 1):
        await peer.send(request("import", "session.import", document=whole()))
        await daemon.clock.reached()
        assert standing(daemon) == {"staged": SESSIONS}
        assert (await other.result("session.list"))["items"] == []
        assert (await other.refusal("session.get", id="s-0"))[1] == "not_found"
        assert (await other.refusal("message.get", id="m-0-0"))[1] == "not_found"
        assert (await other.refusal("session.export", id="s-0"))[1] == "not_found"


async def test_two_imports_of_one_file_at_once_bring_it_once(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    peer, other = await daemon.connect(), await daemon.connect()
    id_ = await upload(peer, json.dumps(whole()))
    got: list[Any] = []
    writes: list[WriteJob] = []
    submit = Writer.submit

    def counted(writer: Writer, job: WriteJob) -> None:
        writes.append(job)
        submit(writer, job)

    async def ask(who: Any) -> None:
        got.append(await done(who, "session.import", upload_id=id_))

    monkeypatch.setattr(Writer, "submit", counted)
    with daemon.clock.holding("writer"):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, peer)
            tasks.start_soon(ask, other)
            # The writer may have taken both out of its queue at once.
            await daemon.until("both at work", lambda: len(writes) > 1)
            daemon.clock.release()
    assert got[0] == got[1]
    assert len((await peer.result("session.list"))["items"]) == SESSIONS


async def test_what_the_last_run_left_is_given_up_at_the_start(home: Path) -> None:
    async with running(home) as daemon:
        peer = await daemon.connect()
        await put(peer, json.dumps(whole()))
        text = await export(peer, "s-0")
        with database(daemon) as db:
            db.execute("UPDATE session SET place = 'staged' WHERE id = 's-1'")
    async with running(home) as daemon:
        peer = await daemon.connect()
        await daemon.until("the writer's first work", lambda: "staged" not in standing(daemon))
        assert standing(daemon) == {"going": 1, "here": 1}
        assert timeless(await export(peer, "s-0")) == timeless(text)
        got = await put(peer, json.dumps(whole()), on_conflict="skip")
        assert [(one["id"], one["action"]) for one in got["sessions"]] == [("s-0", "skipped"), ("s-1", "created")]
        assert (await peer.result("message.get", id="m-1-0"))["session_id"] == "s-1"


@pytest.mark.parametrize("way", ["restore", "import"])
async def test_what_a_copy_was_made_in_the_middle_of_is_given_up_when_the_copy_comes_back(
    daemon: Daemon, peer: Peer, way: str
) -> None:
    """Else an import that is still at work would go on behind what the copy has, and its messages between be lost."""
    await put(peer, json.dumps(whole()))
    with database(daemon) as db:
        db.execute("UPDATE session SET place = 'staged' WHERE id = 's-1'")
    if way == "restore":
        backup = await done(peer, "backup.create")
        await done(peer, "backup.restore", id=backup["id"])
    else:
        archive = await fetch(peer)
        await bring(peer, archive, on_conflict="replace")
    assert standing(daemon) == {"going": 1, "here": 1}
