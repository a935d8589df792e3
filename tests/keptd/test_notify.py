"""What a service manager gives and is told, with a real datagram socket in its place."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from keptd.notify import LONGEST_STATUS, VARIABLES, Notifier, take

PID = 4711


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, home: Path) -> str:
    return str(home / "notify") if request.param == "path" else f"@{home.name}"


@pytest.fixture
def manager(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as bound:
        bound.bind(address.replace("@", "\0", 1))
        yield bound


@pytest.fixture
def notifier(manager: socket.socket, address: str) -> Iterator[Notifier]:
    with closing(Notifier(address)) as made:
        yield made


def heard(manager: socket.socket) -> list[list[str]]:
    """Every message that has come, in lines."""
    messages = []
    while True:
        try:
            messages.append(manager.recv(4096).decode().splitlines())
        except BlockingIOError:
            return messages


def test_the_manager_hears_each_state_with_a_sentence(manager: socket.socket, notifier: Notifier) -> None:
    notifier.ready("serving")
    notifier.alive()
    notifier.reloading()
    notifier.stopping("ending")
    ready, alive, reloading, stopping = heard(manager)
    assert ready == ["READY=1", "STATUS=serving"]
    assert alive == ["WATCHDOG=1"]
    assert reloading[0] == "RELOADING=1"
    assert reloading[1].removeprefix("MONOTONIC_USEC=").isdigit()
    assert stopping == ["STOPPING=1", "STATUS=ending"]


def test_a_sentence_can_say_nothing_else_and_is_bounded(manager: socket.socket, notifier: Notifier) -> None:
    notifier.status("all is well\nWATCHDOG=trigger " + "x" * 2000 + "\udcff")
    ((line,),) = heard(manager)
    assert line.startswith("STATUS=all is well WATCHDOG=trigger x")
    assert len(line) == len("STATUS=") + LONGEST_STATUS


def test_a_state_that_a_full_queue_did_not_take_goes_before_what_is_said_next(
    manager: socket.socket, notifier: Notifier
) -> None:
    while notifier._send("X=1"):
        pass
    notifier.reloading()
    notifier.ready("serving")
    heard(manager)
    notifier.alive()
    notifier.alive()
    assert heard(manager) == [["READY=1", "WATCHDOG=1"], ["WATCHDOG=1"]]


def test_while_more_time_is_asked_for_the_first_word_comes_at_once(manager: socket.socket, notifier: Notifier) -> None:
    manager.setblocking(True)
    with notifier.extending():
        assert manager.recv(4096) == b"EXTEND_TIMEOUT_USEC=60000000\n"


@pytest.mark.parametrize("given", ["", "relative", "vsock:2:1234", "/nowhere/here", "@nobody", "/" + "x" * 200, "/\0"])
def test_where_nobody_listens_nothing_is_raised(given: str) -> None:
    with closing(Notifier(given)) as notifier:
        with notifier.extending():
            notifier.ready("serving")
        notifier.stopping("ending")
        assert notifier.is_heard == given.startswith(("/", "@"))


def test_the_variables_are_gone_for_children() -> None:
    environ = dict.fromkeys(VARIABLES, "1") | {"HOME": "/somewhere"}
    take(environ, PID)
    assert environ == {"HOME": "/somewhere"}


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({"WATCHDOG_USEC": "1500000"}, 1.5),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": str(PID)}, 1.5),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "٣"}, None),
        ({"WATCHDOG_USEC": "9" * 5000}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_the_one_that_was_meant_for_this_process(given: dict[str, str], seconds: float | None) -> None:
    assert take(dict(given), PID).watchdog_seconds == seconds


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ({"LISTEN_FDS": "1", "LISTEN_PID": str(PID), "LISTEN_FDNAMES": "keptd.socket"}, ((3, "keptd.socket"),)),
        ({"LISTEN_FDS": "2", "LISTEN_PID": str(PID), "LISTEN_FDNAMES": "a"}, ((3, "a"), (4, "unknown"))),
        ({"LISTEN_FDS": "1", "LISTEN_PID": "1"}, ()),
        ({"LISTEN_FDS": "1"}, ()),
        ({"LISTEN_FDS": "0", "LISTEN_PID": str(PID)}, ()),
        ({"LISTEN_FDS": "many", "LISTEN_PID": str(PID)}, ()),
        ({"LISTEN_FDS": "999999999", "LISTEN_PID": str(PID)}, ()),
    ],
)
def test_the_sockets_are_those_that_were_meant_for_this_process(
    given: dict[str, str], passed: tuple[tuple[int, str], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[tuple[int, bool]] = []
    monkeypatch.setattr(os, "set_inheritable", lambda descriptor, inheritable: closed.append((descriptor, inheritable)))
    assert take(dict(given), PID).passed == passed
    assert closed == [(descriptor, False) for descriptor, _ in passed], "no child inherits them"
