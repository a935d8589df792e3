"""A command that is lent secrets, in a terminal."""

from __future__ import annotations

import re
import signal
import sys
import termios
from pathlib import Path

import pytest

from tests.kept.cli.terminal import Picture, Terminal

from .lent import environ, words

SIZE = "import os, sys; print(sys.stdin.isatty(), sys.stdout.isatty(), sys.stderr.isatty(), *os.get_terminal_size())"


def wait(terminal: Terminal, text: str) -> Picture:
    return terminal.until(text, lambda picture: text in picture.text())


def test_the_command_has_a_terminal_of_the_same_size() -> None:
    with Terminal(words(sys.executable, "-c", SIZE), environ(), columns=70, lines=20) as terminal:
        assert terminal.tells("code") == 0
        assert "True True True 70 20" in terminal.picture.text()
        assert terminal.settings() == terminal.before


def test_what_is_typed_is_the_commands_and_a_secret_is_not_shown() -> None:
    script = 'printf "name? "; read name; echo "$name has $TOKEN"; echo "$TOKEN" >&2'
    with Terminal(words("sh", "-c", script), environ()) as terminal:
        wait(terminal, "name?")
        terminal.type(b"somebody\r")
        assert terminal.tells("code") == 0
        assert "somebody has [vault:n]" in terminal.picture.text()
        assert b"Zx81" not in terminal.raw


def test_ctrl_c_is_the_commands_and_the_terminal_is_given_back() -> None:
    with Terminal(words("sh", "-c", "echo ready; exec cat"), environ()) as terminal:
        wait(terminal, "ready")
        terminal.type(b"\x03")
        assert terminal.tells("code") == 130
        assert terminal.settings() == terminal.before


def test_ctrl_d_ends_the_commands_input() -> None:
    with Terminal(words("sh", "-c", "echo ready; cat; echo over"), environ()) as terminal:
        wait(terminal, "ready")
        terminal.type(b"\x04")
        assert terminal.tells("code") == 0
        assert "over" in terminal.picture.text()


RESIZED = """
import os, signal
def told(*_):
    os.write(1, b"%d %d\\n" % os.get_terminal_size())
    os._exit(0)
signal.signal(signal.SIGWINCH, told)
print("ready", flush=True)
signal.pause()
"""


def test_the_command_learns_of_another_size() -> None:
    with Terminal(words(sys.executable, "-c", RESIZED), environ()) as terminal:
        wait(terminal, "ready")
        terminal.resize(60, 10)
        assert terminal.tells("code") == 0
        assert "60 10" in terminal.picture.text()


def test_without_a_terminal_of_its_own_the_command_writes_into_a_pipe() -> None:
    with Terminal(words("sh", "-c", "test -t 0 && ! test -t 1 && echo $TOKEN"), environ(terminal=False)) as terminal:
        assert terminal.tells("code") == 0
        assert "[vault:n]" in terminal.picture.text()


def test_ctrl_c_reaches_a_command_without_a_terminal_of_its_own_once() -> None:
    script = "import signal, sys\n"
    script += "seen = []\nsignal.signal(2, lambda *_: seen.append(1))\nprint('ready', flush=True)\n"
    script += "sys.stdin.readline()\nprint('seen', len(seen))\n"
    with Terminal(words(sys.executable, "-c", script), environ(terminal=False)) as terminal:
        wait(terminal, "ready")
        terminal.type(b"\x03")
        wait(terminal, "^C")
        terminal.type(b"go on\r")
        assert terminal.tells("code") == 0
        assert "seen 1" in terminal.picture.text()


STOPPED = """
import os, sys
print("ready", os.getpid(), flush=True)
for line in sys.stdin:
    print("got", line.strip(), *os.get_terminal_size(), flush=True)
"""
"""Says who it is, and then what it is told, and how large its window is."""


def state_of(pid: int) -> str:
    """The letter that stands for what a process does (proc(5))."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def awaited(terminal: Terminal, pid: int, wanted: str) -> None:
    """Wait until a process is in a state."""
    while state_of(pid) not in wanted:
        terminal.pause()


def ready(terminal: Terminal) -> int:
    """The command's pid, once it runs."""
    terminal.until("its pid", lambda _: re.search(rb"ready \d+\r\n", terminal.raw) is not None)
    return int(terminal.raw.split(b"ready ")[1].split()[0])


