"""Where `kept doctor` says that the log is, when a service manager runs the daemon."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from kept.checkup import daemon, journal
from kept.holder import lock_of
from tests.harness import Process

from .doctors import doctor
from .test_doctor_daemon import reached

PID = 4321


def said(home: Path, *lines: str) -> str:
    """The home, whose lock says this."""
    Path(lock_of(str(home))).write_text("".join(f"{line}\n" for line in lines))
    return str(home)


def cgroup(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    monkeypatch.setattr(journal, "_read", lambda path: text)


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
    home: Path, monkeypatch: pytest.MonkeyPatch, place: bytes, command: str
) -> None:
    cgroup(monkeypatch, place)
    assert journal.journal_of(said(home, str(PID), "/run/x", "journal"), PID) == command


def test_a_daemon_whose_lock_does_not_say_so_is_not_in_the_journal(home: Path) -> None:
    assert journal.journal_of(str(home), PID) is None
    assert journal.journal_of(said(home, str(PID), "/run/x"), PID) is None
    assert journal.journal_of(said(home, str(PID), "journal"), PID) is None
    assert journal.journal_of(said(home, str(PID + 1), "/run/x", "journal"), PID) is None


IN_JOURNAL = """
import os, sys
error = os.fstat(2)
os.environ["JOURNAL_STREAM"] = f"{error.st_dev}:{error.st_ino}"
os.execv(sys.argv[1], sys.argv[1:])
"""
"""What a manager does that gives a service a stream of the journal (systemd.exec(5))."""


def test_a_daemon_says_itself_whether_its_words_go_to_the_journal(home: Path) -> None:
    process = Process(home)
    process._command = [sys.executable, "-c", IN_JOURNAL, *process._command]
    with process:
        pid = process.popen.pid
        assert Path(lock_of(str(home))).read_text().splitlines()[2:] == ["journal"]
        assert str(journal.journal_of(str(home), pid)).startswith("journalctl ")
    with Process(home) as process:
        assert journal.journal_of(str(home), process.popen.pid) is None


def test_a_daemon_under_a_manager_is_told_with_its_log_also_while_it_hangs(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "journal_of", lambda *_: "journalctl --user -u keptd")
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
