"""`kept top` on a terminal, and without one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import kept
from kept.client import Client
from kept.wire.daemon import Clients, Status, Stop
from kept.wire.memory import SetMemory
from tests.harness import Process
from tests.places import HOMES

from .terminal import SECONDS, Terminal
from .test_process import environment
from .test_process import kept as command_line

TOP = ["-m", "kept", "top", "--interval", "0.2"]


@pytest.fixture(scope="module")
def daemon() -> Iterator[Process]:
    """For all who only look."""
    with tempfile.TemporaryDirectory(prefix="kept-", dir=HOMES) as folder, Process(Path(folder)) as process:
        yield process


@pytest.fixture
def fresh(home: Path) -> Iterator[Process]:
    """One that nobody has used, and that may be stopped."""
    with Process(home) as process:
        yield process


def terminal(daemon: Process, words: list[str] = TOP, columns: int = 80, lines: int = 24, **more: str) -> Terminal:
    return Terminal(words, {**environment(Path(daemon.paths.data_dir)), **more}, columns, lines)


def client(daemon: Process, name: str) -> Client:
    return kept.connect(name, environ={"KEPT_HOME": daemon.paths.data_dir}, start=False)


def given_back(here: Terminal) -> bool:
    """Whether the terminal is as it was: its settings, the screen, the cursor, the wrapping of lines."""
    picture = here.picture
    assert picture.seen == {1049, 25, 7}
    return here.settings() == here.before and picture.modes == {25, 7}


@pytest.mark.parametrize(
    ("end", "code"),
    [(b"q", 0), (b"\x03", 130), (signal.SIGINT, 130), (signal.SIGTERM, -15), (signal.SIGHUP, -1)],
    ids=["q", "Ctrl-C", "SIGINT", "SIGTERM", "SIGHUP"],
)
def test_however_it_ends_the_terminal_is_as_it_was(daemon: Process, end: bytes | signal.Signals, code: int) -> None:
    with terminal(daemon) as here:
        picture = here.shows("kept top")
        assert picture.modes == {1049}
        assert here.settings() != here.before
        if isinstance(end, bytes):
            here.type(end)
        else:
            here.signal(end)
        assert here.tells("code") == code
        assert given_back(here)
        assert b"Traceback" not in here.raw


def test_a_fault_gives_the_terminal_back_as_well(daemon: Process) -> None:
    script = (
        "import sys, kept.cli.live as live; from kept.cli import main; draw = live.draw\n"
        "def fail(before, *rest):\n    if before: raise ZeroDivisionError\n    return draw(before, *rest)\n"
        "live.draw = fail; sys.exit(main(['top', '--interval', '0.2']))"
    )
    with terminal(daemon, ["-c", script]) as here:
        assert here.tells("code") == 1
        assert given_back(here)
        assert b"ZeroDivisionError" in here.raw[here.raw.index(b"\x1b[?1049l") :]


def test_keys_that_send_several_characters_end_nothing(daemon: Process) -> None:
    with terminal(daemon) as here:
        here.shows("kept top")
        here.type(b"\x1b[A\x1bOq\x1b[1;5q?")
        here.shows("Rates are those since")
        here.type(b"h")
        here.until("the view", lambda picture: "CLIENT" in picture.text())


def test_the_view_goes_on_and_tells_what_clients_do(fresh: Process) -> None:
    with client(fresh, "an editor") as editor, terminal(fresh) as here:
        here.shows("an editor")
        for number in range(20):
            editor.call(SetMemory(key=f"k{number}", value=number))
        picture = here.shows("change 20")
        here.shows("memory.set")
        assert picture.wide == []


def test_it_is_one_client_and_says_who_it_is(fresh: Process) -> None:
    """The script's own connection has ended by then."""
    with client(fresh, "tester") as tester, terminal(fresh) as here:
        here.shows("kept top")
        assert [each.client for each in tester.call(Clients()).items] == ["tester", "kept top"]


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_no_line_is_wider_than_the_terminal_whatever_a_client_is_called(daemon: Process, columns: int) -> None:
    with client(daemon, "漢字\u202e" * 60) as _, terminal(daemon, columns=columns, lines=40) as here:
        picture = here.until("frames", lambda picture: picture.frames > 3)
        assert picture.wide == []
        assert "漢字\ufffd" in picture.text().replace(" ", "")
        assert "\u202e" not in picture.text()


def test_a_new_size_is_taken_at_once(daemon: Process) -> None:
    with terminal(daemon, [*TOP[:-1], "60"]) as here:
        here.shows("every 60 s")
        for columns, lines in ((40, 10), (132, 43), (20, 5), (3, 1), (80, 24)):
            here.resize(columns, lines)
            here.picture.frames = 0
            picture = here.until("a frame", lambda picture: picture.frames > 0)
            here.until("its end", lambda picture: picture.text().strip() != "")
            assert picture.wide == []
        here.shows("every 60 s")


def test_space_holds_the_view_still(fresh: Process) -> None:
    with client(fresh, "writer") as writer, terminal(fresh) as here:
        here.shows("kept top")
        here.type(b" ")
        here.shows("held still")
        writer.call(SetMemory(key="k", value=1))
        here.type(b"??")
        frames = here.picture.frames
        here.type(b"?")
        here.until("another frame", lambda picture: picture.frames > frames)
        here.type(b"?")
        assert "change 1 " not in here.shows("held still").text()
        here.type(b" ")
        here.shows("change 1 ")


