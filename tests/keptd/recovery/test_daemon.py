"""A whole daemon on a damaged database: the request that meets the damage is refused, and the next start recovers."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from kept import connect
from kept.holder import holder
from kept.paths import find
from kept.start import start
from kept.wire.daemon import Status, Stop
from keptd.recovery import DAMAGED, Marker
from keptd.store.database import open_reader
from tests.harness import PATIENCE, Process, request, running
from tests.processes import await_end

KEYS = 60
LONG = "long " * 300


def ask(connection: socket.socket, method: str, **params: Any) -> dict[str, Any]:
    connection.sendall(request(1, method, **params) + b"\n")
    received = b""
    while not received.endswith(b"\n"):
        received += connection.recv(65536)
    reply: dict[str, Any] = msgspec.json.decode(received)
    return reply


def stop(process: Process) -> int:
    process.popen.send_signal(signal.SIGTERM)
    return process.popen.wait(PATIENCE)


def filled(home: Path) -> None:
    with Process(home) as process, process.connect() as connection:
        for number in range(KEYS):
            assert "result" in ask(connection, "memory.set", key=f"k{number}", value=f"{number} {LONG}")
        assert Marker(home).ending() == "unclean"
        assert stop(process) == 0
    assert Marker(home).ending() == "clean"


def hit(home: Path, text: bytes) -> None:
    """Flip a bit in a text where it lies in the database."""
    content = bytearray((home / "kept.db").read_bytes())
    at = content.index(text)
    content[at + 40] ^= 4
    (home / "kept.db").write_bytes(content)


def test_damage_that_a_read_meets_is_refused_ends_the_daemon_and_is_recovered_by_the_next_start(home: Path) -> None:
    filled(home)
    hit(home, b'"30 long')
    with Process(home) as process, process.connect() as connection:
        reply = ask(connection, "memory.get", key="k30", scope="global")
        assert reply["error"]["data"]["type"] == "storage_failed"
        assert process.popen.wait(PATIENCE) == DAMAGED
    assert Marker(home).ending() == "damaged"
    with Process(home) as process, process.connect() as connection:
        storage = ask(connection, "daemon.status")["result"]["storage"]
        assert storage["ending"] == "damaged"
        assert storage["is_checked"] is True
        assert "memory 'k30'" in storage["recovered"]
        assert ask(connection, "memory.get", key="k30", scope="global")["error"]["data"]["type"] == "not_found"
        assert ask(connection, "memory.get", key="k0", scope="global")["result"]["value"] == f"0 {LONG}"
        (event,) = ask(connection, "event.list", topics=["database"])["result"]["items"]
        assert event["method"] == "recovery"
        assert stop(process) == 0
    assert Marker(home).ending() == "clean"


def test_damage_that_nobody_reads_is_found_by_the_check_after_an_unclean_end(home: Path) -> None:
    filled(home)
    hit(home, b'"30 long')
    Marker(home).set()
    with Process(home) as process:
        assert process.popen.wait(PATIENCE) == DAMAGED
    with Process(home) as process, process.connect() as connection:
        assert "memory 'k30'" in ask(connection, "daemon.status")["result"]["storage"]["recovered"]


def test_a_kill_leaves_an_unclean_end_and_a_sound_database_is_said_to_be_checked(home: Path) -> None:
    with Process(home) as process, process.connect() as connection:
        ask(connection, "memory.set", key="k", value=1)
    with Process(home) as process, process.connect() as connection:
        storage = ask(connection, "daemon.status")["result"]["storage"]
        assert (storage["ending"], storage["recovered"]) == ("unclean", None)
        while not storage["is_checked"]:
            storage = ask(connection, "daemon.status")["result"]["storage"]
        assert stop(process) == 0


def test_a_client_that_starts_a_daemon_on_damage_starts_the_one_that_recovers_as_well(home: Path) -> None:
    filled(home)
    paths, environ = find({"KEPT_HOME": str(home)}), {**os.environ, "KEPT_HOME": str(home)}
    with closing(open_reader(home / "kept.db")) as db:
        root = "SELECT rootpage FROM sqlite_schema WHERE name = 'session_by_status'"
        number, page = int(db.execute(root).get), int(db.pragma("page_size"))
    with (home / "kept.db").open("r+b") as database:
        database.seek((number - 1) * page + page // 2)
        database.write(b"\xff" * 64)
    start(paths, environ=environ)
    with connect(environ=environ) as client:
        try:
            end = time.monotonic() + PATIENCE
            # The first may serve for a moment before it meets the damage; it ends, and the next call starts another.
            while not client.call(Status()).storage.recovered:
                assert time.monotonic() < end
        finally:
            found = holder(paths.data_dir)
            client.call(Stop())
    assert found is not None
    await_end(found[0])
    said = Path(paths.log).read_text()
    assert said.count("stopping for a recovery") == 1
    assert "Traceback" not in said


@pytest.mark.anyio
async def test_while_it_stops_the_component_says_that_the_storage_is_down(home: Path, anyio_backend: str) -> None:
    async with running(home) as daemon:
        daemon.expected.update(("damage found", "stopping for a recovery"))
        peer = await daemon.connect()
        store = daemon.supervisor._store
        store.damage._post = lambda _callback: None  # Noticed, and not yet heard.
        store.damage.found("a page was read that is not what was written")
        found = await peer.result("component.get", name="keptd.storage")
        assert (found["status"], found["health"]) == ("down", 0)
        assert "not what was written" in found["metadata"]["detail"]
        await anyio.lowlevel.checkpoint()
    assert Marker(home).ending() == "damaged"
