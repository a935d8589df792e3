"""Where `kept doctor` says that the log is, when a service manager runs the daemon."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kept.checkup import daemon, journal
from tests.harness import Process

from .doctors import doctor
from .test_doctor_daemon import reached


@contextmanager
def running(*, in_journal: bool) -> Iterator[int]:
    """A process whose standard error is a socket, of which its environment says that it is the journal's."""
    ours, theirs = socket.socketpair()
    found = os.fstat((theirs if in_journal else ours).fileno())
    environ = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}", "A": "b"}
    with ours, theirs:
        command = [sys.executable, "-S", "-c", "input()"]
        with subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stderr=theirs.fileno()) as process:
            # Only the new program has the environment.
            while b"JOURNAL_STREAM" not in Path(f"/proc/{process.pid}/environ").read_bytes():
                assert process.poll() is None
            yield process.pid
            process.kill()


def cgroup(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    read = journal._read
    monkeypatch.setattr(journal, "_read", lambda path: text if path.endswith("cgroup") else read(path))


@pytest.mark.parametrize(
    ("place", "command"),
    [
        (b"0::/user.slice/user-1000.slice/user@1000.service/app.slice/keptd.service\n", "journalctl --user -u keptd"),
        (b"0::/user.slice/user@1000.service/app.slice/other@1.service\n", "journalctl --user -u other@1"),
        (b"0::/system.slice/keptd.service\n", "journalctl -u keptd"),
        (b"0::/\n", "journalctl --user -u keptd"),
        (b"0::/$(x)\x1b.service\n", "journalctl --user -u keptd"),
    ],
)
def test_the_command_names_the_unit_that_the_process_is_in(
    monkeypatch: pytest.MonkeyPatch, place: bytes, command: str
) -> None:
    cgroup(monkeypatch, place)
    with running(in_journal=True) as pid:
        assert journal.journal_of(pid) == command


def test_a_process_that_only_inherited_the_variable_is_not_in_the_journal() -> None:
    with running(in_journal=False) as pid:
        assert journal.journal_of(pid) is None
    assert journal.journal_of(2**22 + 1) is None


def test_a_daemon_under_a_manager_is_told_with_its_log_also_while_it_hangs(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "journal_of", lambda _: "journalctl --user -u keptd")
    with Process(home) as process:
        by = {finding.what: finding for finding in reached(home).findings}
        assert by["log"].next_step == "journalctl --user -u keptd shows it."
        monkeypatch.setattr(daemon, "ANSWER_SECONDS", 0.2)
        process.popen.send_signal(signal.SIGSTOP)
        (finding,) = reached(home).findings
        process.popen.send_signal(signal.SIGCONT)
    assert str(finding.next_step).endswith("What it has said: journalctl --user -u keptd")


def test_a_unit_that_is_there_is_told_where_no_daemon_runs(home: Path) -> None:
    assert "service" not in doctor(home).by
    (home / ".config/systemd/user").mkdir(parents=True)
    (home / ".config/systemd/user/keptd.service").touch()
    finding = doctor(home).by["service"]
    assert (finding["verdict"], finding["next_step"]) == ("ok", "journalctl --user -u keptd shows it.")
