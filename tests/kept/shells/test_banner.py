"""What a new terminal shows, and where nothing is shown."""

from __future__ import annotations

import subprocess

import pytest

from .in_terminal import EACH, SECONDS, Account, Terminal

STATUS = {"bash": "$?", "zsh": "$?", "fish": "$status"}
AGAIN = {"bash": "exec bash -i", "zsh": "exec zsh -d -i", "fish": "exec fish -i"}


@pytest.fixture
def informed(account: Account) -> Account:
    """With a daemon that has something to say."""
    account.knows("use SQLite")
    return account


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
    file = next(path for path in informed.folder.rglob("*") if path.name in {".bashrc", ".zshrc", "config.fish"})
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
