"""Durable writes of 64 clients at once: grouped commits against one commit per request.

Two daemons of the same code run side by side, the second with `storage.batch=1`. One process holds all 64 connections
and asks as little of the processor as Python can (epoll, prepared bytes, the client library's kind of idempotency
keys): each connection sends its next write when the reply to its last has come, as 64 programs with a blocking client
would. Blocks alternate between the daemons. Printed are medians over the blocks: writes per second, latencies, how many
writes shared a commit, and the ratio. Aim: at least 5.

    python -m tests.bench.grouped_commits [--clients N] [--blocks N] [--seconds S] [--write NAME ...]
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from kept.calls import new_key

from ._daemon import daemon, machine

AIM = 5

TEXT = "the quick brown fox jumps over the lazy dog"
_LOG = (
    b'{"jsonrpc":"2.0","id":1,"method":"action.log","params":{"action":"write %b","details":{"text":"%b"},'
    b'"idempotency_key":"%b"}}\n'
)
_SET = (
    b'{"jsonrpc":"2.0","id":1,"method":"memory.set","params":{"key":"note %b","value":{"text":"%b"},'
    b'"idempotency_key":"%b"}}\n'
)
WRITES = {"action.log": _LOG, "memory.set": _SET}
_STATUS = b'{"jsonrpc":"2.0","id":1,"method":"daemon.status"}\n'


class Block(NamedTuple):
    """What one block of load showed: writes per second, latencies in ms, and writes per commit."""

    rate: float
    p50: float
    p99: float
    shared: float


@dataclass(slots=True)
class Sender:
    """One client: its connection, and when it sent what it waits for."""

    connection: socket.socket
    sent: float = 0.0


class Load:
    """The clients of one daemon."""

    def __init__(self, path: Path, clients: int, template: bytes, stack: ExitStack) -> None:
        self._template = template
        self._number = 0
        self._control = stack.enter_context(socket.socket(socket.AF_UNIX))
        self._control.connect(str(path))
        self._epoll = stack.enter_context(select.epoll())
        self._senders: dict[int, Sender] = {}
        for _ in range(clients):
            connection = stack.enter_context(socket.socket(socket.AF_UNIX))
            connection.connect(str(path))
            self._senders[connection.fileno()] = Sender(connection)
            self._epoll.register(connection, select.EPOLLIN)

    def run(self, seconds: float) -> Block:
        """Write for that long, then take the replies that are still to come."""
        writes_before, commits_before = self._counts()
        latencies: list[float] = []
        begin = time.perf_counter()
        for sender in self._senders.values():
            self._send(sender)
        waiting = len(self._senders)
        end = begin + seconds
        while waiting:
            for number, _ in self._epoll.poll():
                sender = self._senders[number]
                reply = sender.connection.recv(65_536)
                now = time.perf_counter()
                if b'"result"' not in reply:
                    raise SystemExit(f"a write was refused: {reply[:300]!r}")
                latencies.append(now - sender.sent)
                if now < end:
                    self._send(sender)
                else:
                    waiting -= 1
        spent = time.perf_counter() - begin
        writes, commits = self._counts()
        if writes - writes_before < len(latencies):
            raise SystemExit("more writes were acknowledged than the daemon counts")
        latencies.sort()
        return Block(
            len(latencies) / spent,
            latencies[len(latencies) // 2] * 1000,
            latencies[len(latencies) * 99 // 100] * 1000,
            (writes - writes_before) / (commits - commits_before),
        )

    def _send(self, sender: Sender) -> None:
        self._number += 1
        number = b"%d" % self._number
        line = self._template % (number, TEXT.encode(), new_key().encode())
        sender.sent = time.perf_counter()
        sender.connection.send(line)

    def _counts(self) -> tuple[int, int]:
        self._control.send(_STATUS)
        storage = json.loads(self._control.recv(65_536))["result"]["storage"]
        return storage["writes"], storage["commits"]


def compare(first: Load, second: Load, blocks: int, seconds: float) -> tuple[Block, Block]:
    """The medians of alternate blocks on both, after one of each that doesn't count."""
    first.run(seconds / 2)
    second.run(seconds / 2)
    pairs = [(first.run(seconds), second.run(seconds)) for _ in range(blocks)]
    return _medians([pair[0] for pair in pairs]), _medians([pair[1] for pair in pairs])


def _medians(blocks: list[Block]) -> Block:
    return Block(*(statistics.median(values) for values in zip(*blocks, strict=True)))


def measure(name: str, clients: int, together: Callable[[Load, Load], tuple[Block, Block]]) -> None:
    """Start two daemons, load them with one kind of write, print the table."""
    with tempfile.TemporaryDirectory(prefix="kept-") as folder, ExitStack() as stack:
        loads = [
            Load(stack.enter_context(daemon(Path(folder) / home, *settings)), clients, WRITES[name], stack)
            for home, settings in (("grouped", ()), ("single", ("storage.batch=1",)))
        ]
        grouped, single = together(loads[0], loads[1])
    print(f"{name}, {clients} clients      writes/s   p50 ms   p99 ms   writes/commit")
    for title, block in (("grouped commits", grouped), ("one commit per request", single)):
        print(f"  {title:24}{block.rate:10.0f}{block.p50:9.2f}{block.p99:9.2f}{block.shared:16.1f}")
    print(f"  ratio                   {grouped.rate / single.rate:10.2f}     (aim: at least {AIM})")


def main() -> None:
    """Measure each kind of write, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--write", choices=WRITES, nargs="+", default=list(WRITES))
    options = parser.parse_args()
    print(machine())
    for name in options.write:
        measure(name, options.clients, lambda one, two: compare(one, two, options.blocks, options.seconds))


if __name__ == "__main__":
    main()
