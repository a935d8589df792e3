"""A login: many terminals at once, and no daemon yet."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.processes import has_variable

from .in_terminal import EACH, Account, Terminal

TERMINALS = 10


def daemons(account: Account) -> list[int]:
    """The processes that are daemons of this home."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            if words[-2:-1] == [b"keptd"] and has_variable(
                process, f"KEPT_HOME={account.state}".encode(), str(account.state)
            ):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def test_ten_terminals_at_once_start_one_daemon_that_outlives_them(account: Account) -> None:
    available = [str(each.values[0]) for each in EACH if (Path("/usr/bin") / str(each.values[0])).exists()]
    shells = [available[number % len(available)] for number in range(TERMINALS)]
    for shell in available:
        account.starts(shell)
    with ExitStack() as stack:
        for terminal in [stack.enter_context(Terminal(account, shell)) for shell in shells]:
            assert terminal.prompt() == ""
        pid = account.await_daemon()
    account.kept("daemon", "ping")
    assert daemons(account) == [pid]
    assert os.getsid(pid) == pid
    log = (account.state / "keptd.log").read_text()
    assert log.count('"ready"') == 1


@pytest.mark.parametrize("shell", EACH)
def test_the_start_of_the_daemon_is_no_job_of_the_shell_and_can_be_declined(account: Account, shell: str) -> None:
    account.starts(shell, flags="--no-start")
    with Terminal(account, shell) as terminal:
        assert terminal.prompt() == ""
    assert daemons(account) == []
    account.starts(shell)
    with Terminal(account, shell) as terminal:
        assert terminal.prompt() == ""
        assert "running" not in terminal.runs("jobs").lower().replace("jobs", "")
        pid = account.await_daemon()
        os.killpg(terminal.popen.pid, signal.SIGHUP)
    os.kill(pid, 0)
    account.kept("daemon", "ping")
