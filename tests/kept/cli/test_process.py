"""The command line in a process of its own, with and without a daemon."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kept.cli import main
from tests.kept.scripted import CUT, serving

SECONDS = 60


def environment(home: Path) -> dict[str, str]:
    """Nothing of the tester's own but the path to the code."""
    return {
        "KEPT_HOME": str(home),
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": ":".join(filter(None, sys.path)),
    }


def kept(home: Path, *argv: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    script = "import sys; from kept.cli import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", script, *argv],
        env={**environment(home), **more},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a daemon; the tester's own is out of reach."""
    for name in list(os.environ):
        if name.startswith("KEPT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("KEPT_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home with a daemon. A socket's path is short, so it is not below pytest's folder."""
    folder = Path(tempfile.mkdtemp(prefix="kept-"))
    started = kept(folder, "daemon", "start")
    assert started.returncode == 0, started.stderr
    assert started.stdout.startswith("keptd is running (pid ")
    yield folder
    assert kept(folder, "daemon", "stop").returncode == 0
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize(
    "words",
    ["--no-start status", "status --no-start", "daemon stop", "daemon status", "daemon reload", "watch --no-start"],
)
def test_without_a_daemon_the_exit_code_is_69_and_none_is_started(
    nowhere: Path, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 69
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("kept: no daemon answers at ")
    assert list(nowhere.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        "--help",
        "memory --help",
        "help log",
        "completion bash",
        "complete -- mem",
        "complete -- memory get x",
        "--version",
    ],
)
def test_what_needs_no_daemon_works_without_and_starts_none(
    nowhere: Path, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 0
    assert capsys.readouterr().err == ""
    assert list(nowhere.iterdir()) == []


def test_mistakes_start_no_daemon(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ("nope", "memory set k", "memory get k --nope", "recall"):
        assert main(words.split()) == 2
    assert list(nowhere.iterdir()) == []


def test_no_daemon_is_told_as_json_where_json_was_asked_for(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--no-start", "--json"]) == 69
    assert json.loads(capsys.readouterr().err)["error"]["data"]["type"] == "no_daemon"


def test_a_change_that_was_sent_and_never_answered_is_told_to_be_looked_for(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("kept.cli.process.PATIENCE_SECONDS", 0.05)
    with serving(nowhere, lambda _: [CUT]):
        assert main(["--no-start", "memory", "get", "a"]) == 69
        assert "look before you repeat it" not in capsys.readouterr().err
        assert main(["--no-start", "memory", "set", "a", "1"]) == 69
        assert "may have been carried out, so look before you repeat it" in capsys.readouterr().err


def test_a_place_that_cannot_be_used_is_a_usage_error(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KEPT_HOME", "relative")
    assert main(["status"]) == 2
    assert "KEPT_HOME" in capsys.readouterr().err
    assert main(["--socket", "/" + "long" * 40, "status"]) == 2


def test_a_home_that_cannot_be_made_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for words in (["status"], ["daemon", "start"], ["watch"]):
        done = kept(tmp_path / "file", *words)
        assert (done.returncode, done.stdout) == (69, "")
        assert done.stderr.startswith("kept: the daemon can't be started: ")
        assert done.stderr.count("\n") == 1


def test_a_closed_standard_input_is_a_usage_error(home: Path) -> None:
    script = "import sys; sys.stdin = None; from kept.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", script, "memory", "set", "k", "-"]
    done = subprocess.run(command, env=environment(home), capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (done.returncode, done.stderr) == (2, "kept: there is no standard input to read\n")


@pytest.mark.parametrize("words", [("vault", "list"), ("status",), ("daemon", "status"), ("doctor",)])
@pytest.mark.parametrize("name", ["x" * 201, "ghp_" + "0123456789abcdefghijABCDEFGHIJ012345"])
def test_an_agents_name_that_is_none_is_told_by_its_variable(home: Path, words: tuple[str, ...], name: str) -> None:
    told = kept(home, *words, KEPT_AGENT=name)
    assert told.returncode != 0
    assert "KEPT_AGENT" in told.stdout + told.stderr
    assert "unset it where no agent runs this" in " ".join((told.stdout + told.stderr).split())
    assert name not in told.stdout + told.stderr


def test_the_same_core_runs_against_a_daemon(home: Path) -> None:
    assert kept(home, "remember", "editor", "neovim").stdout == "remembered editor\n"
    assert kept(home, "memory", "get", "editor").stdout == "neovim\n"
    assert kept(home, "memory", "set", "piped", "-", stdin="日本\n").returncode == 0
    assert kept(home, "recall", "日本", LC_ALL="C", PYTHONIOENCODING="ascii").returncode == 0
    assert kept(home, "memory", "get", "piped").stdout == "日本\n"
    refused = kept(home, "memory", "get", "nothing")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("kept: ")
    assert kept(home, "status").stdout.startswith("keptd ")
    assert kept(home, "daemon", "start").stdout.startswith("keptd runs already (pid ")


def test_another_socket_can_be_named_before_and_after_the_command(home: Path, tmp_path: Path) -> None:
    socket = str(home / "run" / "keptd.sock")
    for words in (["--socket", socket, "daemon", "ping"], ["daemon", "ping", f"--socket={socket}"]):
        assert kept(tmp_path, *words).returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_a_daemon_is_started_at_the_socket_that_is_named_and_stop_waits_for_its_end() -> None:
    folder = Path(tempfile.mkdtemp(prefix="kept-"))
    named = ["--socket", str(folder / "named" / "s")]
    try:
        status = kept(folder, *named, "daemon", "start", "--json")
        assert status.returncode == 0, status.stderr
        daemon = json.loads(status.stdout)["daemon"]
        assert daemon["socket"] == named[1]
        assert not (folder / "run").exists()
        stopped = kept(folder, *named, "daemon", "stop")
        assert stopped.stdout == f"keptd (pid {daemon['pid']}) has ended\n"
        with (folder / "keptd.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert not (folder / "named" / "s").exists()
    finally:
        kept(folder, *named, "daemon", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def test_two_environments_of_one_home_share_its_daemon() -> None:
    """As a session and its cron, of which only one has XDG_RUNTIME_DIR."""
    folder = Path(tempfile.mkdtemp(prefix="kept-"))
    (folder / "session").mkdir(0o700)
    plain = {**environment(folder), "XDG_DATA_HOME": str(folder), "XDG_STATE_HOME": str(folder)}
    del plain["KEPT_HOME"]
    session = {**plain, "XDG_RUNTIME_DIR": str(folder / "session")}

    def run(environ: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
        script = [sys.executable, "-m", "kept", *words]
        return subprocess.run(script, env=environ, capture_output=True, text=True, timeout=SECONDS, check=False)

    try:
        assert run(session, "remember", "where", "terminal").returncode == 0
        assert run(plain, "recall", "where").stdout == "terminal\n"
        assert run(plain, "daemon", "start").stdout.startswith("keptd runs already")
        assert (folder / "kept" / "keptd.log").read_text().count("another keptd") == 0
        assert run(plain, "daemon", "stop").returncode == 0
    finally:
        run(session, "daemon", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def test_standard_input_that_is_no_text_or_too_long_is_a_usage_error(home: Path) -> None:
    script = "import sys; from kept.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", script, "memory", "set", "k", "-"]
    for given in (b"\xff", b"a" * (16 * 1024 * 1024 + 1)):
        done = subprocess.run(
            command, env=environment(home), input=given, capture_output=True, timeout=SECONDS, check=False
        )
        assert done.returncode == 2
        assert done.stderr.startswith(b"kept: standard input is ")


def test_watch_prints_each_change_as_it_comes(home: Path) -> None:
    seq = json.loads(kept(home, "daemon", "status", "--json").stdout)["storage"]["last_seq"]
    script = "import sys; from kept.cli import main; sys.exit(main(sys.argv[1:]))"
    for format_, check in ((["--json"], json_change), ([], plain_change)):
        command = [sys.executable, "-c", script, "watch", "memory", "--since", str(seq), *format_]
        with subprocess.Popen(command, env=environment(home), stdout=subprocess.PIPE, text=True) as watcher:
            assert kept(home, "log", "not this").returncode == 0
            assert kept(home, "memory", "set", "watched", "1").returncode == 0
            assert watcher.stdout is not None
            line = watcher.stdout.readline()
            watcher.terminate()
        check(line)


def json_change(line: str) -> None:
    change: dict[str, Any] = json.loads(line)["change"]
    assert (change["method"], change["label"]) == ("memory.set", "watched")


def plain_change(line: str) -> None:
    assert "memory.set" in line
    assert "watched" in line