def test_a_stop_from_outside_gives_the_terminal_back_and_stops_the_command_until_both_go_on() -> None:
    with Terminal(words(sys.executable, "-c", STOPPED), environ()) as terminal:
        command = ready(terminal)
        during = terminal.settings()
        assert during != terminal.before
        for time in ("first", "second"):
            terminal.signal(signal.SIGTSTP)
            assert terminal.tells("stopped")
            assert terminal.settings() == terminal.before
            awaited(terminal, command, "T")
            terminal.resize(60, 10)
            terminal.go_on()
            awaited(terminal, command, "SR")
            assert terminal.settings() == during
            terminal.type(time.encode() + b"\r")
            wait(terminal, f"got {time} 60 10")
        terminal.type(b"\x04")
        assert terminal.tells("code") == 0
        assert terminal.settings() == terminal.before


def test_ctrl_z_stops_the_command_and_gives_the_terminal_back() -> None:
    with Terminal(words(sys.executable, "-c", STOPPED), environ()) as terminal:
        command = ready(terminal)
        terminal.type(b"\x1a")
        assert terminal.tells("stopped")
        assert terminal.settings() == terminal.before
        awaited(terminal, command, "T")
        terminal.go_on()
        awaited(terminal, command, "SR")
        terminal.type(b"again\r")
        wait(terminal, "got again")
        terminal.type(b"\x04")
        assert terminal.tells("code") == 0


AS_A_SCRIPT = """
import subprocess, sys
sys.exit(subprocess.run([sys.executable, *sys.argv[1:]]).returncode)
"""


def test_ctrl_z_stops_the_script_that_waits_for_it_too() -> None:
    with Terminal(["-c", AS_A_SCRIPT, *words(sys.executable, "-c", STOPPED)], environ()) as terminal:
        command = ready(terminal)
        for time in ("first", "second"):
            terminal.type(b"\x1a")
            assert terminal.tells("stopped")
            assert terminal.settings() == terminal.before
            awaited(terminal, command, "T")
            terminal.go_on()
            awaited(terminal, command, "SR")
            terminal.type(time.encode() + b"\r")
            wait(terminal, f"got {time}")
        terminal.type(b"\x04")
        assert terminal.tells("code") == 0


@pytest.mark.parametrize("does", ["signal.SIG_IGN", "lambda *_: os.write(1, b'caught\\n')"])
def test_a_command_that_wants_ctrl_z_for_itself_is_not_stopped_by_it(does: str) -> None:
    script = f"import os, signal; signal.signal(signal.SIGTSTP, {does})\n{STOPPED}"
    with Terminal(words(sys.executable, "-c", script), environ()) as terminal:
        ready(terminal)
        terminal.type(b"\x1a")
        wait(terminal, "caught" if "caught" in does else "^Z")
        terminal.type(b"still here\r")
        wait(terminal, "got still here")
        terminal.type(b"\x04")
        assert terminal.tells("code") == 0


def test_ctrl_z_in_a_shell_in_there_is_the_shells() -> None:
    with Terminal(words("bash", "--norc", "-i"), {**environ(), "PS1": "sh> ", "INPUTRC": "/dev/null"}) as terminal:
        wait(terminal, "sh>")
        terminal.type(f"bind 'set enable-bracketed-paste off'; {sys.executable} -c '{STOPPED}'\r".encode())
        ready(terminal)
        terminal.type(b"\x1a")
        wait(terminal, "Stopped")
        terminal.type(b"exit 0; exit 0\r")
        assert terminal.tells("code") == 0


def test_what_runs_in_front_of_a_shell_in_there_is_stopped_with_it() -> None:
    with Terminal(words("bash", "--norc", "-ic", f"{sys.executable} -c '{STOPPED}'; echo over"), environ()) as terminal:
        command = ready(terminal)
        terminal.signal(signal.SIGTSTP)
        assert terminal.tells("stopped")
        awaited(terminal, command, "T")
        terminal.go_on()
        awaited(terminal, command, "SR")
        terminal.type(b"again\r")
        wait(terminal, "got again")
        terminal.type(b"\x04")
        assert terminal.tells("code") == 0


def test_after_a_stop_that_cant_be_caught_the_terminal_is_taken_again() -> None:
    with Terminal(words(sys.executable, "-c", STOPPED), environ()) as terminal:
        ready(terminal)
        during = terminal.settings()
        terminal.signal(signal.SIGSTOP)
        assert terminal.tells("stopped")
        termios.tcsetattr(terminal.theirs, termios.TCSANOW, terminal.before)
        terminal.go_on()
        while terminal.settings() != during:
            terminal.pause()
        terminal.type(b"\x04")
        assert terminal.tells("code") == 0
