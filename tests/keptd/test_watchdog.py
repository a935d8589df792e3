"""The watchdog inside a daemon whose clock the test moves: fed while the loop and the writer live, and only then."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import apsw
import pytest

from keptd.notify import Notifier, Service
from keptd.store.background import write, write_alone
from keptd.store.writer import Written
from keptd.watchdog import LONG_SECONDS
from tests.harness import PATIENCE, Daemon, patience, request, running

pytestmark = pytest.mark.anyio

HALF = 10.0


class Manager:
    """The service manager's socket."""

    def __init__(self, home: Path) -> None:
        self.address = str(home / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(self.address)
        self.notifier = Notifier(self.address)

    def heard(self) -> list[str]:
        """The lines that have come by now."""
        lines: list[str] = []
        while True:
            try:
                lines += self.socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return lines

    async def until(self, line: str) -> list[str]:
        """Everything up to a line that begins like this."""
        lines: list[str] = []
        with patience(f"{line} at the service manager"):
            while not any(one.startswith(line) for one in lines):
                await anyio.wait_readable(self.socket)
                lines += self.heard()
        return lines


@pytest.fixture
def manager(home: Path) -> Iterator[Manager]:
    made = Manager(home)
    yield made
    made.notifier.close()
    made.socket.close()


@pytest.fixture
async def watched(home: Path, manager: Manager, anyio_backend: object) -> AsyncIterator[Daemon]:
    async with running(home, Service(manager.notifier, 2 * HALF)) as daemon:
        await manager.until("READY=1")
        await anyio.wait_all_tasks_blocked()  # The task that feeds has looked at the clock.
        yield daemon


async def test_an_idle_daemon_feeds_the_watchdog_twice_in_its_time(watched: Daemon, manager: Manager) -> None:
    for _ in range(5):
        await _nudged(watched)
        before = watched.supervisor._store.writer.stats.commits
        watched.clock.advance(HALF)
        await manager.until("WATCHDOG=1")
        assert watched.supervisor._store.writer.stats.commits == before, "a look writes nothing"


async def test_before_it_is_due_nothing_is_said(watched: Daemon, manager: Manager) -> None:
    watched.clock.advance(HALF - 1)
    await anyio.wait_all_tasks_blocked()
    assert "WATCHDOG=1" not in manager.heard()


async def test_a_loop_that_stands_still_feeds_nothing(watched: Daemon, manager: Manager) -> None:
    await _nudged(watched)
    for _ in range(10):
        watched.clock.advance(HALF)  # And nothing is awaited, so that no task runs.
    assert manager.heard() == []
    await manager.until("WATCHDOG=1")


async def test_a_writer_that_hangs_is_not_said_to_be_alive(watched: Daemon, manager: Manager) -> None:
    peer = await watched.connect()
    with watched.clock.holding("writer"):
        await peer.send(request(1, "memory.set", key="k", value=1))
        await watched.clock.reached()
        watched.clock.advance(HALF)
        await manager.until("WATCHDOG=1")  # It had moved until then.
        for _ in range(5):
            watched.clock.advance(HALF)
            await watched.until("a look", lambda: "the writer does not answer" in watched.log())
            await anyio.wait_all_tasks_blocked()
        assert "WATCHDOG=1" not in manager.heard()
        assert watched.log().count("the writer does not answer") == 1
    assert (await peer.receive())["id"] == 1
    watched.clock.advance(HALF)
    await manager.until("WATCHDOG=1")


async def test_work_that_has_the_writer_to_itself_passes_for_alive_up_to_its_bound(
    watched: Daemon, manager: Manager
) -> None:
    begun, go = threading.Event(), threading.Event()

    def long(_db: apsw.Connection) -> Written:
        begun.set()
        assert go.wait(PATIENCE)
        return Written(b"", 0)

    async with anyio.create_task_group() as tasks:
        try:
            tasks.start_soon(write_alone, watched.supervisor._store, watched.clock, long)
            assert await anyio.to_thread.run_sync(begun.wait, PATIENCE)
            for _ in range(5):
                watched.clock.advance(HALF)
                await manager.until("WATCHDOG=1")
            watched.clock.advance(LONG_SECONDS + HALF)
            await watched.until("a look", lambda: "the writer does not answer" in watched.log())
            assert "WATCHDOG=1" not in manager.heard()
        finally:
            go.set()
    watched.clock.advance(HALF)
    await manager.until("WATCHDOG=1")


async def test_the_sentence_counts_clients_and_changes_and_is_said_when_it_has_changed(
    watched: Daemon, manager: Manager
) -> None:
    peer = await watched.connect()
    await peer.result("memory.set", key="k", value=1)
    watched.clock.advance(HALF)
    assert (await manager.until("STATUS="))[-1] == "STATUS=serving 1 client; 1 change kept"
    await _nudged(watched)
    watched.clock.advance(HALF)
    assert await manager.until("WATCHDOG=1") == ["WATCHDOG=1"]
    await anyio.wait_all_tasks_blocked()
    assert manager.heard() == []


async def test_a_reload_is_told_from_its_begin_to_its_end_also_where_it_is_refused(
    watched: Daemon, manager: Manager
) -> None:
    peer = await watched.connect()
    await peer.result("daemon.reload")
    assert [line.partition("=")[0] for line in await manager.until("READY=1")][::2] == ["RELOADING", "STATUS", "STATUS"]
    watched.reconfigure(limits__connections='"many"')
    await peer.refusal("daemon.reload")
    lines = await manager.until("READY=1")
    assert lines[0] == "RELOADING=1"
    assert lines[-1].startswith("STATUS=serving")


async def test_the_end_is_told_when_it_begins(home: Path, manager: Manager) -> None:
    async with running(home, Service(manager.notifier)):
        assert "EXTEND_TIMEOUT_USEC=60000000" in await manager.until("READY=1")
    assert "STOPPING=1" in manager.heard()


async def _nudged(daemon: Daemon) -> None:
    """The writer has taken the last nudge: what was queued behind it is done."""
    await write(daemon.supervisor._store, daemon.clock, lambda _db: Written(b"", 0))
    await anyio.wait_all_tasks_blocked()
