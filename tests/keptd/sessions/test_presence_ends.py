"""What becomes of presence when a process is killed, the daemon stops, or the database is replaced."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from kept.wire.errors import StorageFailed
from keptd.sessions import attendance, attendance_methods
from tests.harness import PATIENCE, Daemon, Peer, Process, patience, request, running
from tests.keptd.data.moving import fetch, put
from tests.working import database

pytestmark = pytest.mark.anyio

_CLIENT = """
import socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
connection.sendall(sys.argv[2].encode() + b"\\n")
print(connection.makefile("rb").readline().decode(), end="", flush=True)
sys.stdin.read()
"""


@asynccontextmanager
async def client(socket: str, session: str) -> AsyncIterator[subprocess.Popen[str]]:
    """A process that is attached to a session."""
    command = [sys.executable, "-c", _CLIENT, socket, request(1, "session.attach", id=session).decode()]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220 - it is awaited in threads
    with process:
        assert process.stdout is not None
        try:
            with patience("the reply to a client"):
                # In a thread, since the daemon that answers runs on this loop.
                reply = await anyio.to_thread.run_sync(process.stdout.readline, abandon_on_cancel=True)
            assert json.loads(reply)["result"]["id"] == session
            yield process
        finally:
            process.kill()


def ask(process: Process, method: str, **params: Any) -> Any:
    """One call on a connection of its own."""
    with process.connect() as connection, connection.makefile("rb") as lines:
        connection.sendall(request(1, method, **params) + b"\n")
        return json.loads(lines.readline())["result"]


async def begun(peer: Peer, **params: Any) -> str:
    return str((await peer.result("session.create", **params))["id"])


async def test_a_client_that_is_killed_is_detached(daemon: Daemon, peer: Peer) -> None:
    session = await begun(peer)
    async with client(daemon.paths.socket, session) as process:
        await daemon.until("it is there", lambda: len(daemon.served()) == 2)
        [who] = (await peer.result("session.get", id=session))["attached"]
        assert who["pid"] == process.pid
        daemon.clock.advance(42)
        process.send_signal(signal.SIGKILL)
        await daemon.until("it is let go", lambda: len(daemon.served()) == 1)
    found = await peer.result("session.get", id=session)
    assert (found["attached"], found["attached_seconds"], found["attachments"]) == ([], 42, 1)


async def test_a_stop_detaches_everybody(home: Path) -> None:
    async with running(home) as daemon:
        peer, other = await daemon.connect(), await daemon.connect()
        session = await begun(peer)
        for who in (peer, other):
            await who.result("session.attach", id=session)
        daemon.clock.advance(9)
        await other.result("daemon.stop")
        await peer.ended()
        await daemon.until("it has ended", lambda: '"stopped"' in daemon.log())
        with database(daemon) as db:
            assert db.execute("SELECT count(*) FROM session_attachment").get == 0
            assert db.execute("SELECT attached_us, attachments FROM session").get == (18_000_000, 2)


async def test_a_stop_that_cuts_clients_off_detaches_them_as_well(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keptd.supervisor.DRAIN_SECONDS", 0)
    async with running(home) as daemon:
        peer, other = await daemon.connect(), await daemon.connect()
        session = await begun(peer)
        await peer.result("session.attach", id=session)
        await peer.result("memory.set", key="big", value="x" * 900_000)
        await peer.send(*(request(number, "memory.get", key="big") for number in range(20)))
        await daemon.until("replies wait", lambda: any(len(served.outbox) > 1_000_000 for served in daemon.served()))
        await other.result("daemon.stop")
        await daemon.until("it has ended", lambda: '"stopped"' in daemon.log())
        with database(daemon) as db:
            assert db.execute("SELECT count(*) FROM session_attachment").get == 0


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})], ids=["process"])
def test_after_a_kill_of_the_daemon_nobody_is_there_and_the_time_counts_up_to_the_last_sign_of_life(
    home: Path, anyio_backend: object
) -> None:
    with Process(home) as process:
        session = ask(process, "session.create", title="t")["id"]
        with process.connect() as connection, connection.makefile("rb") as lines:
            connection.sendall(request(1, "session.attach", id=session) + b"\n")
            since = json.loads(lines.readline())["result"]["attached"][0]["since"]
            ask(process, "memory.set", key="a", value=1)
            process.popen.send_signal(signal.SIGKILL)
            process.popen.wait(PATIENCE)
    with Process(home) as process:
        found = ask(process, "session.get", id=session)
        changes = ask(process, "event.list", limit=10)["items"]
    assert (found["attached"], found["attachments"]) == ([], 1)
    assert [change["method"] for change in changes][-4:] == [
        "session.create",
        "session.attach",
        "memory.set",
        "session.detach",
    ]
    assert changes[-1]["at"] == changes[-2]["at"] == found["active_at"] > since
    with Process(home) as process:
        assert ask(process, "session.get", id=session)["attachments"] == 1


async def test_what_is_left_counts_up_to_the_last_change_and_not_at_all_where_that_is_older(
    daemon: Daemon, peer: Peer
) -> None:
    session = await begun(peer)
    await peer.result("session.attach", id=session)
    daemon.clock.advance(20)
    await peer.result("memory.set", key="a", value=1)
    daemon.clock.advance(500)
    db = database(daemon)
    db.execute("BEGIN IMMEDIATE")
    [left] = attendance.settle(db)
    assert (left.session_id, left.until - left.stay.since) == (session, 20_000_000)
    assert db.execute("SELECT attached_us FROM session").get == 20_000_000
    db.execute("ROLLBACK")
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE change SET at = at - 86400000000")
    [left] = attendance.settle(db)
    assert left.until == left.stay.since
    assert db.execute("SELECT attached_us FROM session").get == 0
    db.execute("ROLLBACK")
    db.close()


async def test_going_back_to_a_backup_shows_who_is_there_now(daemon: Daemon, peer: Peer) -> None:
    gone, stays, late = await daemon.connect(), await daemon.connect(), await daemon.connect()
    session = await begun(peer)
    for who in (gone, stays):
        await who.result("daemon.hello", client="gone" if who is gone else "stays", version="1")
        await who.result("session.attach", id=session)
    daemon.clock.advance(10)
    backup = await peer.result("backup.create")
    await gone.close()
    await daemon.until("it is let go", lambda: len(daemon.served()) == 3)
    after = await begun(peer)
    await late.result("daemon.hello", client="late", version="1")
    for id_ in (session, after):
        await late.result("session.attach", id=id_)
    daemon.clock.advance(10)
    await peer.result("backup.restore", id=backup["id"])
    found = await peer.result("session.get", id=session)
    assert [who["client"] for who in found["attached"]] == ["stays", "late"]
    # `gone` came at the time of the last change that the backup has, so that nothing of its stay counts.
    assert (found["attached_seconds"], found["attachments"]) == (0, 1)
    daemon.clock.advance(5)
    assert (await stays.result("session.detach", id=session))["attached_seconds"] == 25
    await late.close()
    await daemon.until("it is let go", lambda: len(daemon.served()) == 2)
    found = await peer.result("session.get", id=session)
    assert (found["attached"], found["attached_seconds"], found["attachments"]) == ([], 40, 3)


async def test_an_import_keeps_who_is_in_a_session_that_it_brings_and_nobody_else(daemon: Daemon, peer: Peer) -> None:
    before = await begun(peer, title="not in it later")
    session = await begun(peer, title="stays")
    archive = await fetch(peer)
    await peer.result("session.delete", id=before)
    new = await begun(peer)
    with database(daemon) as db:
        # As in a home that had got it in another order.
        db.execute("UPDATE session SET seq = seq + 10")
    for id_ in (session, new):
        await peer.result("session.attach", id=id_)
    await put(peer, archive, on_conflict="replace")
    with database(daemon) as db:
        assert db.execute("SELECT count(*) FROM session_attachment").get == 1
    shown = {item["id"]: len(item["attached"]) for item in (await peer.result("session.list"))["items"]}
    assert shown == {before: 0, session: 1}
    daemon.clock.advance(3)
    assert (await peer.result("session.detach", id=session))["attached_seconds"] == 3
    await peer.result("session.attach", id=before)


async def test_a_connection_ends_though_its_end_can_not_be_written(
    daemon: Daemon, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise StorageFailed("no disk")

    session = await begun(peer)
    other = await daemon.connect()
    await other.result("session.attach", id=session)
    monkeypatch.setattr(attendance_methods, "write", fails)
    await other.close()
    await daemon.until("it is let go", lambda: len(daemon.served()) == 1)
    assert "the end of a connection was not written" in daemon.log()
    await peer.is_served()
