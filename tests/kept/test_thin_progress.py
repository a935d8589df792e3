"""The line that the thin script draws while the daemon works, on a real terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import ioctl
from threading import Event
from typing import Any

import pytest
from rich.cells import cell_len

from kept.version import VERSION

from .test_progress import HOSTILE
from .thin import SCRIPT, SECONDS, Run, Start, result

COLUMNS = 50
ERASED = "\r\x1b[K"


def progress(**params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "method": "$/progress", "params": {"id": 1, **params}}).encode() + b"\n"


COPYING = progress(done=4, total=8, text="copying")


class Shown:
    """What came on a terminal that standard error goes to."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.text = ""

    def until(self, words: str) -> None:
        """Read until it has been written, or the terminal has been closed."""
        while words not in self.text:
            try:
                part = os.read(self._descriptor, 65_536)
            except OSError:
                return
            self.text += part.decode()

    @property
    def frames(self) -> list[str]:
        """What was drawn, one over the other."""
        assert self.text.startswith(ERASED)
        return self.text.split(ERASED)[1:]


@contextmanager
def terminal(
    environment: dict[str, str], *argv: str, columns: int = COLUMNS
) -> Iterator[tuple[subprocess.Popen[bytes], Shown]]:
    """The script with its standard error on a terminal."""
    main, child = pty.openpty()
    try:
        ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        script = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, *argv],
            env={"TERM": "xterm", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=child,
        )
        os.close(child)
        with script:
            yield script, Shown(main)
    finally:
        os.close(main)


def sends(*lines: bytes) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        for one in lines:
            connection.sendall(one)

    return answer


def test_what_the_daemon_notifies_of_before_its_answer_is_not_taken_for_one(start: Start, run: Run) -> None:
    going = json.dumps({"jsonrpc": "2.0", "method": "$/goingAway", "params": {"restarts": True}}).encode() + b"\n"
    start(sends(going, result(0, "the answer\n")))
    done = run("memory", "get", "k")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"the answer\n", b"")


def test_long_work_is_drawn_as_one_line_that_is_gone_in_the_end(start: Start, environment: dict[str, str]) -> None:
    server = start(sends(COPYING, progress(text="checking"), result(3, "done\n")))
    with terminal(environment, "backup", "create") as (script, shown):
        out, _ = script.communicate(timeout=SECONDS)
        shown.until("never")
    assert (script.returncode, out) == (3, b"done\n")
    assert server.params == {"argv": ["backup", "create"], "progress": True, "version": VERSION}
    assert [frame.split("  ")[0] for frame in shown.frames] == ["copying", "checking", ""]
    assert "50 %" in shown.frames[0]
    assert "\n" not in shown.text


@pytest.mark.parametrize(
    ("columns", "drawn"), [(40, "copying  [=========>         ]   50 %"), (20, "copying   50 %"), (8, "50 %")]
)
def test_a_narrow_terminal_never_wraps_it(start: Start, environment: dict[str, str], columns: int, drawn: str) -> None:
    start(sends(COPYING, result(0, "done\n")))
    with terminal(environment, "backup", "create", columns=columns) as (script, shown):
        script.communicate(timeout=SECONDS)
        shown.until("never")
    assert shown.frames[-1] == ""
    assert all(cell_len(frame) <= columns - 3 for frame in shown.frames)
    assert shown.frames[0] == drawn


@pytest.mark.parametrize(
    ("argv", "more"), [(["status", "--json"], {}), (["status"], {"TERM": "dumb"}), (["status"], {"TERM": ""})]
)
def test_programs_and_dumb_terminals_are_not_asked_for(
    start: Start, environment: dict[str, str], argv: list[str], more: dict[str, str]
) -> None:
    server = start(result(0, "done\n"))
    with terminal({**environment, "TERM": "xterm", **more}, *argv) as (script, _):
        script.communicate(timeout=SECONDS)
    assert server.params == {"argv": argv}


def test_where_standard_error_is_no_terminal_nothing_is_drawn(start: Start, run: Run) -> None:
    server = start(result(0, "done\n"))
    assert run("status").stderr == b""
    assert "progress" not in server.params


def test_ctrl_c_leaves_a_clean_line_and_ends_the_connection(start: Start, environment: dict[str, str]) -> None:
    ended = Event()

    def answer(connection: socket.socket) -> None:
        connection.sendall(COPYING)
        if not connection.recv(1000):
            ended.set()

    start(answer)
    with terminal(environment, "backup", "create") as (script, shown):
        shown.until("%")
        script.send_signal(signal.SIGINT)
        out, _ = script.communicate(timeout=SECONDS)
        shown.until("never")
    assert (script.returncode, out) == (130, b"")
    assert shown.frames[-1] == ""
    assert "\n" not in shown.text
    assert ended.wait(SECONDS)


def test_a_refusal_is_told_on_a_clean_line(start: Start, environment: dict[str, str]) -> None:
    start(sends(COPYING, b"no answer of kept's\n"))
    with terminal(environment, "backup", "create") as (script, shown):
        script.communicate(timeout=SECONDS)
        shown.until("never")
    assert script.returncode == 69
    assert shown.frames[1].startswith("kept: what listens on the socket")


def test_absurd_progress_harms_no_terminal(start: Start, environment: dict[str, str]) -> None:
    absurd = [
        progress(done=-5, total=10**300, text="\x1b]0;owned\x07\x9b31m\u202e\r\nnext"),
        progress(done=10**300, total=1, text="漢字" * 1000),
        progress(done=True, total=2.5, text="x"),
        progress(text="e\u0301\u200d"),
    ]
    strange = [
        json.dumps({"jsonrpc": "2.0", "method": "$/progress", "params": params}).encode() + b"\n" for params in HOSTILE
    ]
    start(sends(*absurd, *strange, b'{"jsonrpc":"2.0","method":"$/progress"}\n', result(0, "done\n")))
    with terminal(environment, "backup", "create") as (script, shown):
        out, _ = script.communicate(timeout=SECONDS)
        shown.until("never")
    assert (script.returncode, out) == (0, b"done\n")
    assert len(shown.frames) > 3
    for frame in shown.frames:
        assert not re.search(r"[^ -~]", frame)
        assert cell_len(frame) < COLUMNS
    assert shown.frames[-1] == ""
