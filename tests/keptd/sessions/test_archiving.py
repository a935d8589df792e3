"""The job that puts sessions away that nobody used: only where the settings ask for it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from keptd.store.database import open_writer
from tests.harness import running
from tests.keptd.sessions.test_removal import run

pytestmark = pytest.mark.anyio

DAY = 86_400


async def test_nothing_is_archived_unless_that_is_asked_for(home: Path) -> None:
    async with running(home) as daemon:
        peer = await daemon.connect()
        made = await peer.result("session.create", title="Kite")
        daemon.clock.advance(3650 * DAY)
        assert await run(peer, "session.archive") == "sessions.archive_after_days is 0: never"
        assert (await peer.result("session.get", id=made["id"]))["status"] == "active"


async def test_what_was_idle_for_so_long_is_archived_and_nothing_else_of_it_changes(home: Path) -> None:
    async with running(home, sessions__archive_after_days="2") as daemon:
        peer = await daemon.connect()
        old, closed, used, attended = [
            (await peer.result("session.create", title=title))["id"] for title in ("old", "closed", "used", "attended")
        ]
        await peer.result("message.send", session_id=old, content="hello")
        await peer.result("session.close", id=closed)
        before = await peer.result("session.get", id=old)
        closed_at = (await peer.result("session.get", id=closed))["closed_at"]
        db = daemon.supervisor._store.path
        daemon.clock.advance(DAY)
        await peer.result("message.send", session_id=used, content="hello")
        daemon.clock.advance(DAY)
        assert await run(peer, "session.archive") == "no session was idle for so long"
        daemon.clock.advance(1)
        _attend(str(db), attended)

        assert await run(peer, "session.archive") == "2 sessions archived"
        assert await run(peer, "session.archive") == "no session was idle for so long"
        after = await peer.result("session.get", id=old)
        changed = {"status", "closed_at", "updated_at", "version", "actor"}
        assert {name: value for name, value in after.items() if name not in changed} == {
            name: value for name, value in before.items() if name not in changed
        }
        assert (after["status"], after["version"], after["actor"]) == ("archived", before["version"] + 1, "keptd")
        assert (await peer.result("session.get", id=closed))["closed_at"] == closed_at
        assert [(await peer.result("session.get", id=one))["status"] for one in (used, attended)] == ["active"] * 2
        changes = (await peer.result("event.list", topics=["session.archive"]))["items"]
        assert {change["entity_id"] for change in changes} == {old, closed}
        assert (await peer.result("session.reopen", id=old))["status"] == "active"


@pytest.mark.parametrize("days", [60, -60])
async def test_a_clock_that_is_set_puts_nothing_away(home: Path, days: int) -> None:
    async with running(home, sessions__archive_after_days="5") as daemon:
        peer = await daemon.connect()
        old = await peer.result("session.create", title="old")
        daemon.clock.advance(4 * DAY)
        assert await run(peer, "session.archive") == "no session was idle for so long"
        daemon.clock.put(days * DAY)
        newer = await peer.result("session.create", title="newer")
        assert await run(peer, "session.archive") == "no session was idle for so long"
        daemon.clock.advance(DAY)
        assert await run(peer, "session.archive") == "no session was idle for so long"
        daemon.clock.advance(3 * DAY)
        await run(peer, "session.archive")
        assert (await peer.result("session.get", id=newer["id"]))["status"] == "active"
        daemon.clock.advance(2 * DAY)
        await run(peer, "session.archive")
        assert (await peer.result("session.get", id=newer["id"]))["status"] == "archived"
        # What seems to be from the future waits until it is past.
        daemon.clock.advance(60 * DAY)
        await run(peer, "session.archive")
        assert {(await peer.result("session.get", id=one["id"]))["status"] for one in (old, newer)} == {"archived"}


def _attend(path: str, session_id: str) -> None:
    """Somebody is there, without having done anything."""
    with closing(open_writer(Path(path))) as db:
        db.execute(
            "INSERT INTO session_attachment (session, connection, client, pid, since, ticks) "
            "SELECT seq, 1, 'nvim', 7, active_at, 0 FROM session WHERE id = ?",
            (session_id,),
        )
