"""`keptd` as a process that a service manager starts: its datagrams, its watchdog, and the socket that it passes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keptd.home import HomeLock
from tests.harness import PATIENCE, Process, request

LAUNCHER = """
import os, sys
passed, *command = sys.argv[1:]
if passed:
    os.dup2(int(passed), 3)
    os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(command[0], command)
"""
"""What a manager does between fork and exec: the socket becomes descriptor 3."""


class Managed(Process):
    """A daemon under a manager, which is the test."""

    def __init__(self, home: Path, /, listener: socket.socket | None = None, **variables: str) -> None:
        super().__init__(home)
        self._listener = listener
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.settimeout(PATIENCE)
        self.manager.bind(str(home / "notify"))
        self._environ |= {"NOTIFY_SOCKET": str(home / "notify"), **variables}
        if listener is not None:
            self._environ = {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "keptd.socket", **self._environ}
        self._lines: list[str] = []

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.manager.close()

    def _spawn(self) -> subprocess.Popen[str]:
        passed = () if self._listener is None else (self._listener.fileno(),)
        command = [sys.executable, "-c", LAUNCHER, "".join(map(str, passed)), *self._command]
        return subprocess.Popen(command, env=self._environ, stderr=subprocess.PIPE, text=True, pass_fds=passed)

    def until(self, line: str) -> None:
        """Return when it has said a line that begins like this."""
        while not any(one.startswith(line) for one in self._lines):
            self._lines = self.manager.recv(4096).decode().splitlines()
        self._lines = []

    def forget(self) -> list[str]:
        """What it has said by now."""
        said = []
        self.manager.setblocking(False)
        try:
            while True:
                said += self.manager.recv(4096).decode().splitlines()
        except BlockingIOError:
            return said
        finally:
            self.manager.settimeout(PATIENCE)


@pytest.fixture
def listener(home: Path) -> Iterator[socket.socket]:
    """The socket of the unit `keptd.socket`."""
    with unix(home / "run" / "keptd.sock") as made:
        made.listen(8)
        yield made


def unix(path: Path, kind: socket.SocketKind = socket.SOCK_STREAM, mode: int = 0o600) -> socket.socket:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    made = socket.socket(socket.AF_UNIX, kind)
    made.bind(str(path))
    path.chmod(mode)
    return made


def ask(connection: socket.socket, method: str, **params: Any) -> dict[str, Any]:
    connection.sendall(request(1, method, **params) + b"\n")
    return reply(connection)


def reply(connection: socket.socket) -> dict[str, Any]:
    received = b""
    while not received.endswith(b"\n"):
        part = connection.recv(65536)
        assert part, "the connection ended before the reply"
        received += part
    answer: dict[str, Any] = msgspec.json.decode(received)
    return answer


def test_the_manager_hears_the_start_a_reload_and_the_end(home: Path) -> None:
    with Managed(home) as process:
        process.until("READY=1")
        with process.connect() as connection:
            assert "result" in ask(connection, "daemon.ping"), "it is ready when its socket answers"
        process.popen.send_signal(signal.SIGHUP)
        process.until("RELOADING=1")
        process.until("READY=1")
        process.popen.send_signal(signal.SIGTERM)
        process.until("STOPPING=1")
        assert process.popen.wait(PATIENCE) == 0


def test_a_process_that_is_stopped_feeds_no_watchdog_until_it_goes_on(home: Path) -> None:
    with Managed(home, WATCHDOG_USEC="100000") as process:
        process.until("WATCHDOG=1")
        process.until("WATCHDOG=1")
        process.popen.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.popen.pid, os.WSTOPPED | os.WNOWAIT)
        process.forget()
        assert process.forget() == []
        process.popen.send_signal(signal.SIGCONT)
        process.until("WATCHDOG=1")


def test_the_signal_of_the_watchdog_leaves_word_of_where_each_thread_stood(home: Path) -> None:
    with Managed(home, WATCHDOG_USEC="60000000") as process:
        process.until("READY=1")
        process.popen.send_signal(signal.SIGABRT)
        assert process.popen.wait(PATIENCE) == -signal.SIGABRT
        assert process.popen.stderr is not None
        assert "store/writer.py" in process.popen.stderr.read()


def test_a_refused_start_tells_the_manager_why(home: Path) -> None:
    with Managed(home) as process:
        process.until("READY=1")
        code, said = process.another()
        assert code == 75
        process.until(f"STATUS={said.strip().removeprefix('keptd: ')[:100]}")


def test_the_passed_socket_is_served_and_stays_when_the_daemon_ends(home: Path, listener: socket.socket) -> None:
    before = os.lstat(home / "run" / "keptd.sock").st_ino
    with Managed(home, listener) as process, process.connect() as connection:
        assert ask(connection, "daemon.status")["result"]["socket"] == str(home / "run" / "keptd.sock")
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.wait(PATIENCE) == 0
    assert os.lstat(home / "run" / "keptd.sock").st_ino == before


def test_where_the_passed_socket_was_removed_the_daemon_makes_one_of_its_own(
    home: Path, listener: socket.socket
) -> None:
    path = home / "run" / "keptd.sock"
    with Managed(home, listener) as process, process.connect() as before:
        assert "result" in ask(before, "daemon.ping")
        path.unlink()
        assert process.popen.stderr is not None
        assert any('"the socket was removed, so there is a new one"' in line for line in process.popen.stderr)
        with process.connect() as after:
            assert "result" in ask(after, "daemon.ping")
            assert "result" in ask(before, "daemon.ping")
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.wait(PATIENCE) == 0
    assert not path.exists(), "its own it takes with it"
    assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN), "the manager's is the manager's"


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_who_connects_while_no_daemon_runs_is_answered_by_the_next(
    home: Path, listener: socket.socket, end: signal.Signals
) -> None:
    with Managed(home, listener) as process, process.connect() as connection:
        assert "result" in ask(connection, "memory.set", key="k", value=1)
        process.popen.send_signal(end)
        process.popen.wait(PATIENCE)
    (home / "notify").unlink()
    with socket.socket(socket.AF_UNIX) as waiting:
        waiting.settimeout(PATIENCE)
        waiting.connect(str(home / "run" / "keptd.sock"))
        waiting.sendall(request(1, "memory.get", key="k", scope="global") + b"\n")
        with Managed(home, listener):
            assert reply(waiting)["result"]["value"] == 1


def test_who_connects_while_the_daemon_ends_waits_for_the_next_instead_of_being_refused(
    home: Path, listener: socket.socket
) -> None:
    with Managed(home, listener) as process, process.connect() as slow, socket.socket(socket.AF_UNIX) as late:
        assert "result" in ask(slow, "memory.set", key="k", value="long " * 10_000)
        # More than the kernel takes for it: the daemon has to wait until it reads.
        slow.sendall((request(1, "memory.get", key="k", scope="global") + b"\n") * 100)
        assert slow.recv(1)
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.stderr is not None
        assert any('"stopping"' in line for line in process.popen.stderr)
        late.settimeout(PATIENCE)
        late.connect(str(home / "run" / "keptd.sock"))
        late.sendall(request(1, "daemon.ping") + b"\n")
        while slow.recv(65536):
            pass
        assert process.popen.wait(PATIENCE) == 0
        (home / "notify").unlink()
        with Managed(home, listener):
            assert "result" in reply(late)


def test_a_start_behind_a_passed_socket_waits_until_the_daemon_before_has_let_go_of_the_home(
    home: Path, listener: socket.socket
) -> None:
    before = HomeLock(str(home), "/elsewhere")
    process = Managed(home, listener)
    process.popen = process._spawn()
    try:
        process.until("STATUS=starting: waiting until the daemon before has ended")
        with process.connect() as early:
            before.release()
            assert "result" in ask(early, "daemon.ping")
    finally:
        process.__exit__()


def refusal(home: Path, listener: socket.socket, **variables: str) -> str:
    """What a daemon says that gets this socket; it must not start."""
    process = Managed(home, listener, **variables)
    try:
        code, said = process.another()
    finally:
        process.manager.close()
        (home / "notify").unlink()
    assert code == 1, said
    assert not (home / "kept.db").exists()
    assert "Traceback" not in said
    return said


def test_a_socket_that_is_not_the_one_that_belongs_there_is_refused_with_what_to_do(home: Path) -> None:
    path = home / "run" / "keptd.sock"
    with socket.socket(socket.AF_INET) as internet:
        assert "no Unix stream socket" in refusal(home, internet)
    with unix(home / "run" / "datagrams", socket.SOCK_DGRAM) as datagrams:
        assert "no Unix stream socket" in refusal(home, datagrams)
    with unix(home / "run" / "deaf") as deaf:
        assert "Accept=no" in refusal(home, deaf)
    with unix(home / "run" / "other") as other:
        other.listen(8)
        assert f"it is not at {path}" in refusal(home, other)
    with socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0{home.name}")
        abstract.listen(8)
        assert f"it is not at {path}" in refusal(home, abstract)
    with unix(path, mode=0o666) as open_to_all:
        open_to_all.listen(8)
        assert "SocketMode=0600" in refusal(home, open_to_all)
        path.chmod(0o600)
        assert "2 sockets were passed (keptd.socket, unknown)" in refusal(home, open_to_all, LISTEN_FDS="2")
