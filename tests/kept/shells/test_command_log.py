"""Commands that are typed become actions, and nothing else of the shell changes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from .in_terminal import EACH, SECONDS, Account, Terminal

FAILS = {"bash": "(exit 7)", "zsh": "(exit 7)", "fish": "sh -c 'exit 7'"}
STATUS = {"bash": "echo was $?", "zsh": "echo was $?", "fish": "echo was $status"}


def logged(account: Account, terminal: Terminal, count: int) -> list[dict[str, object]]:
    """Press Enter until so many actions are there: what was typed while another was on its way goes with the next."""
    end = time.monotonic() + SECONDS
    while len(found := account.actions()) < count:
        assert time.monotonic() < end, found
        terminal.runs("true")
    return found


@pytest.fixture
def warm(account: Account) -> Account:
    account.kept("daemon", "start")
    account.kept("status")
    return account


@pytest.mark.parametrize("shell", EACH)
def test_a_command_is_logged_with_its_status_its_folder_and_how_long_it_took(warm: Account, shell: str) -> None:
    warm.starts(shell, flags="--log-commands")
    with Terminal(warm, shell) as terminal:
        terminal.prompt()
        terminal.runs(FAILS[shell])
        assert "was 7\n" in terminal.runs(STATUS[shell])
        first, second = logged(warm, terminal, 2)[:2]
    assert first["action"] == FAILS[shell]
    details = first["details"]
    assert isinstance(details, dict)
    assert (details["exit_status"], details["folder"], details["shell"]) == (7, str(warm.folder), True)
    assert details["duration_ms"] >= 0
    assert second["action"] == STATUS[shell]


@pytest.mark.parametrize("shell", EACH)
def test_secrets_commands_of_kept_and_lines_that_begin_with_a_space_stay_out(warm: Account, shell: str) -> None:
    warm.starts(shell, flags="--log-commands --no-banner")
    with Terminal(warm, shell) as terminal:
        terminal.prompt()
        terminal.runs(" echo spaced")
        terminal.runs("kept --version")
        terminal.runs("true mysql -phunter2; true curl -u me:hunter2 x")
        found = logged(warm, terminal, 1)
    assert found[0]["action"] in (
        "true mysql -p[redacted]; true curl -u me:[redacted] x",
        "true mysql -p[redacted] true curl -u me:[redacted] x",
    )
    assert not [each for each in found if "spaced" in str(each) or "--version" in str(each)]
    assert "hunter2" not in "".join(path.read_bytes().decode("latin-1") for path in warm.state.rglob("*.db*"))


@pytest.mark.parametrize("shell", EACH)
def test_without_the_flag_nothing_is_logged(warm: Account, shell: str) -> None:
    warm.starts(shell)
    with Terminal(warm, shell) as terminal:
        terminal.prompt()
        terminal.runs("echo unasked")
        terminal.runs("echo unasked")
    assert warm.actions() == []


@pytest.mark.parametrize("shell", EACH)
def test_what_is_typed_while_the_daemon_hangs_is_logged_once_when_it_answers(warm: Account, shell: str) -> None:
    warm.starts(shell, flags="--log-commands --no-banner")
    with Terminal(warm, shell) as terminal:
        terminal.prompt()
        with warm.stopped():
            for number in range(6):
                assert f"{number}\n" in terminal.runs(f"echo {number}")
            assert len(warm.senders()) <= 1
        found = logged(warm, terminal, 6)
    assert [each["action"] for each in found[:6]] == [f"echo {number}" for number in range(6)]


@pytest.mark.parametrize("shell", EACH)
def test_what_is_typed_while_no_daemon_runs_outlives_its_terminal(warm: Account, shell: str) -> None:
    warm.starts(shell, flags="--log-commands --no-banner")
    warm.kept("daemon", "stop")
    with Terminal(warm, shell) as terminal:
        terminal.prompt()
        terminal.runs("echo late mysql -phunter2")
        while not (found := warm.senders()):
            assert "on\n" in terminal.runs("echo on")
        (sender,) = found
        while os.readlink(f"/proc/{sender}/cwd") != "/":
            assert "on\n" in terminal.runs("echo on")
    assert warm.senders() == [sender]
    assert b"hunter2" not in Path(f"/proc/{sender}/cmdline").read_bytes()
    warm.kept("daemon", "start")
    warm.await_senders()
    assert [each["action"] for each in warm.actions()] == ["echo late mysql -p[redacted]"]


HOOKS = {
    "bash": "trap 'last=$BASH_COMMAND' DEBUG; PROMPT_COMMAND='seen=$?'; PS0='begins\\n'",
    "zsh": "mine() { seen=$? }; precmd_functions=(mine); theirs() { last=$1 }; preexec_functions=(theirs)",
    "fish": "function mine --on-event fish_postexec; set -g seen $status; end",
}


@pytest.mark.parametrize("shell", EACH)
def test_the_users_own_hooks_go_on_and_see_the_status(warm: Account, shell: str) -> None:
    warm.starts(shell, before=HOOKS[shell], flags="--log-commands --no-banner")
    with Terminal(warm, shell) as terminal:
        terminal.prompt()
        terminal.runs(FAILS[shell])
        assert "seen 7\n" in terminal.runs("echo seen $seen")
        if shell != "fish":
            assert "last echo" in terminal.runs("echo last $last")
        assert logged(warm, terminal, 2)[0]["action"] == FAILS[shell]


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_job_in_the_background_stays_the_users_last_one(warm: Account, shell: str) -> None:
    warm.starts(shell, flags="--log-commands --no-banner")
    with Terminal(warm, shell) as terminal:
        terminal.prompt()
        terminal.runs("sleep 100 & mine=$!")
        terminal.runs("true")
        assert "same\n" in terminal.runs("test $! = $mine && echo same")
        jobs = terminal.runs("jobs; kill $mine")
        assert jobs.count("unning") == 1
