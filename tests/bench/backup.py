"""A backup of a large database while clients write: the latency of their writes with and without it.

Builds a database of 1 GB, starts a daemon on it, and has 8 clients write durably, each its next write when the reply to
its last has come. Windows without a backup alternate with backups (copy, compression and check); the windows are as
long as the backups. Printed are the latencies of all, the ratio of the 99th percentiles, how long the phases of a
backup took, and how large the write-ahead log is after it. Aim: a ratio of 2 at most. In the end the last backup is
gone back to, and the longest that a write waited meanwhile is printed: the replacement is one step, with a backup of
what it replaces inside.

With `--restore`, only going back is measured: one backup, and what the longest waits of writes were while it was gone
back to.

    python -m tests.bench.backup [--bytes N] [--clients N] [--rounds N] [--home FOLDER] [--restore]
"""

from __future__ import annotations

import argparse
import json
import random
import select
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

from kept.calls import new_key
from kept.wire.journal import LogAction
from keptd.clock import SystemClock
from keptd.config import Storage
from keptd.journal import store as journal
from keptd.store import Store
from keptd.store.database import open_writer
from keptd.supervisor import DOMAINS

from ._daemon import daemon, machine

AIM = 2
ROW_BYTES = 4000
ROWS_PER_COMMIT = 5000

WORDS = [
    "".join(letters)
    for letters in zip(*(random.Random(seed).choices("etaoinshrdlu", k=3000) for seed in range(6)), strict=True)
]
_LOG = (
    b'{"jsonrpc":"2.0","id":1,"method":"action.log","params":{"action":"write %d","details":{"text":"the quick brown '
    b'fox"},"idempotency_key":"%b"}}\n'
)
_CREATE = b'{"jsonrpc":"2.0","id":"backup","method":"backup.create"}\n'
_RESTORE = b'{"jsonrpc":"2.0","id":"restore","method":"backup.restore","params":{"id":"%b"}}\n'
_DELETE = b'{"jsonrpc":"2.0","id":"delete","method":"backup.delete","params":{"id":"%b"}}\n'


