"""`kept daemon logs` of a log file: the end of it, and what comes, whatever becomes of the file meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from tests.harness import PATIENCE

from .test_process import environment, kept

COMMAND = "from kept.cli import logs; from kept.__main__ import main; logs._LOOK_SECONDS = 0.01; main()"


@pytest.fixture
def log(home: Path) -> Path:
    return home / "keptd.log"


@contextmanager
def following(home: Path, *argv: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    command = [sys.executable, "-c", COMMAND, "daemon", "logs", "-f", *argv]
    with subprocess.Popen(
        command, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout
        finally:
            process.kill()


def add(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


def test_following_goes_on_through_a_rotation_a_removal_and_a_file_that_is_emptied(home: Path, log: Path) -> None:
    log.write_text("one\ntwo\nthr")
    with following(home, "-n", "1") as (_, shown):
        assert shown.readline() == "two\n"
        add(log, "ee\n")
        assert shown.readline() == "three\n"
        with log.open("a") as before:
            log.replace(home / "keptd.log.1")
            before.write("last of the old\n")
            before.flush()
            # Longer than the one before, so that its size alone tells nothing.
            log.write_text("first of the new" + "w" * 100 + "\n")
            assert shown.readline() == "last of the old\n"
        assert shown.readline().startswith("first of the new")
        log.unlink()
        log.write_text("after a removal\n")
        assert shown.readline() == "after a removal\n"
        log.write_text("emptied\n")
        assert shown.readline() == "emptied\n"


def test_ctrl_c_ends_it_without_a_word(home: Path, log: Path) -> None:
    log.write_text("one\n")
    with following(home) as (process, shown):
        assert shown.readline() == "one\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_only_the_lines_asked_for_are_shown_and_none_is_cut(home: Path, log: Path) -> None:
    log.write_text("".join(f"{number} {'x' * 1500}\n" for number in range(2000)) + "no end")
    shown = kept(home, "daemon", "logs", "-n", "3").stdout.splitlines()
    assert [line[:6] for line in shown] == ["1997 x", "1998 x", "1999 x", "no end"][1:]
    assert kept(home, "daemon", "logs", "-n", "0").stdout == ""


def test_what_is_no_log_is_refused_and_never_waited_for(home: Path, log: Path) -> None:
    os.mkfifo(log)
    refused = kept(home, "daemon", "logs", "-f")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "it is no regular file" in refused.stderr
    log.unlink()
    log.symlink_to("/etc/passwd")
    assert kept(home, "daemon", "logs").stdout == ""
    log.unlink()
    assert "has written no log yet" in kept(home, "daemon", "logs", "-f").stderr
