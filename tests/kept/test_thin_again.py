"""A command whose answer is lost: asked again under its key where that is safe, and told of where it is not."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from threading import Thread

import pytest

from kept.cli import main
from kept.holder import holder
from kept.paths import find
from kept.service.units import name_of
from tests.harness import PATIENCE, Process
from tests.processes import await_end

from .thin import Run, Start

LOOK = b"he command may have been carried out, so look before you repeat it"


def test_a_command_whose_answer_is_lost_is_asked_again_under_its_key_with_what_was_read(start: Start, run: Run) -> None:
    server = start(lambda connection: None)
    done = run("log", "-", stdin=b"words")
    assert (done.returncode, done.stdout) == (7, f"local log - key={server.key} stdin=words".encode())
    assert len(server.key) == 32


def test_no_two_commands_have_the_same_key(start: Start, run: Run) -> None:
    server = start(lambda connection: None)
    keys = [run("log", "words").stdout for _ in range(2)]
    assert len(server.received) == len(set(keys)) == 2


def test_an_agent_whose_greeting_is_lost_has_sent_nothing_that_could_be_done_twice(start: Start, run: Run) -> None:
    start(lambda connection: None)
    assert run("log", "words", KEPT_AGENT="claude").stdout == b"local log words"


class Between:
    """Stands between the script and a daemon: takes one command, then both the daemon and the connection are gone."""

    def __init__(self, process: Process, path: Path, *, is_done: bool) -> None:
        self._process = process
        self._path = path
        self._is_done = is_done
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection, connection.makefile("rb") as lines:
            line = lines.readline()
            if self._is_done:
                with self._process.connect() as daemon, daemon.makefile("rb") as replies:
                    daemon.sendall(line)
                    assert b'"code":0' in replies.readline()
            self._process.popen.kill()
            self._process.popen.wait(PATIENCE)
            self._path.unlink()
            self._listener.close()

    def close(self) -> None:
        self._thread.join(PATIENCE)
        self._listener.close()


@pytest.fixture
def environ(home: Path) -> Iterator[dict[str, str]]:
    """Of a script that finds its daemon at another socket than the first daemon has."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(("KEPT_", "XDG_"))}
    made = {**others, "KEPT_HOME": str(home), "KEPT_SOCKET": str(home / "s"), "HOME": str(home)}
    yield {**made, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    found = holder(find(made).data_dir)
    if found is not None:
        with suppress(ProcessLookupError):
            os.kill(found[0], signal.SIGTERM)
        await_end(found[0])


def script(environ: dict[str, str], *argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from kept.__main__ import main; main()", *argv]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=3 * PATIENCE, check=False)


@pytest.mark.parametrize("is_done", [False, True], ids=["before it was done", "when it was done"])
def test_a_write_whose_daemon_is_killed_is_done_once(home: Path, environ: dict[str, str], *, is_done: bool) -> None:
    with Process(home) as process, closing(Between(process, home / "s", is_done=is_done)):
        done = script(environ, "log", "moved the API")
    assert (done.returncode, done.stdout, done.stderr) == (0, "logged moved the API\n", "")
    logged = json.loads(script(environ, "action", "list", "--json").stdout)["items"]
    assert [one["action"] for one in logged] == ["moved the API"]


def test_what_has_no_key_is_not_done_again(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KEPT_HOME", str(home))
    assert main(["backup", "create"], "a key") == 69
    said = capfd.readouterr().err.encode()
    assert b"kept: the connection ended before the answer, and backup.create can't be repeated\n" in said
    assert LOOK in said
    assert not (home / "keptd.lock").exists(), "no daemon was started for it"


def test_a_second_try_that_is_refused_says_that_there_was_a_first(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KEPT_HOME", str(home))
    with Process(home):
        assert main(["memory", "get", "nothing"], "a key") == 1
        assert LOOK in capfd.readouterr().err.encode()
        assert main(["memory", "get", "nothing", "--json"], "a key") == 1
        assert json.loads(capfd.readouterr().err)["error"]["data"]["type"] == "not_found"
    assert main(["--no-start", "memory", "get", "nothing"], "a key") == 69
    assert LOOK in capfd.readouterr().err.encode()


SYSTEMCTL = """#!/bin/sh
case "$*" in
*StatusText*) printf '%s\\n' ActiveState=activating Result=RESULT StatusText='its words' ;;
*) echo running ;;
esac
"""


@pytest.mark.parametrize("result", ["exit-code", "signal"])
def test_a_daemon_that_refuses_to_start_is_not_asked_again_and_one_that_was_killed_is(
    start: Start, run: Run, environment: dict[str, str], tmp_path: Path, result: str
) -> None:
    start(lambda connection: None)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "systemctl").write_text(SYSTEMCTL.replace("RESULT", result))
    (tmp_path / "bin" / "systemctl").chmod(0o755)
    (tmp_path / "systemd" / "private").mkdir(parents=True)
    more = {"XDG_RUNTIME_DIR": str(tmp_path), "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    units = tmp_path / ".config" / "systemd" / "user"
    units.mkdir(parents=True)
    (units / f"{name_of(find({**environment, **more}), environment)}.service").touch()
    done = run("log", "words", **more)
    assert done.returncode == (69 if result == "exit-code" else 7)
    assert (b"keptd did not start: its words" in done.stderr) == (LOOK in done.stderr) == (result == "exit-code")