def build(home: Path, size: int) -> None:
    """A database with about that many bytes of actions, each of random words."""
    path = home / "kept.db"
    clock = SystemClock()
    Store(
        path, [(room.name, room.migrations) for room in DOMAINS], Storage(ballast_bytes=0), clock, lambda _seq: None
    ).close()
    dice = random.Random(1)
    with closing(open_writer(path)) as db:
        while path.stat().st_size < size:
            with db:
                for _ in range(ROWS_PER_COMMIT):
                    text = " ".join(dice.choices(WORDS, k=ROW_BYTES // 7))
                    journal.log_action(db, LogAction(action="built", details={"text": text}), clock.now(), "bench")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


class Clients:
    """Clients that write, from one process that asks little of the processor."""

    def __init__(self, path: Path, count: int, stack: ExitStack) -> None:
        self._epoll = stack.enter_context(select.epoll())
        self._connections: dict[int, socket.socket] = {}
        self._sent: dict[int, float] = {}
        self._number = 0
        for _ in range(count):
            connection = connect(path, stack)
            self._connections[connection.fileno()] = connection
            self._epoll.register(connection, select.EPOLLIN)
        self.asking = connect(path, stack)
        self._epoll.register(self.asking, select.EPOLLIN)

    def for_seconds(self, seconds: float) -> list[float]:
        """Latencies of the writes of so many seconds."""
        end = time.perf_counter() + seconds
        return list(self._write(lambda: time.perf_counter() >= end))

    def during(self, request: bytes) -> tuple[list[float], dict[str, float], dict[str, object]]:
        """Latencies of the writes until the request is answered; the seconds of each phase that it told; its answer."""
        self._phases: dict[str, list[float]] = {}
        self._answer: dict[str, object] = {}
        self._rest = b""
        self.asking.sendall(request)
        latencies = list(self._write(lambda: bool(self._answer)))
        return latencies, {text: times[-1] - times[0] for text, times in self._phases.items()}, self._answer

    def _write(self, is_over: Callable[[], bool]) -> Iterator[float]:
        for number in self._connections:
            self._send(number)
        waiting = len(self._connections)
        while waiting:
            for number, _ in self._epoll.poll():
                if number == self.asking.fileno():
                    self._hear()
                    continue
                reply = self._connections[number].recv(65_536)
                now = time.perf_counter()
                if b'"result"' not in reply:
                    raise SystemExit(f"a write was refused: {reply[:300]!r}")
                yield now - self._sent[number]
                if is_over():
                    waiting -= 1
                else:
                    self._send(number)

    def _send(self, number: int) -> None:
        self._number += 1
        line = _LOG % (self._number, new_key().encode())
        self._sent[number] = time.perf_counter()
        self._connections[number].send(line)

    def _hear(self) -> None:
        *lines, self._rest = (self._rest + self.asking.recv(65_536)).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if message.get("method") == "$/progress":
                self._phases.setdefault(message["params"]["text"], []).append(time.perf_counter())
            elif "error" in message:
                raise SystemExit(f"the backup was refused: {message['error']}")
            else:
                self._answer = message["result"]


def connect(path: Path, stack: ExitStack) -> socket.socket:
    """A connection that is closed with the stack."""
    connection = stack.enter_context(socket.socket(socket.AF_UNIX))
    connection.connect(str(path))
    return connection


def percentile(latencies: list[float], percent: float) -> float:
    """In milliseconds."""
    return sorted(latencies)[int(len(latencies) * percent / 100)] * 1000


def measure_restore(home: Path, clients: int) -> None:
    """One backup, gone back to while clients write."""
    with daemon(home, "jobs.backup_create=off", "jobs.maintenance_check=off") as path, ExitStack() as stack:
        load = Clients(path, clients, stack)
        _, _, made = load.during(_CREATE)
        load.for_seconds(6)
        began = time.perf_counter()
        held, phases, _ = load.during(_RESTORE % str(made["id"]).encode())
        told = ", ".join(f"{text} {spent:.1f} s" for text, spent in phases.items())
        print(f"  restore: {time.perf_counter() - began:.1f} s ({told}), {len(held)} writes, none refused")
        longest = " ".join(f"{seconds:.2f}" for seconds in sorted(held)[: -clients - 3 : -1])
        print(f"  longest waits of writes, in seconds: {longest}; p99 {percentile(held, 99):.1f} ms")


def measure(home: Path, clients: int, rounds: int) -> None:
    """Alternate, print."""
    wal = home / "kept.db-wal"
    without: list[float] = []
    within: list[float] = []
    with daemon(home, "jobs.backup_create=off", "jobs.maintenance_check=off") as path, ExitStack() as stack:
        load = Clients(path, clients, stack)
        load.for_seconds(3)
        seconds = 10.0
        for number in range(rounds):
            plain = load.for_seconds(seconds)
            began = time.perf_counter()
            busy, phases, made = load.during(_CREATE)
            seconds = time.perf_counter() - began
            without += plain
            within += busy
            told = ", ".join(f"{text} {spent:.1f} s" for text, spent in phases.items())
            print(
                f"  backup {number + 1}: {seconds:.1f} s ({told}), {made['bytes']:,} bytes, "
                f"log {wal.stat().st_size:,} bytes; p99 {percentile(plain, 99):.2f} -> {percentile(busy, 99):.2f} ms"
            )
            load.for_seconds(6)  # The log is moved into the database and begun anew.
            request = _DELETE if number + 1 < rounds else _RESTORE
            began = time.perf_counter()
            held, _, _ = load.during(request % str(made["id"]).encode())
            if request is _RESTORE:
                print(f"  restore: {time.perf_counter() - began:.1f} s, of which writes waited {max(held):.1f} s")
    print(f"{clients} clients        writes/s   p50 ms   p99 ms  p99.9 ms   max ms")
    for title, latencies in (("without a backup", without), ("during a backup", within)):
        rate = clients / (sum(latencies) / len(latencies))
        print(
            f"  {title:18}{rate:9.0f}{percentile(latencies, 50):9.2f}{percentile(latencies, 99):9.2f}"
            f"{percentile(latencies, 99.9):10.2f}{max(latencies) * 1000:9.1f}"
        )
    print(
        f"  ratio of the 99th percentiles {percentile(within, 99) / percentile(without, 99):.2f}  (aim: at most {AIM})"
    )


def main() -> None:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bytes", type=int, default=1_000_000_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--restore", action="store_true", help="measure going back alone")
    parser.add_argument("--home", type=Path, help="a folder to build the database in and keep, or one that has it")
    options = parser.parse_args()
    print(machine())
    home = options.home or Path(tempfile.mkdtemp(prefix="kept-"))
    try:
        home.mkdir(mode=0o700, exist_ok=True)
        if not (home / "kept.db").exists():
            began = time.perf_counter()
            build(home, options.bytes)
            print(f"built {(home / 'kept.db').stat().st_size:,} bytes in {time.perf_counter() - began:.0f} s")
        if options.restore:
            measure_restore(home, options.clients)
        else:
            measure(home, options.clients, options.rounds)
    finally:
        if options.home is None:
            shutil.rmtree(home)


if __name__ == "__main__":
    main()
