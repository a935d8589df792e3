"""A restart of the daemon by itself: another takes its place in the same process, and no client is refused."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keptd.notify import Notifier, Service
from tests.harness import PATIENCE, Peer, Process, request, running
from tests.steady_client import STEADY


def lines(connection: socket.socket) -> list[dict[str, Any]]:
    """All that comes until the connection ends."""
    with connection.makefile("rb") as file:
        return [msgspec.json.decode(line) for line in file]


def ask(connection: socket.socket, method: str, **params: Any) -> Any:
    connection.sendall(request(1, method, **params) + b"\n")
    with connection.makefile("rb") as file:
        return msgspec.json.decode(file.readline())["result"]


def test_the_socket_stays_and_another_run_answers_in_the_same_process(home: Path) -> None:
    with Process(home) as process:
        inode = (home / "run" / "keptd.sock").lstat().st_ino
        with process.connect() as connection:
            before = ask(connection, "daemon.status")
            connection.sendall(request(2, "memory.set", key="k", value=1) + b"\n")
            connection.sendall(request(3, "daemon.restart") + b"\n")
            said = lines(connection)
        assert {"jsonrpc": "2.0", "method": "$/goingAway", "params": {"restarts": True}} in said
        assert {line["id"] for line in said if "result" in line} == {2, 3}, "what is in flight is answered"
        with process.connect() as connection:
            after = ask(connection, "daemon.status")
            assert ask(connection, "memory.get", key="k")["value"] == 1
        assert (home / "run" / "keptd.sock").lstat().st_ino == inode
        assert after["pid"] == before["pid"] == process.popen.pid
        assert after["started_at"] > before["started_at"]
        assert after["storage"]["ending"] == "clean"
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.wait(PATIENCE) == 0
        assert not (home / "run" / "keptd.sock").exists(), "its own socket, it removes"


def test_settings_of_the_command_line_are_kept_over_restarts(home: Path) -> None:
    with Process(home, limits__batch="3") as process:
        for _ in range(2):
            with process.connect() as connection:
                ask(connection, "daemon.restart")
                lines(connection)
        with process.connect() as connection:
            connection.sendall(b"[" + b",".join([request(1, "daemon.ping")] * 4) + b"]\n")
            with connection.makefile("rb") as file:
                assert b"at most 3 are taken" in file.readline()


def test_who_connects_while_the_daemon_ends_waits_for_the_next(home: Path) -> None:
    with Process(home) as process, process.connect() as slow, socket.socket(socket.AF_UNIX) as late:
        ask(slow, "memory.set", key="k", value="long " * 10_000)
        # More than the kernel takes for it: the daemon has to wait until it reads.
        slow.sendall((request(1, "memory.get", key="k", scope="global") + b"\n") * 100)
        assert slow.recv(1)
        with process.connect() as other:
            ask(other, "daemon.restart")
        assert process.popen.stderr is not None
        assert any('"stopping"' in line for line in process.popen.stderr)
        late.settimeout(PATIENCE)
        late.connect(process.paths.socket)
        late.sendall(request(1, "daemon.ping") + b"\n")
        while slow.recv(65_536):
            pass
        with late.makefile("rb") as file:
            assert b'"result"' in file.readline()


def test_under_load_no_client_is_refused(home: Path) -> None:
    with Process(home) as process:
        command = [sys.executable, "-c", STEADY, process.paths.socket, "300"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as load:
            assert load.stdout is not None
            assert load.stderr is not None
            assert load.stdout.readline() == "under load\n"
            with process.connect() as connection:
                ask(connection, "daemon.restart")
            assert load.stdout.readline() == "done\n", load.stderr.read()
        with process.connect() as connection:
            assert ask(connection, "memory.get", key="k299")["value"] == 299


@pytest.mark.anyio
async def test_with_wrong_settings_the_daemon_goes_on(home: Path, anyio_backend: str) -> None:
    async with running(home) as daemon:
        peer = await daemon.connect()
        (home / "config.toml").write_text("limits = 1\n")
        assert await peer.refusal("daemon.restart") == (-32602, "invalid_params")
        await peer.is_served()


@pytest.mark.anyio
async def test_a_daemon_that_a_manager_runs_leaves_it_to_the_manager(home: Path, anyio_backend: str) -> None:
    notifier = Notifier(str(home / "notify"))
    async with running(home, Service(notifier)) as daemon:
        peer: Peer = await daemon.connect()
        assert await peer.refusal("daemon.restart") == (-32002, "conflict")
        await peer.is_served()
    notifier.close()
