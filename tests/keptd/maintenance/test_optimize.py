from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from kept.wire.errors import StorageFailed, StorageFull
from kept.wire.session import ListSessions
from keptd.maintenance import store
from keptd.sessions import lists
from tests.harness import Daemon, Peer, running
from tests.keptd.plans import growing, plan
from tests.working import database, done, refused

pytestmark = pytest.mark.anyio


async def fill_and_delete(peer: Peer, count: int = 100) -> None:
    for number in range(count):
        await peer.result("memory.set", key=f"k{number}", value=f"word{number} " + "x" * 4000)
    for number in range(count):
        await peer.result("memory.delete", key=f"k{number}")
    await peer.result("trash.empty")


async def test_free_pages_go_back_to_the_disk(daemon: Daemon, peer: Peer) -> None:
    await fill_and_delete(peer)
    await done(peer, "maintenance.optimize")
    before = (await done(peer, "maintenance.stats"))["database_bytes"]
    with database(daemon) as db:
        db.execute("DELETE FROM memory_history")
    free = (await done(peer, "maintenance.stats"))["free_pages"]
    assert free > 50
    result = await done(peer, "maintenance.optimize")
    stats = await done(peer, "maintenance.stats")

    assert stats["free_pages"] == 0
    assert any("pages given back" in did for did in result["did"])
    assert result["freed_bytes"] == before - stats["database_bytes"] > 0


async def test_tokens_of_what_was_deleted_leave_the_index(daemon: Daemon, peer: Peer) -> None:
    await fill_and_delete(peer)
    result = await done(peer, "maintenance.optimize")

    assert "memory_text merged" in result["did"]
    with database(daemon) as db:
        held = b"".join(bytes(block) for (block,) in db.execute("SELECT block FROM memory_text_data"))
    assert b"word1" not in held


async def test_the_tokens_of_one_among_many_leave_it_as_well(daemon: Daemon, peer: Peer) -> None:
    await peer.result("memory.set", key="k", value="solitary")
    for number in range(40):
        await peer.result("memory.set", key=f"k{number}", value="common")
    await done(peer, "maintenance.optimize")
    await peer.result("memory.delete", key="k")
    await done(peer, "maintenance.optimize")

    with database(daemon) as db:
        held = b"".join(bytes(block) for (block,) in db.execute("SELECT block FROM memory_text_data"))
    assert b"solitari" not in held


async def test_statistics_are_gathered_once(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "FEWEST_ROWS", 30)
    for number in range(30):
        await peer.result("action.log", action=str(number))
    first = await done(peer, "maintenance.optimize")

    assert any(did.startswith("statistics of") for did in first["did"])
    assert not any(did.startswith("statistics of") for did in (await done(peer, "maintenance.optimize"))["did"])


@pytest.mark.parametrize("before", ["none", "misleading"])
async def test_a_list_reads_no_more_than_it_shows_after_the_statistics_of_a_few_rows(
    daemon: Daemon, peer: Peer, before: str
) -> None:
    """A new home is optimized on its first day, and not again before the next, by when it may have many rows."""
    await peer.result("session.create", title="the first")
    if before == "misleading":
        with database(daemon) as db:
            db.execute("ANALYZE")
            assert growing(plan(db, *lists.active_query(ListSessions()))) != ["SCAN found"]
    await done(peer, "maintenance.optimize")
    with database(daemon) as db:
        assert growing(plan(db, *lists.active_query(ListSessions()))) == ["SCAN found"]


async def test_a_database_in_order_needs_nothing(peer: Peer) -> None:
    await done(peer, "maintenance.optimize")

    assert await done(peer, "maintenance.optimize") == {"did": ["nothing was to do"], "freed_bytes": 0}


async def test_each_step_is_a_write_of_its_own_with_few_pages(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "VACUUM_PAGES", 3)
    async with running(home) as daemon:
        peer = await daemon.connect()
        await fill_and_delete(peer)
        with database(daemon) as db:
            db.execute("DELETE FROM memory_history")
        free = (await done(peer, "maintenance.stats"))["free_pages"]
        before = (await done(peer, "maintenance.stats"))["commits"]
        await done(peer, "maintenance.optimize")
        assert (await done(peer, "maintenance.stats"))["commits"] - before >= free / 3


async def test_an_index_that_differs_from_its_table_is_made_anew(daemon: Daemon, peer: Peer) -> None:
    await peer.result("memory.set", key="k", value="findable words")
    with database(daemon) as db:
        db.execute("DELETE FROM memory_text WHERE rowid = 1")
        db.execute("INSERT INTO memory_text (rowid, key, value, labels, facets) VALUES (7, 'no', 'such', 'row', '')")
    assert (await peer.result("memory.search", query="findable"))["items"] == []
    result = await done(peer, "maintenance.optimize")

    assert "memory_text made anew" in result["did"]
    assert [item["key"] for item in (await peer.result("memory.search", query="findable"))["items"]] == ["k"]
    assert (await done(peer, "maintenance.check"))["verdict"] != "problem"


async def test_the_job_tells_what_it_did(peer: Peer) -> None:
    await peer.result("memory.set", key="k", value=1)
    run = await done(peer, "job.run", name="maintenance.optimize")

    assert run["result"] == "ok"
    assert "bytes freed" in run["summary"]


async def test_a_full_disk_refuses_what_needs_room(daemon: Daemon, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "pages", failing(apsw.FullError))
    assert await refused(peer, "maintenance.optimize") is StorageFull


async def test_a_failing_disk_ends_it(daemon: Daemon, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(store, "pages", failing(apsw.IOError))
        assert await refused(peer, "maintenance.optimize") is StorageFailed
    await daemon.until("the check", lambda: daemon.supervisor.status().storage.state == "ok")
    await done(peer, "maintenance.optimize")


def failing(fault: type[apsw.Error]) -> Callable[[apsw.Connection], store.Pages]:
    def fails(_db: apsw.Connection) -> store.Pages:
        raise fault

    return fails
