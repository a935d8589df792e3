"""The process that sends what was typed: what the daemon gets, and how often."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Iterator

import pytest

from kept.typed import MASK

from .in_terminal import SECONDS, Account

TOLD = "0\n1\n/\nmysql -phunter2 db\x1e0\n1\n/\necho hunter2 | sudo -S ls\x1e"
DONE = b'{"jsonrpc":"2.0","id":1,"result":{"out":"","err":"","code":0}}\n'
BUSY = b'{"jsonrpc":"2.0","id":1,"error":{"code":-32007,"message":"busy","data":{"type":"busy"}}}\n'


@pytest.fixture
def door(account: Account) -> Iterator[socket.socket]:
    """What listens where the daemon would."""
    (account.state / "run").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(account.state / "run" / "keptd.sock"))
        (account.state / "run" / "keptd.sock").chmod(0o600)
        listener.listen()
        listener.settimeout(SECONDS)
        yield listener


def received(door: socket.socket, answer: bytes) -> str:
    """A request, which is answered so."""
    connection, _ = door.accept()
    with connection, connection.makefile("rb") as lines:
        line = lines.readline().decode()
        connection.sendall(answer)
    return line


def sender(account: Account, told: str) -> subprocess.Popen[bytes]:
    """`kept shell-log`, told what a shell tells it."""
    popen = subprocess.Popen(["kept", "shell-log"], env=account.environ, stdin=subprocess.PIPE)
    assert popen.stdin is not None
    popen.stdin.write(told.encode())
    popen.stdin.close()
    return popen


def test_secrets_are_masked_before_anything_is_sent(account: Account, door: socket.socket) -> None:
    with sender(account, TOLD) as process:
        line = received(door, DONE)
        assert process.wait(SECONDS) == 0
    assert "hunter2" not in line
    params = json.loads(line)["params"]
    assert params["stdin"] == f"0\n1\n/\nmysql -p{MASK} db\x1e0\n1\n/\necho {MASK} | sudo -S ls\x1e"


def test_what_was_not_answered_is_sent_again_and_the_same(account: Account, door: socket.socket) -> None:
    with sender(account, TOLD) as process:
        sent = [received(door, answer) for answer in (b"", b"nonsense\n", BUSY, DONE)]
        assert process.wait(SECONDS) == 0
    assert len(set(sent)) == 1
    with sender(account, TOLD) as process:
        other = received(door, DONE)
        assert process.wait(SECONDS) == 0
    keys = [json.loads(line)["params"]["argv"][2] for line in (sent[0], other)]
    assert len(set(keys)) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", key) for key in keys)


def test_where_nothing_is_told_nothing_is_sent(account: Account) -> None:
    for told in ("", "nonsense\x1e", "x" * 70_000):
        with sender(account, told) as process:
            assert process.wait(SECONDS) == 0
