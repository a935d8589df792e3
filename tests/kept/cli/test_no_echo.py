"""A line that is typed at a terminal is shown nowhere, and the terminal is as it was whatever ends the question."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .terminal import Picture, Terminal

ASK = """
import os, sys
from kept.cli.secret_input import secret
from kept.cli.surface import Asked, UsageError
null = os.open(os.devnull, os.O_RDWR)
os.dup2(null, 0)
try:
    told = secret(Asked("Password: ", "--password-fd", "the ways", sys.argv[1:] == ["new"]), {})
except UsageError as refusal:
    print("refused:", refusal.message)
    sys.exit(2)
except KeyboardInterrupt:
    sys.exit(130)
print("taken", len(told), sum(map(ord, told)))
"""
"""Its standard input is no terminal, which changes nothing."""

ENVIRON = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
CANARY = b"canary-Zx81"


def asked(*words: str) -> Terminal:
    return Terminal(["-c", ASK, *words], ENVIRON)


def wait(terminal: Terminal, text: str) -> None:
    terminal.until(text, lambda picture: text in picture.text())


def test_nothing_of_what_is_typed_is_shown() -> None:
    with asked() as terminal:
        wait(terminal, "Password:")
        terminal.type(CANARY + b"\r")
        assert terminal.tells("code") == 0
        assert f"taken {len(CANARY)} {sum(CANARY)}" in terminal.picture.text()
        assert terminal.raw.startswith(b"Password: \r\ntaken")
        assert terminal.settings() == terminal.before


def test_a_line_can_be_mended_and_its_letters_are_utf_8() -> None:
    with asked() as terminal:
        wait(terminal, "Password:")
        terminal.type(b"wrong\x15\xc3\xbcx\x7f\r")
        assert terminal.tells("code") == 0
        assert f"taken 1 {ord('ü')}" in terminal.picture.text()


@pytest.mark.parametrize("key", [b"\x03", b"canary\x03"])
def test_ctrl_c_leaves_the_terminal_as_it_was(key: bytes) -> None:
    with asked() as terminal:
        wait(terminal, "Password:")
        terminal.type(key)
        assert terminal.tells("code") == 130
        assert terminal.settings() == terminal.before
        assert b"canary" not in terminal.raw


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_that_ends_it_leaves_the_terminal_as_it_was(number: signal.Signals) -> None:
    with asked() as terminal:
        wait(terminal, "Password:")
        terminal.signal(number)
        assert terminal.tells("code") == -number
        assert terminal.settings() == terminal.before


def test_ctrl_z_gives_the_terminal_back_and_the_question_comes_again() -> None:
    with asked() as terminal:
        wait(terminal, "Password:")
        terminal.type(b"canary\x1a")
        assert terminal.tells("stopped")
        assert terminal.settings() == terminal.before
        terminal.go_on()
        terminal.until("the question", lambda picture: picture.text().count("Password:") == 2)
        terminal.type(b"abc\r")
        assert terminal.tells("code") == 0
        assert "taken 3 " in terminal.picture.text()
        assert terminal.settings() == terminal.before
        assert b"canary" not in terminal.raw


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (b"\x04", "nothing was typed"),
        (b"one\ntwo\nthree\n", "more than one line"),
        (b"x" * 4200 + b"\r", "takes no line of"),
    ],
)
def test_what_cannot_be_taken_whole_is_refused_and_nothing_of_it_is_left_for_the_shell(typed: bytes, told: str) -> None:
    with asked() as terminal:
        wait(terminal, "Password:")
        terminal.type(typed)
        assert terminal.tells("code") == 2
        assert told in terminal.picture.text()
        assert terminal.settings() == terminal.before


def _with_questions(count: int) -> Callable[[Picture], bool]:
    return lambda picture: picture.text().count(":") == count


def test_a_new_password_is_typed_twice() -> None:
    with asked("new") as terminal:
        wait(terminal, "Password:")
        for word in (b"first", b"other", b"first"):
            questions = terminal.picture.text().count(":")
            terminal.type(word + b"\r")
            terminal.until("the next", _with_questions(questions + 1))
        terminal.type(b"first\r")
        assert terminal.tells("code") == 0
        assert "taken 5" in terminal.picture.text()
        assert b"first" not in terminal.raw


@pytest.mark.parametrize(("hangup", "code"), [("SIG_DFL", -signal.SIGHUP), ("SIG_IGN", 2)])
def test_a_terminal_that_goes_ends_the_question_and_is_no_fault(hangup: str, code: int, tmp_path: Path) -> None:
    script = f"import os, signal; signal.signal(signal.SIGHUP, signal.{hangup})\n"
    pid, ours = pty.fork()
    if not pid:
        told = os.open(tmp_path / "told", os.O_WRONLY | os.O_CREAT)
        os.dup2(0, 9)  # A terminal that nobody has open is gone already.
        for number in (1, 2):
            os.dup2(told, number)
        os.execve(sys.executable, [sys.executable, "-c", script + ASK], ENVIRON)
    said = b""
    while b"Password:" not in said:
        said += os.read(ours, 1024)
    os.close(ours)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == code
    assert "Traceback" not in (tmp_path / "told").read_text()


def test_who_typed_it_differently_is_told_so() -> None:
    with asked("new") as terminal:
        wait(terminal, "Password:")
        terminal.type(b"first\r")
        wait(terminal, "The same once more:")
        terminal.type(b"other\r")
        wait(terminal, "That was not the same. Password:")
        terminal.type(b"\x03")
        assert terminal.tells("code") == 130


def test_without_a_terminal_the_ways_are_told() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        env=ENVIRON,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "refused: there is no terminal at which to ask for it\n")
