"""`kept daemon ...` and `kept doctor` where the manager that has the socket hangs: each says so, and is over."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kept.checkup import daemon as looks
from kept.cli import main, running
from kept.paths import find
from kept.service import systemctl
from kept.service.units import name_of
from tests.harness import Process

HANGS = "the systemd user manager does not answer"


@pytest.fixture
def unheeding(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed service of this home, whose manager says nothing."""
    for name in [name for name in os.environ if name.startswith(("KEPT_", "XDG_"))]:
        monkeypatch.delenv(name)
    program = home / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    (home / "user" / "systemd" / "private").mkdir(parents=True)
    for name, value in {
        "KEPT_HOME": str(home),
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home / "user"),
        "PATH": f"{program.parent}:{os.environ['PATH']}",
    }.items():
        monkeypatch.setenv(name, value)
    units = home / ".config" / "systemd" / "user"
    units.mkdir(parents=True)
    (units / f"{name_of(find(os.environ), os.environ)}.service").touch()
    monkeypatch.setattr(systemctl, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(running, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(running, "START_SECONDS", 0.2)
    monkeypatch.setattr(looks, "ANSWER_SECONDS", 0.2)
    return home


@pytest.fixture
def socket_of_the_manager(unheeding: Path) -> Iterator[Path]:
    """Its socket takes connections, and nobody is started by that."""
    (unheeding / "run").mkdir(mode=0o700)
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(find(os.environ).socket)
        listener.listen()
        yield unheeding


def test_who_would_wait_at_its_socket_is_told_for_what(
    socket_of_the_manager: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert socket_of_the_manager.is_dir()
    for words in (["start"], ["stop"], ["restart"]):
        assert main(["daemon", *words]) == 69
        assert f"who connects waits for the service manager: {HANGS}" in capsys.readouterr().err
    assert main(["daemon", "status"]) == 69
    shown = capsys.readouterr().out
    assert f"service: {HANGS}, so how it is can't be told" in shown
    assert "the first call starts the daemon" not in shown
    assert main(["daemon", "status", "--json"]) == 69
    assert json.loads(capsys.readouterr().out)["service"]["manager"] == HANGS
    assert main(["doctor"]) == 1
    assert HANGS in " ".join(capsys.readouterr().out.split())


REFUSED = """#!/bin/sh
printf '%s\\n' ActiveState=failed Result=exit-code ExecMainCode=1 ExecMainStatus=2
echo StatusText=config.toml: no such setting
"""
"""Of a daemon that was started for who connects, and has refused to start."""


def test_what_a_daemon_says_that_refuses_to_start_is_what_doctor_says(
    socket_of_the_manager: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (socket_of_the_manager / "bin" / "systemctl").write_text(REFUSED)
    assert main(["doctor"]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert ".service did not start: config.toml: no such setting" in shown
    assert "ss -xlp" not in shown


def test_a_daemon_that_answers_beside_it_is_shown(unheeding: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Process(unheeding) as process:
        assert main(["daemon", "status"]) == 0
        shown = capsys.readouterr().out
        process.popen.send_signal(signal.SIGTERM)
    assert f"pid {process.popen.pid}" in shown
    assert "the first call starts the daemon" not in shown
