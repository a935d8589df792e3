"""The `kept` script where the surroundings are odd: closed descriptors, a fault of its own, a socket elsewhere."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest

from .thin import SCRIPT, SECONDS, Run, Start, result

CLOSED = """
import os, sys
for descriptor in map(int, sys.argv[1].split(",")):
    os.close(descriptor)
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""
"""Runs Python with some standard descriptors closed, as `>&-` does in a shell."""


@pytest.mark.parametrize("closed", ["1", "2", "0,1", "0,1,2"])
def test_a_closed_descriptor_never_becomes_the_connection(
    start: Start, environment: dict[str, str], closed: str
) -> None:
    heard: list[bytes] = []
    ended = Event()

    def answer(connection: socket.socket) -> None:
        connection.sendall(result(0, "a stored request\n", "words\n"))
        connection.settimeout(SECONDS)
        heard.append(connection.recv(1000))
        ended.set()

    start(answer)
    done = subprocess.run(
        [sys.executable, "-c", CLOSED, closed, "-c", SCRIPT, "memory", "get", "k"],
        env=environment,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0
    assert ended.wait(SECONDS)
    assert heard == [b""]


def test_a_closed_standard_input_is_not_read_from_the_connection(start: Start, environment: dict[str, str]) -> None:
    server = start(result())
    done = subprocess.run(
        [sys.executable, "-c", CLOSED, "0", "-c", SCRIPT, "memory", "set", "k", "-"],
        env=environment,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == b"kept: standard input can't be read: Bad file descriptor\n"
    assert server.received == []


@pytest.mark.parametrize("closed", ["0", "1", "2", "0,1,2"])
def test_with_closed_descriptors_the_command_line_runs_here_too(environment: dict[str, str], closed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CLOSED, closed, "-c", "from kept.__main__ import main; main()", "--help"],
        env=environment,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_bare_kept_on_a_new_home_is_a_usage_error_with_help(run: Run, tmp_path: Path) -> None:
    done = run(stub=False)
    assert done.returncode == 2
    assert done.stdout.startswith(b"usage: kept")
    assert done.stderr == b""


BROKEN = """
import sys, types
cli = types.ModuleType("kept.cli")
def run(argv, key):
    raise ValueError("private")
cli.main = run
sys.modules["kept.cli"] = cli
from kept.__main__ import main
main()
"""


@pytest.mark.parametrize("debug", ["", "1"])
def test_a_fault_of_kepts_own_is_one_line_unless_the_details_are_wanted(
    environment: dict[str, str], debug: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, "status"],
        env={**environment, "KEPT_DEBUG": debug},
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    if debug:
        assert b"Traceback" in done.stderr
    else:
        assert done.returncode == 70
        assert done.stderr == b"kept: a fault in kept itself (ValueError); KEPT_DEBUG=1 shows the details\n"


def test_a_daemon_that_serves_the_home_at_another_socket_is_found_by_its_lock(
    start: Start, environment: dict[str, str], tmp_path: Path
) -> None:
    server = start(result(0, "blue\n"))
    tmp_path.chmod(0o700)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "keptd.lock").write_text(f"7\n{server.path}\n")
    del environment["KEPT_SOCKET"]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "memory", "get", "k"],
        env={**environment, "KEPT_HOME": str(tmp_path / "home")},
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"blue\n")