def test_a_daemon_that_ends_is_waited_for_and_none_is_started(home: Path) -> None:
    with Process(home) as first, terminal(first) as here:
        here.shows(f"pid {first.popen.pid}")
        with client(first, "stopper") as stopper:
            stopper.call(Stop())
        first.popen.wait(SECONDS)
        picture = here.shows("waiting for the daemon")
        frames = picture.frames
        here.until("two more looks", lambda picture: picture.frames > frames + 3)
        assert not Path(first.paths.socket).exists()
        assert f"pid {first.popen.pid}" in picture.text()
        with Process(home) as second:
            here.shows(f"pid {second.popen.pid}")
            here.until("no more waiting", lambda picture: "waiting for" not in picture.text())
            here.type(b"q")
            assert here.tells("code") == 0


def test_a_daemon_that_hangs_holds_up_no_key(fresh: Process) -> None:
    with terminal(fresh) as here:
        here.shows("kept top")
        fresh.popen.send_signal(signal.SIGSTOP)
        here.quiet()
        here.type(b"?")
        # Answered in the middle of a look: the look that fails is told.
        assert "waiting for" not in here.shows("Rates are those since").text()
        here.type(b"q")
        assert here.tells("code") == 0
        assert given_back(here)


def test_ctrl_z_gives_the_terminal_to_the_shell_and_fg_takes_it_again(daemon: Process) -> None:
    with terminal(daemon) as here:
        here.shows("kept top")
        for _ in range(2):
            here.type(b"\x1a")
            assert here.tells("stopped") is True
            assert given_back(here)
            here.picture.resize(80, 24)
            here.go_on()
            picture = here.shows("kept top")
            assert picture.modes == {1049}
            assert here.settings() != here.before
        here.type(b"q")
        assert here.tells("code") == 0
        assert given_back(here)


def test_in_the_background_it_leaves_the_terminal_alone_until_it_is_brought_to_the_front(daemon: Process) -> None:
    environ = environment(Path(daemon.paths.data_dir))
    with client(daemon, "tester") as tester, Terminal(TOP, environ, where="back") as here:
        while not any(each.client == "kept top" and each.requests > 10 for each in tester.call(Clients()).items):
            here.pause()
        assert here.raw == b""
        assert here.settings() == here.before
        here.go_on()
        here.shows("kept top")
        here.type(b"q")
        assert here.tells("code") == 0
        assert given_back(here)


def test_ctrl_s_does_not_hold_it_up(daemon: Process) -> None:
    with terminal(daemon) as here:
        here.shows("kept top")
        here.type(b"\x13")
        frames = here.picture.frames
        here.until("more frames", lambda picture: picture.frames > frames + 2)


def test_after_a_stop_that_nobody_can_heed_the_screen_is_taken_again(daemon: Process) -> None:
    with terminal(daemon) as here:
        here.shows("kept top")
        here.signal(signal.SIGSTOP)
        assert here.tells("stopped") is True
        # As shells do.
        os.write(here.theirs, b"\x1b[?1049l\x1b[?25h\x1b[?7h")
        here.until("the shell", lambda picture: not picture.alternate)
        here.go_on()
        assert here.shows("kept top").modes == {1049}
        here.type(b"q")
        assert here.tells("code") == 0
        assert given_back(here)


def test_a_terminal_that_cannot_be_drawn_on_gets_one_view_after_the_other(daemon: Process) -> None:
    with terminal(daemon, TERM="dumb") as here:
        here.until("three views", lambda _: here.raw.count(b"keptd ") >= 3)
        here.type(b"\x03")
        assert here.tells("code") == 130
        assert b"\x1b" not in here.raw
        assert all(len(line) <= 80 for line in here.raw.decode().splitlines())


def test_without_a_terminal_one_view_is_text_and_one_document(daemon: Process) -> None:
    home = Path(daemon.paths.data_dir)
    once = command_line(home, "top", "--once")
    assert (once.returncode, once.stderr) == (0, "")
    assert once.stdout.startswith("keptd ")
    assert "\x1b" not in once.stdout
    document = json.loads(command_line(home, "top", "--once", "--json").stdout)
    assert document["daemon"]["pid"] == daemon.popen.pid
    assert document["rates"]["since_start"] is True
    assert {"activity", "clients", "jobs", "at"} < document.keys()


def test_programs_get_a_document_a_line_also_while_nobody_answers(home: Path) -> None:
    with Process(home) as daemon:
        script = [sys.executable, *TOP, "--json"]
        with subprocess.Popen(script, env=environment(home), stdout=subprocess.PIPE, text=True) as top:
            assert top.stdout is not None
            first, second = (json.loads(top.stdout.readline()) for _ in range(2))
            assert (first["rates"]["since_start"], second["rates"]["since_start"]) == (True, False)
            with client(daemon, "tester") as tester:
                assert tester.call(Status()).pid == second["daemon"]["pid"]
            daemon.popen.kill()
            while "waiting" not in (document := json.loads(top.stdout.readline())):
                assert document["daemon"]["pid"] == daemon.popen.pid
            assert "no daemon answers" in document["waiting"]
            top.terminate()


@pytest.mark.parametrize("interval", ["0.1", "61", "-1", "often"])
def test_an_interval_out_of_range_is_refused_before_anything_starts(home: Path, interval: str) -> None:
    done = command_line(home, "top", f"--interval={interval}")
    assert (done.returncode, done.stdout) == (2, "")
    assert "INTERVAL must be" in done.stderr
    assert "0.2 to 60" in done.stderr
    assert list(home.iterdir()) == []
