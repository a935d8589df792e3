"""A terminal with a shell of one job: what a program draws on it becomes lines of text, and what a person does there
can be done by a test. Fails on a sequence that it doesn't know, so that nothing is drawn unseen."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from fcntl import ioctl
from typing import Any, Self

from rich.cells import cell_len

SECONDS = 20
"""A deadline for what ends in milliseconds unless it is broken."""

_SHELL = """
import fcntl, json, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
def tell(**what):
    os.write(int(sys.argv[1]), json.dumps(what).encode() + b"\\n")
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
job = os.fork()
if not job:
    os.setpgid(0, 0)
    if sys.argv[3] == "front":
        os.tcsetpgrp(0, os.getpgrp())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(sys.executable, [sys.executable, *sys.argv[4:]])
tell(pid=job)
if sys.argv[3] != "front":
    os.read(int(sys.argv[2]), 1)
    os.tcsetpgrp(0, job)
while True:
    _, status = os.waitpid(job, os.WUNTRACED)
    os.tcsetpgrp(0, os.getpgrp())
    if not os.WIFSTOPPED(status):
        break
    tell(stopped=True)
    os.read(int(sys.argv[2]), 1)
    os.tcsetpgrp(0, job)
    os.killpg(job, signal.SIGCONT)
tell(code=os.waitstatus_to_exitcode(status))
"""
"""A session of its own, whose job is in a group of its own: only then can it be stopped as in a real one."""

_PART = re.compile(
    r"\x1b\[(?P<given>[?0-9;]*)(?P<what>[A-Za-z])|(?P<text>[^\x1b\r\n]+)|(?P<move>[\r\n])|(?P<keypad>\x1b[=>])|(?P<odd>\x1b)"
)


class Picture:
    """What is on the screen: text by lines, and the modes that were set."""

    def __init__(self, columns: int, lines: int) -> None:
        self.resize(columns, lines)
        self.modes = {25, 7}
        self.seen: set[int] = set()
        """Modes that were set or reset."""
        self.wide: list[str] = []
        """Lines that were wider, and frames that were longer, than the screen, since it was cleared last."""
        self.frames = 0
        self._rest = ""

    @property
    def alternate(self) -> bool:
        return 1049 in self.modes

    def text(self) -> str:
        return "\n".join("".join(line).rstrip() for line in self.lines)

    def resize(self, columns: int, lines: int) -> None:
        self.columns, self.height = columns, lines
        self.lines = [[" "] * columns for _ in range(lines)]
        self.row = self.column = 0

    def take(self, data: str) -> None:
        data = self._rest + data
        found = re.search(r"\x1b(\[[?0-9;]*)?$", data)
        self._rest = data[found.start() :] if found else ""
        for part in _PART.finditer(data[: len(data) - len(self._rest)]):
            if part["odd"]:
                raise AssertionError(f"an unknown sequence: {data[part.start() : part.start() + 20]!r}")
            if part["text"]:
                self._print(part["text"])
            elif part["move"] == "\r":
                self.column = 0
            elif part["move"]:
                self.row += 1
                if self.alternate and self.row >= self.height:
                    self.wide.append("a line too many")
                self.row = min(self.row, self.height - 1)
            elif part["what"]:
                self._obey(part["given"], part["what"])

    def _print(self, text: str) -> None:
        line = self.lines[self.row]
        for letter in text:
            taken = cell_len(letter)
            if self.alternate and self.column + taken > self.columns:
                self.wide.append(text)
                return
            for at in range(taken):
                if self.column < self.columns:
                    line[self.column] = "" if at else letter
                    self.column += 1

    def _obey(self, given: str, what: str) -> None:
        if given.startswith("?") and what in "hl":
            mode = int(given[1:])
            self.seen.add(mode)
            (self.modes.add if what == "h" else self.modes.discard)(mode)
        elif (given, what) == ("", "H"):
            self.row = self.column = 0
            self.frames += 1
        elif (given, what) == ("2", "J"):
            self.wide.clear()
            self.lines = [[" "] * self.columns for _ in range(self.height)]
        elif (given, what) == ("", "K"):
            self.lines[self.row][min(self.column, self.columns - 1) :] = [" "] * max(1, self.columns - self.column)
        else:
            assert what == "m", f"an unknown sequence: {given}{what}"


class Terminal:
    """`with Terminal(words, environ) as terminal`: runs Python with these words in a terminal; in the background with
    `where="back"`."""

    def __init__(
        self, words: Sequence[str], environ: dict[str, str], columns: int = 80, lines: int = 24, where: str = "front"
    ) -> None:
        self.picture = Picture(columns, lines)
        self.raw = b""
        self.ours, self.theirs = pty.openpty()
        self._set_size(columns, lines)
        self.before = self.settings()
        self._told, tell = os.pipe()
        hear, self._say = os.pipe()
        self._shell = subprocess.Popen(
            [sys.executable, "-c", _SHELL, str(tell), str(hear), where, *words],
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            env={"TERM": "xterm", **environ},
            start_new_session=True,
            pass_fds=(tell, hear),
        )
        os.close(tell)
        os.close(hear)
        self._lines = b""
        self._pauses = 0
        self.pid = int(self.tells("pid"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shell.poll() is None:
            for pid in (self.pid, self._shell.pid):
                try:
                    os.kill(pid, 9)
                except ProcessLookupError:
                    continue
        self._shell.wait(SECONDS)
        for descriptor in (self.ours, self.theirs, self._told, self._say):
            os.close(descriptor)

    def settings(self) -> list[Any]:
        """The terminal's modes."""
        return termios.tcgetattr(self.theirs)

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.ours, keys)

    def signal(self, number: int) -> None:
        """Send a signal to the program."""
        os.kill(self.pid, number)

    def go_on(self) -> None:
        """`fg` in the shell."""
        os.write(self._say, b"\n")

    def pause(self) -> None:
        """Wait for something to be drawn, not for long; fails after many times."""
        self._pauses += 1
        assert self._pauses < SECONDS * 100, "it never came"
        if select.select([self.ours], [], [], 0.01)[0]:
            self._take_in()

    def quiet(self) -> None:
        """Wait until nothing has been drawn for several times the shortest interval."""
        while select.select([self.ours], [], [], 1.0)[0]:
            self._take_in()

    def resize(self, columns: int, lines: int) -> None:
        """Drag the corner of the window."""
        self.picture.resize(columns, lines)
        self._set_size(columns, lines)

    def until(self, what: str, condition: Callable[[Picture], bool]) -> Picture:
        """Take in what is drawn until the condition holds."""
        end = time.monotonic() + SECONDS
        while not condition(self.picture):
            ready = select.select([self.ours], [], [], max(0.0, end - time.monotonic()))[0]
            assert ready, f"{what} never came:\n{self.picture.text()}"
            self._take_in()
        return self.picture

    def shows(self, text: str) -> Picture:
        """Wait until the text is on the screen."""
        return self.until(text, lambda picture: picture.alternate and text in picture.text())

    def tells(self, what: str) -> Any:
        """What the shell says next, which has to be this; what is drawn meanwhile is taken in."""
        end = time.monotonic() + SECONDS
        while b"\n" not in self._lines:
            ready, _, _ = select.select([self._told, self.ours], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"the shell never said {what}:\n{self.picture.text()}"
            if self.ours in ready:
                self._take_in()
            if self._told in ready:
                self._lines += os.read(self._told, 1000)
        line, _, self._lines = self._lines.partition(b"\n")
        while select.select([self.ours], [], [], 0)[0]:
            self._take_in()
        return json.loads(line)[what]

    def _take_in(self) -> None:
        data = os.read(self.ours, 65_536)
        self.raw += data
        self.picture.take(data.decode("utf-8", "ignore"))

    def _set_size(self, columns: int, lines: int) -> None:
        ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
