"""`kept daemon ...` beside a daemon that is there and does not answer, where no service manager has it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kept import holding
from kept.cli import main, process, running
from tests.harness import PATIENCE, Process, request

DEAF = """
import fcntl, os, signal, socket, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
home, named = sys.argv[1:]
lock = open(home + "/keptd.lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
path = home + "/run/keptd.sock"
print(named or os.getpid(), path, sep="\\n", file=lock, flush=True)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen(0)
print("there", flush=True)
signal.pause()
"""
"""Has a home, takes connections, and heeds neither them nor SIGTERM. The lock names the pid that it is given."""


@pytest.fixture(autouse=True)
def soon(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of this home, out of reach of the tester's own manager, and with less patience than a person has."""
    for name in [name for name in os.environ if name.startswith(("KEPT_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("KEPT_HOME", str(home))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(running, "ANSWER_SECONDS", 0.2)


@contextmanager
def deaf(home: Path, named: str = "") -> Iterator[subprocess.Popen[str]]:
    (home / "run").mkdir(mode=0o700)
    command = [sys.executable, "-c", DEAF, str(home), named]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as hung:
        assert hung.stdout is not None
        assert hung.stdout.readline() == "there\n"
        try:
            yield hung
        finally:
            hung.kill()


@contextmanager
def stopped(home: Path) -> Iterator[Process]:
    """A daemon that has stored something, and was stopped."""
    with Process(home) as hung:
        with hung.connect() as connection:
            connection.sendall(request(1, "memory.set", key="k", value="stays") + b"\n")
            assert b'"result"' in connection.recv(65536)
        hung.popen.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, hung.popen.pid, os.WSTOPPED | os.WNOWAIT)
        yield hung


def test_status_tells_which_process_does_not_answer_and_why(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with stopped(home) as hung:
        pid = hung.popen.pid
        assert main(["daemon", "status"]) == 69
        shown = capsys.readouterr().out
        assert f"keptd (pid {pid}) has not answered for 0.2 s: it is stopped (Ctrl-Z or SIGSTOP)" in shown
        assert f"kill -CONT {pid} lets it go on." in shown
        assert main(["daemon", "status", "--json"]) == 69
        told = json.loads(capsys.readouterr().out)
    assert told["unanswered"] == {
        "pid": pid,
        "seconds": 0.2,
        "does": "is stopped (Ctrl-Z or SIGSTOP)",
        "step": f"kill -CONT {pid} lets it go on.",
        "starts": False,
    }


def test_stop_and_restart_and_start_end_nothing_without_being_told_to(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with stopped(home) as hung:
        for verb, step in (("stop", "stop"), ("restart", "restart"), ("start", "restart")):
            assert main(["daemon", verb]) == 1
            said = capsys.readouterr().err
            assert f"keptd (pid {hung.popen.pid}) has not answered" in said
            assert f"kept daemon {step} --kill ends it" in said
        assert hung.popen.poll() is None


def test_stop_with_kill_ends_a_stopped_daemon_in_order(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with stopped(home) as hung:
        assert main(["daemon", "stop", "--kill"]) == 0
        assert capsys.readouterr().out == f"keptd (pid {hung.popen.pid}) did not answer, and has ended by SIGTERM\n"
        assert hung.popen.wait(PATIENCE) == 0


def test_restart_with_kill_starts_another_that_has_everything(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with stopped(home) as hung:
        assert main(["daemon", "restart", "--kill"]) == 0
        assert main(["recall", "k"]) == 0
        shown = capsys.readouterr().out
        assert main(["daemon", "stop"]) == 0
    assert "is running (pid " in shown
    assert f"(pid {hung.popen.pid})" not in shown
    assert shown.endswith("stays\n")


def test_one_that_heeds_no_sigterm_is_killed(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(holding, "TERM_SECONDS", 0.1)
    with deaf(home) as hung:
        assert main(["daemon", "stop", "--kill", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"pid": hung.pid, "ended": True, "signal": "SIGKILL"}
        assert hung.wait(PATIENCE) == -signal.SIGKILL


def test_a_process_that_the_lock_names_and_that_has_not_got_it_is_never_ended(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with subprocess.Popen(["sleep", "60"]) as bystander, deaf(home, str(bystander.pid)) as hung:
        assert main(["daemon", "stop", "--kill"]) == 1
        assert "can't be seen from here" in capsys.readouterr().err
        assert (bystander.poll(), hung.poll()) == (None, None)
        bystander.kill()


def test_a_process_that_has_the_lock_file_open_alone_is_not_taken_for_its_holder(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        (home / "keptd.lock").open("wb") as lock,
        subprocess.Popen(["sleep", "60"], stdin=lock) as bystander,
        deaf(home, str(bystander.pid)) as hung,
    ):
        assert main(["daemon", "stop", "--kill"]) == 1
        assert "can't be seen from here" in capsys.readouterr().err
        assert (bystander.poll(), hung.poll()) == (None, None)
        bystander.kill()


def test_one_that_takes_no_more_connections_is_one_that_hangs(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with deaf(home) as hung, socket.socket(socket.AF_UNIX) as first:
        first.connect(str(home / "run" / "keptd.sock"))
        assert main(["daemon", "status"]) == 69
        assert f"keptd (pid {hung.pid}) has not answered for" in capsys.readouterr().out


def test_one_that_does_not_listen_yet_is_told_from_one_that_hangs(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with deaf(home) as hung:
        (home / "run" / "keptd.sock").unlink()
        assert main(["daemon", "status"]) == 69
        told = f"keptd (pid {hung.pid}) has the home, and takes no connection: it is starting"
        shown = capsys.readouterr().out
        assert told in shown
        assert "--kill" not in shown
        assert "a large database takes its time" in shown
        assert main(["daemon", "stop"]) == 1
        assert told in capsys.readouterr().err


def test_what_else_is_asked_of_it_is_given_up_soon_with_the_next_step(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(process, "OF_DAEMON_SECONDS", 0.2)
    with stopped(home):
        assert main(["daemon", "clients"]) == 69
    said = "kept: the daemon did not answer in time\nhint: kept daemon status says what it does.\n"
    assert capsys.readouterr().err == said


def test_restart_where_none_runs_starts_one(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["daemon", "restart"]) == 0
    assert "is running (pid " in capsys.readouterr().out
    assert main(["daemon", "stop"]) == 0
