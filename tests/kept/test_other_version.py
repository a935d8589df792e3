"""A daemon that runs on after an upgrade: a person is told how to end that, and a program isn't."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from kept.cli import answer
from kept.version import VERSION
from kept.wire.daemon import RunCommand
from tests.harness import Process

from .cli.typing_at import Recorder

LINE = f"keptd {VERSION} is running, kept is 9.9.9: kept daemon restart"

NEWER = "import kept.version; kept.version.VERSION = '9.9.9'; from kept.__main__ import main; main()"
"""The script, of a version that isn't."""


def on_a_terminal(home: Path, *argv: str) -> tuple[str, str]:
    """What came on standard output, and on standard error, which is a terminal."""
    ours, theirs = pty.openpty()
    environ = {**os.environ, "KEPT_HOME": str(home), "TERM": "xterm"}
    with subprocess.Popen(
        [sys.executable, "-c", NEWER, *argv],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
    ) as script:
        os.close(theirs)
        assert script.stdout is not None
        out = script.stdout.read().decode()
    said = ""
    try:
        while part := os.read(ours, 65_536):
            said += part.decode()
    except OSError:
        pass  # The other side has been closed, and all has been read.
    os.close(ours)
    return out, said


@pytest.mark.parametrize("argv", [("status",), ("daemon", "status"), ("session", "export", "x", "y")])
def test_a_person_is_told_once_wherever_the_command_runs(home: Path, argv: tuple[str, ...]) -> None:
    with Process(home):
        _, said = on_a_terminal(home, *argv)
    assert said.count(LINE) == (0 if argv[0] == "daemon" else 1)


def test_programs_are_not_told(home: Path) -> None:
    with Process(home):
        out, said = on_a_terminal(home, "status", "--json")
        assert (json.loads(out)["daemon"]["version"], said) == (VERSION, "")
        piped = subprocess.run(
            [sys.executable, "-c", NEWER, "status"],
            env={**os.environ, "KEPT_HOME": str(home)},
            capture_output=True,
            check=True,
        )
    assert piped.stderr == b""


def test_clients_of_the_same_version_are_not_told() -> None:
    for version, told in ((VERSION, ""), (None, ""), ("9.9.9", f"{LINE}\n")):
        assert answer(RunCommand(argv=("--version",), version=version), Recorder()).err == told
