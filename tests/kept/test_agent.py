"""KEPT_AGENT: every connection of the script says that it is an agent's, and secrets pass by no hands but its own."""

from __future__ import annotations

import json
import socket
from threading import Event

import pytest

import kept
from kept.agent import greeting

from .thin import SECONDS, Run, Start, result

WELCOME = b'{"jsonrpc":"2.0","id":3,"result":{}}\n'
REFUSED = b'{"jsonrpc":"2.0","id":3,"error":{"code":-32602,"message":"no","data":{"type":"invalid_params"}}}\n'


def test_an_agents_command_says_so_before_anything_else(start: Start, run: Run) -> None:
    told: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        connection.sendall(WELCOME)
        told.append(connection.recv(65_536))
        connection.sendall(result(out="done"))

    server = start(answer)
    assert run("memory", "get", "k", KEPT_AGENT='cl"aude').stdout == b"done"
    hello = json.loads(server.received[0])
    assert (hello["method"], hello["params"]) == ("daemon.hello", {"client": 'cl"aude', "kind": "agent"})
    assert json.loads(told[0])["method"] == "cli.run"


def test_a_person_says_nothing_about_it(start: Start, run: Run) -> None:
    server = start(result(out="done"))
    assert run("memory", "get", "k", KEPT_AGENT="").stdout == b"done"
    assert server.params["argv"] == ["memory", "get", "k"]


def test_an_agent_whose_name_is_refused_runs_nothing_in_the_daemon(start: Start, run: Run) -> None:
    more: list[bytes] = []
    over = Event()

    def answer(connection: socket.socket) -> None:
        connection.sendall(REFUSED)
        more.append(connection.recv(65_536))
        if more[0]:
            connection.sendall(result(out="done"))
        over.set()

    start(answer)
    assert run("memory", "get", "k", KEPT_AGENT="x" * 300).stdout == b"local memory get k"
    assert over.wait(SECONDS)
    assert more == [b""]


@pytest.mark.parametrize("words", [("shell-banner",), ("complete", "--", "memory", "get", "x")])
def test_a_shell_of_an_agent_says_so_too(start: Start, run: Run, words: tuple[str, ...]) -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(WELCOME)
        assert b"cli.run" in connection.recv(65_536)
        connection.sendall(result(out="told"))

    server = start(answer)
    assert run(*words, KEPT_AGENT="claude").stdout == b"told"
    assert b'"kind":"agent"' in server.received[0]


def test_a_shell_whose_agent_is_refused_is_silent(start: Start, run: Run) -> None:
    start(REFUSED)
    done = run("complete", "--", "memory", "get", "x", KEPT_AGENT="claude")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_names_of_secrets_complete_for_nobody_but_a_person_at_a_terminal(start: Start, run: Run) -> None:
    server = start(result(out="deploy.token"))
    done = run("complete", "--", "vault", "retrieve", "de", KEPT_AGENT="claude")
    assert (done.returncode, done.stdout, server.received) == (0, b"", [])


@pytest.mark.parametrize(
    "words",
    [
        ("vault", "unlock", "canary"),
        ("--json", "vault", "store", "n", "--value", "canary"),
        ("--colour", "never", "vault"),
        ("rpc", "vault.unlock", '{"password": "canary"}'),
        ("rpc", "--params", '{"password": "canary"}', "--method", "vault.unlock"),
    ],
)
def test_no_words_about_secrets_are_sent_to_the_daemon(start: Start, run: Run, words: tuple[str, ...]) -> None:
    server = start(result())
    assert run(*words).stdout.startswith(b"local ")
    assert server.received == []


def test_the_standard_input_of_such_a_command_is_left_to_it(start: Start, run: Run) -> None:
    start(result())
    assert run("vault", "unlock", "-", stdin=b"canary").stdout == b"local vault unlock - stdin=canary"


def test_a_greeting_is_one_line_of_json_whatever_the_name() -> None:
    for name in ("claude", "ü\n", '"', "\udc80"):
        line = greeting(name, 1)
        assert line.count(b"\n") == 1
        assert json.loads(line)["params"]["client"] == name


def test_a_kind_needs_a_name() -> None:
    with pytest.raises(TypeError, match="a client's name"):
        kept.connect(kind="agent")
