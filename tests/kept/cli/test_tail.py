"""Conversations on the command line of real processes: followed, paged, and sent down a pipe."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import IO

import pytest

import kept
from kept.client import Client
from kept.subscription import Subscription
from kept.wire.event import Event
from kept.wire.message import ListMessages, NewMessage, SendMessage
from kept.wire.session import CreateSession, DeleteSession, GetSession, Session
from tests.harness import Process
from tests.places import HOMES

from .terminal import SECONDS, Terminal
from .test_process import environment
from .test_process import kept as command_line

KEPT = ["-m", "kept"]
MANY = 2500
"""More than a page, a screen, and a pipe hold."""

with_less = pytest.mark.skipif(shutil.which("less") is None, reason="less is not installed: apt install less")


@pytest.fixture(scope="module")
def daemon() -> Iterator[Process]:
    """For all, each of whom has a session of its own."""
    with tempfile.TemporaryDirectory(prefix="kept-", dir=HOMES) as folder, Process(Path(folder)) as process:
        yield process


@pytest.fixture
def home(daemon: Process) -> Path:
    return Path(daemon.paths.data_dir)


@pytest.fixture
def client(home: Path, daemon: Process) -> Iterator[Client]:
    with kept.connect("tester", environ={"KEPT_HOME": daemon.paths.data_dir}, start=False) as connected:
        yield connected


@pytest.fixture
def session(client: Client) -> Session:
    return client.call(CreateSession(title="a talk"))


def say(client: Client, session: Session, *texts: str) -> None:
    said = tuple(NewMessage(role="user", content=text) for text in texts)
    client.call(SendMessage(session_id=session.id, messages=said))


def say_much(client: Client, session: Session) -> None:
    for begin in range(0, MANY, 500):
        say(client, session, *(f"**text** {number}" for number in range(begin + 1, begin + 501)))


@contextmanager
def following(home: Path, session: Session, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`kept session tail -f`, which has begun."""
    command = [sys.executable, *KEPT, "session", "tail", session.id, "-f", "--no-start", *options]
    with subprocess.Popen(
        command, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def lines(stream: IO[str] | None, count: int) -> list[str]:
    assert stream is not None
    return [stream.readline().rstrip("\n") for _ in range(count)]


def test_messages_come_as_they_are_said_after_the_newest_that_there_were(
    home: Path, client: Client, session: Session
) -> None:
    say(client, session, "one", "two", "three")
    with following(home, session, "-n", "2") as process:
        assert [line for line in lines(process.stdout, 6) if not line.startswith("#")] == ["", "  two", "", "  three"]
        assert lines(process.stderr, 1) == ["following; Ctrl-C ends"]
        other = client.call(CreateSession(title="another"))
        say(client, other, "not for here")
        say(client, session, "four\x1b[31m", "five")
        assert [line[:4] for line in lines(process.stdout, 6)] == ["", "#4 u", "  fo", "", "#5 u", "  fi"]
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 130
        assert process.communicate() == ("", "")


def test_whoever_follows_is_there_and_a_restart_of_the_daemon_loses_nothing() -> None:
    with tempfile.TemporaryDirectory(prefix="kept-", dir=HOMES) as folder, Process(home := Path(folder)) as first:
        environ = {"KEPT_HOME": first.paths.data_dir}
        with kept.connect("tester", environ=environ, start=False) as client:
            session = client.call(CreateSession(title="a talk"))
            changes = client.subscribe(("session.attached", "session.detached"), since=0)
            with not_for_ever(changes), following(home, session, "--json") as process:
                assert event_of(next(changes)) == "session.attached"
                assert [each.pid for each in client.call(GetSession(id=session.id)).attached] == [process.pid]
                assert "HERE" in command_line(home, "session", "ls").stdout
                say(client, session, "one")
                assert numbers(process, 1) == [1]
                first.popen.kill()
                first.popen.wait()
                with Process(home):
                    assert "session.attached" in (event_of(next(changes)), event_of(next(changes)))
                    assert [each.pid for each in client.call(GetSession(id=session.id)).attached] == [process.pid]
                    say(client, session, "two", "three")
                    assert numbers(process, 2) == [2, 3]
                    process.send_signal(signal.SIGINT)
                    assert process.wait(SECONDS) == 130
                    while event_of(next(changes)) != "session.detached":
                        continue
                    assert client.call(GetSession(id=session.id)).attached == ()


@contextmanager
def not_for_ever(changes: Subscription) -> Iterator[None]:
    """The subscription, which ends when nothing comes for far too long."""
    end = Timer(3 * SECONDS, changes.close)
    end.start()
    try:
        with changes:
            yield
    finally:
        end.cancel()


def event_of(change: object) -> str | None:
    assert isinstance(change, Event)
    return change.change.event or change.change.method


def numbers(process: subprocess.Popen[str], count: int) -> list[int]:
    return [json.loads(line)["number"] for line in lines(process.stdout, count)]


def test_it_ends_with_the_session(home: Path, client: Client, session: Session) -> None:
    with following(home, session) as process:
        lines(process.stderr, 1)
        client.call(DeleteSession(id=session.id))
        assert process.wait(SECONDS) == 0
        assert process.communicate() == ("", "the session was deleted\n")


def test_an_unknown_session_is_told_and_not_waited_for(home: Path, daemon: Process) -> None:
    printed = command_line(home, "session", "tail", "nope", "-f")
    assert printed.returncode == 1
    assert printed.stderr == "kept: there is no such session\nhint: kept session ls shows those that there are.\n"


def test_all_of_a_long_session_goes_down_a_pipe_whose_reader_may_leave(
    home: Path, client: Client, session: Session
) -> None:
    say_much(client, session)
    whole = command_line(home, "session", "show", session.id, "--all")
    assert whole.stdout.count("\n#") == MANY
    command = [sys.executable, *KEPT, "session", "show", session.id, "--all"]
    with subprocess.Popen(
        command, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert lines(process.stdout, 1) == ["a talk"]
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(SECONDS) == 141
        assert process.stderr is not None
        assert process.stderr.read() == ""


@with_less
@pytest.mark.parametrize("columns", [60, 80])
def test_on_a_terminal_a_long_session_is_read_in_less(
    home: Path, client: Client, session: Session, columns: int
) -> None:
    say_much(client, session)
    with Terminal([*KEPT, "session", "show", session.id, "--all"], environment(home), columns) as here:
        here.until("the first message", lambda picture: "#1 user" in picture.text() and "  text 1" in picture.text())
        here.type(b"G")
        here.until("the last message", lambda _: f"\x1b[0m {MANY}".encode() in here.raw)
        here.type(b"q")
        assert here.tells("code") == 0
        assert here.settings() == here.before
        assert b"\x1b[1mtext\x1b[0m 1\x1b[m\r\n" in here.raw
        assert b"Traceback" not in here.raw


@with_less
def test_who_leaves_less_before_the_end_sees_no_error_and_an_interrupt_is_for_less(
    home: Path, client: Client, session: Session
) -> None:
    say_much(client, session)
    with Terminal([*KEPT, "session", "show", session.id, "--all"], environment(home)) as here:
        here.until("a screen", lambda picture: "#1 user" in picture.text())
        # To this process alone: Ctrl-C itself throws away what is typed next, at a moment that nobody knows.
        here.signal(signal.SIGINT)
        here.type(b"q")
        assert here.tells("code") == 0
        assert here.settings() == here.before
        assert b"kept:" not in here.raw


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ([], {"PAGER": "cat"}),
        ([], {"PAGER": ""}),
        ([], {"KEPT_PAGER": "", "PAGER": "false"}),
        ([], {"PAGER": "no-such-program"}),
        ([], {"TERM": "dumb"}),
        (["--no-pager"], {"PAGER": "false"}),
    ],
)
def test_without_a_pager_it_is_printed(
    home: Path, client: Client, session: Session, options: list[str], more: dict[str, str]
) -> None:
    say(client, session, "**one**", "two")
    words = [*KEPT, "session", "show", session.id, "--all", *options]
    with Terminal(words, {**environment(home), **more, "NO_COLOR": "1"}) as here:
        assert here.tells("code") == 0
        assert "\n  **one**\n" in here.picture.text()
        assert "\n  two" in here.picture.text()
        assert b"\x1b" not in here.raw


