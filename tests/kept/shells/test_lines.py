"""The lines themselves: what they are made from, and that a checker of shell scripts finds nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kept.shells import SHELLS, completion, start_up
from tests.kept.thin import SECONDS
from tests.sources import ROOT

FLAGS = ["--no-banner", "--log-commands", "--no-start"]


def lines(shell: str) -> str:
    return start_up(shell, "/it's/a home", banner=True, log_commands=True, may_start=False)


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="apt-get install shellcheck")
def test_shellcheck_finds_nothing_in_what_bash_gets() -> None:
    for text in (completion("bash"), lines("bash")):
        done = subprocess.run(
            ["shellcheck", "--shell=bash", "-"], input=text, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="apt-get install shellcheck")
def test_shellcheck_finds_nothing_in_the_scripts_of_this_project() -> None:
    scripts = [path for path in (ROOT / ".ci").iterdir() if path.read_bytes().startswith(b"#!")]
    assert scripts
    done = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("shell", SHELLS)
def test_each_part_is_there_where_it_is_wanted_only(shell: str) -> None:
    assert "shell-banner --no-start" in lines(shell)
    assert "shell-log" in lines(shell)
    bare = start_up(shell, "/s", banner=False, log_commands=False, may_start=True)
    assert "shell-banner" not in bare
    assert "shell-log" not in bare
    assert "KEPT_STATE_FILE" in bare
    assert "KEPT_STATE_FILE" not in completion(shell)


def script(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = "from kept.__main__ import main; main()"
    return subprocess.run(
        [sys.executable, "-X", "importtime", "-c", command, *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.mark.parametrize("shell", SHELLS)
def test_the_thin_script_prints_them_with_nothing_heavy_loaded_and_no_daemon(
    environment: dict[str, str], tmp_path: Path, shell: str
) -> None:
    done = script({**environment, "KEPT_HOME": str(tmp_path)}, "shell-init", shell, *FLAGS)
    expected = start_up(shell, f"{tmp_path}/current/state.json", banner=False, log_commands=True, may_start=False)
    assert (done.returncode, done.stdout) == (0, expected)
    loaded = set(re.findall(r"\| +([\w.]+)$", done.stderr, re.MULTILINE))
    assert loaded.isdisjoint({"msgspec", "json", "re", "socket", "subprocess", "kept.cli"})
    assert list(tmp_path.iterdir()) == []


def test_other_words_are_left_to_the_command_line(environment: dict[str, str]) -> None:
    assert "usage: kept shell-init" in script(environment, "shell-init", "--help").stdout
    assert script(environment, "shell-init", "tcsh").returncode == 2
    assert script(environment, "shell-init").returncode == 2
    reached = script(environment, "--no-start", "shell-init", "bash").stdout
    assert "shell-banner --no-start" in reached


def test_a_home_that_is_no_path_is_refused(environment: dict[str, str]) -> None:
    done = script({**environment, "KEPT_HOME": "relative"}, "shell-init", "bash")
    assert (done.returncode, done.stdout) == (2, "")
    assert "KEPT_HOME must be an absolute path" in done.stderr
