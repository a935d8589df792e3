"""What a new terminal shows, and where nothing is shown."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.small_disk import small_disk

from .in_terminal import EACH, SECONDS, Account, Terminal

STATUS = {"bash": "$?", "zsh": "$?", "fish": "$status"}
AGAIN = {"bash": "exec bash -i", "zsh": "exec zsh -d -i", "fish": "exec fish -i"}


@pytest.mark.parametrize("shell", EACH)
def test_a_new_terminal_shows_it_once_and_the_next_one_again(informed: Account, shell: str) -> None:
    informed.starts(shell)
    with Terminal(informed, shell) as terminal:
        shown = terminal.prompt()
        assert shown.splitlines()[0] == "kept: 1 open decision"
        assert "  decided       use SQLite (because one file)" in shown.splitlines()
        assert shown.splitlines()[-1] == "  more: kept context"
        for nested in (shell, AGAIN[shell]):
            assert "kept:" not in terminal.runs(nested)
        assert b"\x1b[1mkept:" in terminal.raw
    with Terminal(informed, shell, KEPT_SHOWN="1.34816", NO_COLOR="1") as terminal:
        assert "kept: 1 open decision" in terminal.prompt()
        assert b"\x1b[1mkept:" not in terminal.raw


@pytest.mark.parametrize("shell", EACH)
def test_it_is_not_shown_without_a_wish_for_it(informed: Account, shell: str) -> None:
    informed.starts(shell)
    with Terminal(informed, shell, TERM="dumb") as terminal:
        assert "kept:" not in terminal.prompt()
    informed.starts(shell, flags="--no-banner")
    with Terminal(informed, shell) as terminal:
        assert "kept:" not in terminal.prompt()


@pytest.mark.parametrize("shell", EACH)
def test_a_terminal_that_runs_one_command_shows_that_alone(informed: Account, shell: str) -> None:
    informed.starts(shell)
    with Terminal(informed, shell, shell, "-i", "-c", "echo only this; echo END") as terminal:
        assert terminal.until("END") == "only this\n"


@pytest.mark.parametrize("shell", EACH)
@pytest.mark.parametrize("flags", [["-i", "-c"], ["-c"]])
def test_what_runs_without_a_terminal_prints_nothing_of_it(informed: Account, shell: str, flags: list[str]) -> None:
    """As scp, rsync and `ssh HOST COMMAND` have it, also where they read the start-up file."""
    informed.starts(shell, flags="--log-commands")
    file = informed.file(shell)
    done = subprocess.run(
        [shell, *flags, f"source {file}; echo {STATUS[shell]}"],
        env=informed.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    assert done.stdout == "0\n"
    # bash itself says that it has no job control.
    assert not [line for line in done.stderr.splitlines() if not line.startswith("bash: ")]


@pytest.mark.parametrize("shell", EACH)
def test_where_nothing_is_kept_nothing_is_shown(account: Account, shell: str) -> None:
    account.kept("daemon", "start")
    account.starts(shell)
    with Terminal(account, shell) as terminal:
        assert terminal.prompt() == ""


@pytest.mark.parametrize("shell", EACH)
def test_a_file_that_is_read_again_shows_nothing_and_logs_nothing_twice(informed: Account, shell: str) -> None:
    informed.starts(shell, flags="--log-commands")
    with Terminal(informed, shell) as terminal:
        assert terminal.prompt().count("kept:") == 1
        for _ in range(2):
            assert "kept:" not in terminal.runs(f"source {informed.file(shell)}")
        terminal.runs(f"echo once in {shell}")
        end = time.monotonic() + SECONDS
        while f"echo last in {shell}" not in [each["action"] for each in informed.actions()]:
            assert time.monotonic() < end
            terminal.runs(f"echo last in {shell}")
    assert [each["action"] for each in informed.actions()].count(f"echo once in {shell}") == 1


READ_ONLY = {"bash": "readonly KEPT_SHOWN=x", "zsh": "readonly KEPT_SHOWN=x"}


@pytest.mark.parametrize("shell", [each for each in EACH if each.values[0] in READ_ONLY])
def test_where_it_can_not_be_marked_as_shown_it_is_not_and_without_a_word(informed: Account, shell: str) -> None:
    informed.starts(shell, before=READ_ONLY[shell])
    with Terminal(informed, shell) as terminal:
        assert terminal.prompt() == ""
        assert "done\n" in terminal.runs("echo done")


def test_terminals_that_start_at_once_show_it_once_each(informed: Account) -> None:
    shells = [str(each.values[0]) for each in EACH if shutil.which(str(each.values[0]))]
    for shell in shells:
        informed.starts(shell)
    with ExitStack() as stack:
        for terminal in [stack.enter_context(Terminal(informed, shell)) for shell in shells * 2]:
            assert terminal.prompt().count("kept: 1 open decision") == 1


@pytest.mark.skipif(not shutil.which("script"), reason="apt install bsdutils")
def test_script_is_a_terminal_of_its_own_and_what_it_runs_prints_nothing_of_it(informed: Account) -> None:
    informed.starts("bash", flags="--log-commands")
    with Terminal(informed, "bash") as terminal:
        assert "kept:" in terminal.prompt()
        assert "kept:" not in terminal.runs("script -qc 'bash -c \"echo in a script\"' /dev/null")
        assert "kept: 1 open decision" in terminal.runs("script -qc 'bash -i' /dev/null")
        assert "kept:" not in terminal.runs("bash")


@pytest.mark.skipif(not shutil.which("su") or os.geteuid() != 0, reason="su asks for a password")
def test_another_shell_through_su_in_the_same_terminal_shows_nothing(informed: Account) -> None:
    informed.starts("bash", flags="--log-commands")
    with Terminal(informed, "bash") as terminal:
        assert "kept:" in terminal.prompt()
        assert "kept:" not in terminal.runs("su -p -s /bin/bash root")
        assert "kept:" not in terminal.runs("set -eu; true")


@pytest.mark.parametrize("shell", EACH)
def test_it_comes_where_nothing_can_be_written(home: Path, shell: str) -> None:
    with small_disk(home, "48m"):
        account = Account(home)
        account.knows("use SQLite")
        account.starts(shell, flags="--log-commands")
        try:
            with Terminal(account, shell) as terminal:  # Whatever files the shell itself has are made.
                terminal.prompt()
            account.kept("daemon", "stop")
            subprocess.run(["mount", "--bind", str(home), str(home)], check=True)
            subprocess.run(["mount", "-o", "remount,bind,ro", str(home)], check=True)
            with Terminal(account, shell) as terminal:
                assert "kept" not in terminal.prompt().replace(str(home), "")
                assert "done\n" in terminal.runs("echo done")
        finally:
            account.end()
            subprocess.run(["umount", "--lazy", str(home)], check=True)
