"""`kept doctor` beside a real daemon: up, hung, killed, damaged, refused, out of room."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from kept.checkup import daemon as looks
from kept.checkup.daemon import Reached, reach
from kept.paths import find
from keptd import VERSION
from keptd.recovery import DAMAGED, Marker
from keptd.store.database import open_writer
from tests.harness import PATIENCE, Process
from tests.keptd.recovery.test_daemon import ask, filled, hit, stop
from tests.small_disk import small_disk

from .doctors import doctor
from .test_process import kept


def test_a_daemon_that_is_well_is_said_to_be(home: Path) -> None:
    with Process(home) as process:
        seen = doctor(home)
        assert stop(process) == 0
    assert seen.problems() == set()
    assert seen.by["daemon"]["detail"] == f"keptd {VERSION} answers (pid {process.popen.pid})"
    assert seen.by.keys() >= {"free space", "reserve", "clock", "slack", "keptd.storage", "keptd.jobs", "keptd.backups"}
    assert not seen.by.keys() & {"structure", "database", "backups"}


def test_a_quarantine_without_a_report_is_named_beside_a_daemon_too(home: Path) -> None:
    (home / "quarantine" / "x").mkdir(parents=True)
    with Process(home):
        assert "no report tells of" in doctor(home).by["quarantine"]["detail"]


def test_the_full_check_reads_everything(home: Path) -> None:
    with Process(home):
        assert doctor(home, "--full").by["structure"]["verdict"] == "ok"


def test_a_daemon_at_another_place_than_this_home_is_told(home: Path) -> None:
    with Process(home / "one") as process:
        finding = doctor(home / "two", environ={"KEPT_SOCKET": process.paths.socket}).by["home"]
    assert (finding["verdict"], str(home / "one") in finding["detail"]) == ("warning", True)


def test_a_stopped_daemon_is_told_with_its_pid_and_how_it_goes_on(home: Path) -> None:
    with Process(home) as process:
        process.popen.send_signal(signal.SIGSTOP)
        seen = doctor(home)
        assert seen.problems() == {"daemon"}
        assert f"pid {process.popen.pid}" in seen.by["daemon"]["detail"]
        assert seen.by["daemon"]["next_step"] == f"kill -CONT {process.popen.pid} lets it go on."
        assert "database" in seen.by
        process.popen.send_signal(signal.SIGCONT)
        assert doctor(home).problems() == set()


def test_a_killed_daemon_leaves_nothing_to_worry_about(home: Path) -> None:
    with Process(home) as process, process.connect() as connection:
        ask(connection, "memory.set", key="k", value=1)
    seen = doctor(home)
    assert (seen.code, seen.problems()) == (0, set())
    assert seen.by["daemon"]["detail"] == "none runs"
    assert "left it behind" in seen.by["socket"]["detail"]
    assert "acknowledged changes" in seen.by["database log"]["detail"]
    assert seen.by["last run"]["detail"].startswith("it was ended from outside")
    with Process(home):
        assert "ended from outside" in doctor(home).by["last run"]["detail"]


def test_damage_shows_before_and_after_its_recovery(home: Path) -> None:
    filled(home)
    hit(home, b'"30 long')
    with Process(home) as process, process.connect() as connection:
        ask(connection, "memory.get", key="k30", scope="global")
        assert process.popen.wait(PATIENCE) == DAMAGED
    seen = doctor(home)
    assert (seen.code, seen.problems()) == (1, {"last run"})
    assert "recovers" in seen.by["last run"]["next_step"]
    with Process(home) as process:
        while_up = doctor(home)
        assert stop(process) == 0
    for after in (while_up, doctor(home)):
        assert (after.code, after.by["recovery"]["verdict"]) == (0, "warning")
        assert "memory 'k30'" in after.by["recovery"]["detail"]
        assert " of memory" in after.by["recovery"]["detail"]
        assert str(home / "quarantine") in after.by["recovery"]["detail"]
        assert "quarantine" not in after.by
    assert "met damage" in while_up.by["last run"]["detail"]


def test_damage_that_the_full_check_meets_is_a_problem(home: Path) -> None:
    filled(home)
    hit(home, b'"30 long')
    with Process(home) as process:
        seen = doctor(home, "--full", ends_daemon=True)
        assert process.popen.wait(PATIENCE) == DAMAGED
    assert seen.problems() & {"structure", "full check"}


def test_a_database_of_a_newer_version_is_told_in_the_daemons_own_words(home: Path) -> None:
    filled(home)
    with closing(open_writer(home / "kept.db")) as db:
        db.execute("INSERT INTO migration VALUES ('memory/999_more', 'x', 1)")
    assert kept(home, "daemon", "start").returncode == 69
    assert Marker(home).ending() == "clean"
    seen = doctor(home)
    assert seen.problems() == {"daemon's log"}
    assert "written by a newer kept; install that version" in seen.by["daemon's log"]["detail"]


def test_a_setting_that_the_daemon_refuses_is_told_in_its_own_words(home: Path) -> None:
    (home / "config.toml").write_text("[limits]\nnonsense = 1\n")
    failed = kept(home, "daemon", "start")
    assert "kept doctor says what to do" in failed.stderr
    seen = doctor(home)
    assert seen.problems() == {"daemon's log"}
    assert "nonsense" in seen.by["daemon's log"]["detail"]


def test_a_full_disk_is_a_problem_with_a_daemon_and_without(home: Path) -> None:
    with small_disk(home, "64m") as disk:
        with Process(home, storage__ballast_bytes=str(4 * 1024 * 1024)) as process:
            with process.connect() as connection:
                ask(connection, "memory.set", key="k", value=1)
                disk.fill()
                while "result" in ask(connection, "memory.set", key="k", value="x" * 100_000):
                    disk.fill()
            seen = doctor(home)
            assert seen.problems() == {"free space"}
            assert "full" in seen.by["keptd.storage"]["detail"]
            assert seen.by["reserve"]["verdict"] == "warning"
            assert seen.by["file system"]["verdict"] == "warning"
            process.popen.kill()
            process.popen.wait()
        assert doctor(home).problems() == {"free space"}
        disk.clear()
        assert doctor(home).problems() == set()


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """A home that some daemon holds, for all that its lock tells: this process."""
    with (home / "keptd.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(f"{os.getpid()}\n{home}/run/keptd.sock\n")
        lock.flush()
        yield


def reached(home: Path) -> Reached:
    environ = {"KEPT_HOME": str(home)}
    return reach(find(environ), environ, VERSION)


def test_a_daemon_that_does_not_listen_yet_is_waited_for_and_no_problem(home: Path) -> None:
    with locked(home):
        seen = reached(home)
    (finding,) = seen.findings
    assert (seen.runs, finding.verdict) == (True, "warning")
    assert f"pid {os.getpid()}" in finding.detail
    assert "starting, recovering a database, or ending" in finding.detail


def test_a_daemon_that_takes_connections_and_says_nothing_is_a_problem(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "ANSWER_SECONDS", 0.05)
    (home / "run").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home / "run" / "keptd.sock"))
        listener.listen()
        with locked(home):
            (finding,) = reached(home).findings
        (nobodys,) = reached(home).findings
    assert (finding.verdict, nobodys.verdict) == ("problem", "problem")
    assert f"keptd (pid {os.getpid()})" in finding.detail
    assert "kept daemon restart --kill ends it" in str(finding.next_step)
    assert "no daemon has the home" in nobodys.detail


def test_a_daemon_of_another_version_is_a_warning(home: Path) -> None:
    with Process(home):
        environ = {"KEPT_HOME": str(home)}
        finding = reach(find(environ), environ, "9.9.9").findings[0]
    assert (finding.verdict, "version 9.9.9" in finding.detail) == ("warning", True)
