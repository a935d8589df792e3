"""Tab, as a person presses it."""

from __future__ import annotations

import pytest

from .in_terminal import EACH, Account, Terminal

SYSTEMS = [pytest.param(each.values[0], "", id=str(each.values[0]), marks=each.marks) for each in EACH]
SYSTEMS.append(
    pytest.param("zsh", "autoload -Uz compinit && compinit -i -D", id="zsh with compinit", marks=EACH[1].marks)
)


@pytest.mark.parametrize(("shell", "before"), SYSTEMS)
def test_a_method_and_an_id_are_completed(account: Account, shell: str, before: str) -> None:
    number = account.kept("session", "new", "move the API").strip().splitlines()[0]
    account.kept("status")
    account.starts(shell, before=before, flags="--no-banner")
    with Terminal(account, shell) as terminal:
        terminal.prompt()
        terminal.types("kept session sho\t")
        terminal.until("show")
        terminal.types(f"{number[:4]}\t")
        terminal.until(number[4:])
        terminal.types("--json\r")
        assert '"move the API"' in terminal.prompt()


@pytest.mark.parametrize("shell", ["fish"])
def test_what_a_candidate_is_stands_beside_it(account: Account, shell: str) -> None:
    account.kept("daemon", "start")
    account.kept("status")
    account.starts(shell, flags="--no-banner")
    with Terminal(account, shell) as terminal:
        terminal.prompt()
        terminal.types("kept daemon \t\t")
        terminal.until("Start the daemon")