def test_at_a_terminal_a_message_is_typed_and_ended_with_ctrl_d(home: Path, client: Client, session: Session) -> None:
    with Terminal([*KEPT, "session", "send", session.id], environment(home)) as here:
        here.until("the way to end it", lambda picture: "Ctrl-D" in picture.text())
        here.type(b"typed\nhere\n\x04")
        assert here.tells("code") == 0
        assert "sent #1" in here.picture.text()
    assert client.call(ListMessages(session_id=session.id)).items[0].content == "typed\nhere"


@pytest.mark.parametrize("columns", [60, 80])
def test_what_is_printed_fits_the_terminal(home: Path, client: Client, session: Session, columns: int) -> None:
    say(client, session, "a long line " * 30, "漢字" * 100, "- item " * 20)
    for words in (["show", session.id], ["ls"], ["search", "long"], ["tree", session.id], ["stats", session.id]):
        with Terminal([*KEPT, "session", *words], environment(home), columns, 60) as here:
            assert here.tells("code") == 0
            assert all(len(line) < columns + 1 for line in here.picture.text().splitlines())
            assert b"\x1b[1m" in here.raw or words[0] == "stats"
            for line in here.raw.decode().replace("\r", "").splitlines():
                assert len(line.replace("\x1b[1m", "").replace("\x1b[0m", "").replace("\x1b[2m", "")) <= columns
