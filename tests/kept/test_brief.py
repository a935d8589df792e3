"""What a shell asks by itself: over within its bound, and silent. What it sends is `shells/test_sender.py`'s."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from threading import Event

import pytest

from kept.brief import answer

from .thin import SECONDS, Run, Start, result

SILENT = (0, b"", b"")
COMMANDS = [("shell-banner",), ("complete", "--", "memory")]


@pytest.mark.parametrize("words", COMMANDS)
def test_an_answer_is_printed(start: Start, run: Run, words: tuple[str, ...]) -> None:
    server = start(result(0, "told\n"))
    done = run(*words, stdin=b"typed ahead")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"told\n", b"")
    assert "stdin" not in server.params


@pytest.mark.parametrize("words", COMMANDS)
def test_a_daemon_that_never_answers_is_left_while_it_still_hangs(
    start: Start, run: Run, words: tuple[str, ...]
) -> None:
    release = Event()
    server = start(lambda connection: (release.wait(SECONDS), None)[1])
    done = run(*words, stdin=b"")
    assert (done.returncode, done.stdout, done.stderr) == SILENT
    assert server.asked.is_set()
    assert not release.is_set()
    release.set()


def test_a_daemon_that_answers_a_byte_at_a_time_is_left_as_well() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b'{"jsonrpc"')
        assert answer(ours, b"request\n", 0.01) is None


@pytest.mark.parametrize("words", COMMANDS)
@pytest.mark.parametrize("reply", [b"nonsense\n", b"[]\n", result(1, "out", "err"), b"", b'{"id":1,"error":{}}\n'])
def test_whatever_else_is_answered_is_no_word(start: Start, run: Run, words: tuple[str, ...], reply: bytes) -> None:
    start(reply)
    done = run(*words, stdin=b"")
    assert (done.returncode, done.stdout, done.stderr) == SILENT


def test_what_a_shell_says_is_bounded_and_text(start: Start, run: Run) -> None:
    server = start(result())
    for stdin in (b"x" * 100_000, b"\xff"):
        done = run("shell-log", stdin=stdin)
        assert (done.returncode, done.stdout, done.stderr) == SILENT
    assert not any(json.loads(line) for line in server.received)


def test_without_a_daemon_only_completion_goes_on_here(run: Run, tmp_path: Path) -> None:
    assert run("complete", "--", "memory").stdout == b"local complete -- memory"
    done = run("shell-banner", "--no-start")
    assert (done.returncode, done.stdout, done.stderr) == SILENT
    assert list(tmp_path.iterdir()) == []
