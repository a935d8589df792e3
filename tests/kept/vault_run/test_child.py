"""Which signals are passed on to a command that is lent secrets."""

from __future__ import annotations

import signal

import pytest

from kept.vault_run.child import Child

FROM_A_TERMINAL = 0x80
FROM_A_PROCESS = 0
FROM_A_THREAD = -6


@pytest.mark.parametrize(
    ("apart", "number", "sender", "sent"),
    [
        (False, signal.SIGINT, FROM_A_PROCESS, True),
        (False, signal.SIGINT, FROM_A_THREAD, True),
        (False, signal.SIGINT, FROM_A_TERMINAL, False),
        (True, signal.SIGHUP, FROM_A_TERMINAL, True),
        (True, signal.SIGTERM, FROM_A_PROCESS, True),
        (False, signal.SIGCHLD, FROM_A_PROCESS, False),
        (False, signal.SIGWINCH, FROM_A_PROCESS, False),
    ],
)
def test_what_a_terminal_sent_to_both_is_not_sent_again(
    monkeypatch: pytest.MonkeyPatch, apart: bool, number: int, sender: int, sent: bool
) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr("os.kill", lambda pid, sent: killed.append((pid, sent)))
    child = Child(42, 0, apart=apart)
    told = signal.struct_siginfo((number, sender, 0, 1, 1, 0, 0))
    child.pass_on(told)
    assert killed == ([(42, number)] if sent else [])
    child.code = 0
    child.pass_on(told)
    assert len(killed) == sent


def test_a_command_that_has_gone_is_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_pid: int, _number: int) -> None:
        raise ProcessLookupError

    monkeypatch.setattr("os.kill", gone)
    Child(42, 0, apart=True).pass_on(signal.struct_siginfo((signal.SIGTERM, 0, 0, 1, 1, 0, 0)))
