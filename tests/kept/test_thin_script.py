"""The `kept` script as a real process, against a small server that answers what a test tells it to."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from .thin import SCRIPT, SECONDS, Run, Start, result


def test_what_the_daemon_says_is_printed_and_its_code_is_the_exit_code(start: Start, run: Run) -> None:
    start(result(3, "out\n", "err\n"))
    done = run("status")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"err\n")


def test_arguments_arrive_as_they_were_typed(start: Start, run: Run) -> None:
    argv = ["memory", "set", 'a "quoted" \\ key', "line\nbreak\ttab\x01", "é 漢 😀", "", "--tag", "-x"]
    server = start(result())
    assert run(*argv).returncode == 0
    assert server.params == {"argv": argv}


def test_a_reply_in_many_pieces_is_one_reply(start: Start, run: Run) -> None:
    def answer(connection: socket.socket) -> None:
        for byte in result(0, "blue é\n"):
            connection.send(bytes([byte]))

    start(answer)
    assert run("memory", "get", "k").stdout == "blue é\n".encode()


def test_a_long_output_is_printed_whole(start: Start, run: Run) -> None:
    text = "0123456789abcde\n" * 200_000
    start(result(0, text))
    assert run("memory", "list").stdout == text.encode()


def test_output_is_utf8_whatever_the_terminal_claims(start: Start, run: Run) -> None:
    start(result(0, "漢 😀\n", "é\n"))
    done = run("status", PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    assert (done.stdout, done.stderr) == ("漢 😀\n".encode(), "é\n".encode())


def test_half_a_character_is_replaced_not_a_crash(start: Start, run: Run) -> None:
    start(b'{"jsonrpc":"2.0","id":1,"result":{"code":0,"out":"a\\ud800b"}}\n')
    done = run("status")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"a?b", b"")


def test_an_output_that_does_not_wait_gets_everything(start: Start, environment: dict[str, str]) -> None:
    text = "0123456789abcde\n" * 50_000
    start(result(0, text))
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with subprocess.Popen([sys.executable, "-c", SCRIPT, "status"], env=environment, stdout=writer) as process:
        os.close(writer)
        with os.fdopen(reader, "rb") as whole:
            assert whole.read() == text.encode()
        assert process.wait(SECONDS) == 0


def test_a_lone_dash_sends_standard_input(start: Start, run: Run) -> None:
    server = start(result())
    assert run("memory", "set", "k", "-", stdin='say "é"\n'.encode()).returncode == 0
    assert server.params == {"argv": ["memory", "set", "k", "-"], "stdin": 'say "é"\n'}


def test_standard_input_is_left_alone_without_a_lone_dash(start: Start, run: Run) -> None:
    server = start(result())
    run("memory", "set", "k", "--x", "a-b", stdin=b"private")
    assert "stdin" not in server.params


def test_more_standard_input_than_a_message_holds_is_refused(start: Start, run: Run) -> None:
    server = start(result())
    done = run("memory", "set", "k", "-", stdin=b"x" * (16 * 1024 * 1024 + 1))
    assert done.returncode == 2
    assert b"16777216 bytes" in done.stderr
    assert server.received == []


def test_standard_input_that_is_not_utf8_is_refused(start: Start, run: Run) -> None:
    server = start(result())
    done = run("memory", "set", "k", "-", stdin=b"ok\xff")
    assert done.returncode == 2
    assert b"at byte 2" in done.stderr
    assert server.received == []


def test_an_argument_that_is_not_utf8_is_refused(start: Start, run: Run) -> None:
    server = start(result())
    done = run("memory", "get", b"\xff\xfe")
    assert done.returncode == 2
    assert b"not UTF-8" in done.stderr
    assert b"Traceback" not in done.stderr
    assert server.received == []


def test_without_a_socket_the_command_runs_here(run: Run) -> None:
    done = run("status", "--json")
    assert (done.returncode, done.stdout) == (7, b"local status --json")


def test_behind_a_stale_socket_the_command_runs_here_and_finds_standard_input(run: Run, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(tmp_path / "s"))
    done = run("memory", "set", "k", "-", stdin=b"value")
    assert (done.returncode, done.stdout) == (7, b"local memory set k - stdin=value")


def refusal(code: int, message: str = "no", number: int | None = 1, **data: Any) -> bytes:
    error = {"code": code, "message": message, "data": data}
    return json.dumps({"jsonrpc": "2.0", "id": number, "error": error}).encode() + b"\n"


@pytest.mark.parametrize(
    "reply",
    [result(local=True), *map(refusal, (-32601, -32602, -32007)), refusal(-32603, number=None)],
    ids=["local", "no such method", "other parameters", "busy", "not read"],
)
def test_what_the_daemon_hands_back_runs_here_with_the_standard_input_that_was_read(
    start: Start, run: Run, reply: bytes
) -> None:
    start(reply)
    done = run("session", "import", "-", stdin="é".encode())
    assert (done.returncode, done.stdout) == (7, "local session import - stdin=é".encode())


@pytest.mark.parametrize("before", [[], ["--json"], ["--socket", "doctor"], ["--colour", "never"]])
def test_the_doctor_runs_here_whatever_stands_before_it(start: Start, run: Run, before: list[str]) -> None:
    server = start(result(0, "asked"))
    assert run(*before, "doctor").returncode == 7
    assert server.received == []


@pytest.mark.parametrize("code", [-32603, -32009, -32800, -31000])
def test_a_command_that_ended_in_an_error_is_not_run_again(start: Start, run: Run, code: int) -> None:
    server = start(refusal(code, "a fault", hint="See the log."))
    done = run("log", "this", stub=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"kept: a fault\nhint: See the log.\n")
    assert len(server.received) == 1


def test_an_error_of_the_daemon_is_one_json_document_where_that_is_asked_for(start: Start, run: Run) -> None:
    start(refusal(-32603, "a fault", hint="See the log."))
    told = json.loads(run("log", "this", "--json", stub=False).stderr)["error"]
    assert (told["code"], told["message"], told["data"]["hint"]) == (-32603, "a fault", "See the log.")


PONG = b'{"jsonrpc":"2.0","id":2,"result":{"time":"2026-01-01T00:00:00Z"}}\n'


def test_a_command_may_take_long_while_the_daemon_lives(start: Start, run: Run) -> None:
    asked: list[Any] = []

    def answer(connection: socket.socket) -> None:
        for line in islice(connection.makefile("rb"), 30):
            asked.append(json.loads(line))
            connection.send(PONG[:9])
            connection.send(PONG[9:])
        connection.send(PONG + result(0, "done\n") + PONG)

    start(answer)
    done = run("status", quiet=(0.01, 20, 25))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"done\n", b"")
    assert [(each["method"], each["id"]) for each in asked] == [("daemon.ping", 2)] * 30


def test_that_the_daemon_is_silent_is_told_once_and_its_answer_still_taken(start: Start, run: Run) -> None:
    def answer(connection: socket.socket) -> None:
        pings = connection.makefile("rb")
        for _ in islice(pings, 5):
            pass
        connection.send(PONG)
        for _ in islice(pings, 5):
            pass
        connection.send(result(0, "done\n"))

    start(answer)
    done = run("status", quiet=(0.01, 2, 10_000))
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (0, b"done\n", 1)
    assert b"does not answer" in done.stderr
    assert b"Ctrl-C" in done.stderr


@pytest.mark.parametrize("stdin", [b"", b"x" * 10_000_000], ids=["unanswered", "not even read"])
def test_a_daemon_that_stays_silent_is_given_up(run: Run, tmp_path: Path, stdin: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as stopped:
        # As with a process that was stopped, the kernel connects, and nobody is there.
        stopped.bind(str(tmp_path / "s"))
        stopped.listen()
        done = run("memory", "set", "k", "-", stdin=stdin, quiet=(0.01, 2, 4))
    assert (done.returncode, done.stdout) == (69, b"")
    assert b"has not answered" in done.stderr


@pytest.mark.parametrize(
    "reply", [b"HTTP/1.1 400 Bad Request\n", b"[1]\n", b"\xff\n", b"[" * 100_000 + b"\n"], ids=range(4)
)
def test_what_does_not_speak_the_protocol_is_not_taken_for_the_daemon(start: Start, run: Run, reply: bytes) -> None:
    start(reply)
    done = run("status")
    assert (done.returncode, done.stdout) == (69, b"")
    assert b"not kept's daemon" in done.stderr


def test_a_place_that_cannot_be_used_is_a_usage_error(run: Run) -> None:
    done = run("status", KEPT_SOCKET="/" + "x" * 200)
    assert done.returncode == 2
    assert b"Set KEPT_SOCKET to a shorter path" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a folder away")
def test_a_socket_in_another_users_folder_gets_nothing(start: Start, run: Run, tmp_path: Path) -> None:
    server = start(result())
    os.chown(tmp_path, 12_345, -1)
    done = run("remember", "private")
    assert done.returncode == 69
    assert b"another user" in done.stderr
    assert server.received == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to listen as somebody else")
def test_a_daemon_that_runs_as_another_user_gets_nothing(start: Start, run: Run) -> None:
    server = start(result())
    os.seteuid(12_345)
    try:
        server.listener.listen()  # the kernel reports who called listen()
    finally:
        os.seteuid(0)
    done = run("remember", "private")
    assert done.returncode == 69
    assert b"another user" in done.stderr
    assert server.received == []


def test_a_reader_that_goes_away_ends_it_without_a_word(start: Start, environment: dict[str, str]) -> None:
    start(result(0, "line\n" * 100_000))
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "status"],
        env=environment,
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=SECONDS,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_an_output_that_cannot_be_written_is_an_error(start: Start, environment: dict[str, str]) -> None:
    start(result(0, "line\n"))
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, "status"],
            env=environment,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=SECONDS,
            check=False,
        )
    assert done.returncode == 1
    assert b"can't be written" in done.stderr


def test_ctrl_c_ends_it_without_a_traceback(start: Start, environment: dict[str, str]) -> None:
    release = Event()
    server = start(lambda connection: void(release.wait(SECONDS)))
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, "status"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert server.asked.wait(SECONDS)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=SECONDS)
    release.set()
    assert (process.returncode, out, err) == (130, b"", b"")


def void(_: object) -> None:
    """Drop a value where nothing may be returned."""


@pytest.mark.parametrize(
    ("more", "expected"),
    [({}, {"columns": 123, "colour": True}), ({"NO_COLOR": "1"}, {"columns": 123})],
    ids=["colour", "NO_COLOR"],
)
def test_a_terminal_gets_its_width_and_colour_unless_that_is_unwanted(
    start: Start, environment: dict[str, str], more: dict[str, str], expected: dict[str, Any]
) -> None:
    server = start(result(0, "blue"))
    main, child = pty.openpty()
    try:
        ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 123, 0, 0))
        subprocess.run(
            [sys.executable, "-c", SCRIPT, "status"],
            env={**environment, **more},
            stdin=subprocess.DEVNULL,
            stdout=child,
            timeout=SECONDS,
            check=True,
        )
        assert select.select([main], [], [], SECONDS)[0]
        assert os.read(main, 100) == b"blue"
    finally:
        os.close(main)
        os.close(child)
    assert server.params == {"argv": ["status"], **expected}


def test_the_common_path_loads_nothing_heavy(start: Start, environment: dict[str, str]) -> None:
    start(result(0, "blue\n"))
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "from kept.__main__ import main; main()", "memory", "get", "k"],
        env=environment,
        capture_output=True,
        timeout=SECONDS,
        check=True,
    )
    assert done.stdout == b"blue\n"
    loaded = set(re.findall(r"\| +([\w.]+)$", done.stderr.decode(), re.MULTILINE))
    assert {"_socket", "_json", "kept.paths"} <= loaded
    heavy = "anyio apsw argparse cryptography dataclasses enum json msgspec pathlib re rich socket structlog typing"
    assert loaded.isdisjoint(heavy.split())
    assert {name for name in loaded if name.startswith("kept")} == {
        *("kept", "kept.__main__", "kept.paths", "kept.thin", "kept.trust")
    }
