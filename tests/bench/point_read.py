"""A point read over the socket: `memory.get` with kept's blocking client against GET with redis-py.

Both servers and the client share one core. Blocks of calls alternate between the pairs, so that load and frequency
changes hit all alike; printed are medians over the blocks' medians, and ratios. The same requests are measured a second
time without either client library, as bytes over a socket. Aim: `memory.get` takes at most as long as GET.

    python -m tests.bench.point_read [--blocks N] [--calls N]

Without the Debian package redis-server only kept is measured.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import kept
from kept.wire.memory import GetMemory, SetMemory

from ._daemon import START_SECONDS, daemon, end, environment, machine, pin_to_one_core

AIM = 1.0
KEY = "colour"
VALUE = "x" * 100

KEPT, KEPT_BYTES = "memory.get, kept's client", "memory.get, bytes only"
REDIS, REDIS_BYTES = "GET, redis-py", "GET, bytes only"

_GET_MEMORY = b'{"jsonrpc":"2.0","id":1,"method":"memory.get","params":{"key":"%b"}}\n' % KEY.encode()
_PING = b'{"jsonrpc":"2.0","id":1,"method":"daemon.ping"}\n'
_GET = b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (len(KEY), KEY.encode())

Run = Callable[[], object]


@contextmanager
def redis_server(folder: Path) -> Iterator[Path | None]:
    """A Redis that keeps nothing, on a Unix socket; None where there is none on this machine."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    path = folder / "redis.sock"
    command = [program, "--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not path.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"redis-server did not start (exit code {process.poll()})")
            time.sleep(0.01)
        yield path
    finally:
        end(process)


def redis_client(path: Path) -> Any:
    """redis-py, connected, with the value stored."""
    import redis

    client = redis.Redis(unix_socket_path=str(path))
    client.set(KEY, VALUE)
    return client


def hiredis() -> bool:
    """Whether redis-py reads replies with its optional C library."""
    return importlib.util.find_spec("hiredis") is not None


def exchange(connection: socket.socket, request: bytes) -> Run:
    """One request and its reply as bytes."""

    def run() -> bytes:
        connection.send(request)
        return connection.recv(65_536)

    return run


def medians(subjects: dict[str, Run], blocks: int, calls: int) -> dict[str, float]:
    """The median over the blocks' medians of each subject, in µs, after one block that doesn't count."""
    found: dict[str, list[float]] = {name: [] for name in subjects}
    for block in range(blocks + 1):
        for name, run in subjects.items():
            median = statistics.median(_timed(run) for _ in range(calls)) / 1000
            if block:
                found[name].append(median)
    return {name: statistics.median(measured) for name, measured in found.items()}


def _timed(run: Run) -> int:
    begin = time.perf_counter_ns()
    run()
    return time.perf_counter_ns() - begin


def main() -> None:
    """Start both servers, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--blocks", type=int, default=15)
    parser.add_argument("--calls", type=int, default=3000)
    options = parser.parse_args()
    pin_to_one_core()
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kept-")))
        path = stack.enter_context(daemon(home))
        client = stack.enter_context(kept.connect(environ=environment(home), start=False))
        client.call(SetMemory(key=KEY, value=VALUE))
        get = GetMemory(key=KEY)
        bare = stack.enter_context(_connected(path))
        subjects: dict[str, Run] = {
            KEPT: lambda: client.call(get),
            KEPT_BYTES: exchange(bare, _GET_MEMORY),
            "daemon.ping, bytes only": exchange(bare, _PING),
        }
        redis_path = stack.enter_context(redis_server(home))
        if redis_path is None:
            print("redis-server is missing (Debian package redis-server): nothing to compare with")
        else:
            peer = redis_client(redis_path)
            subjects[REDIS] = lambda: peer.get(KEY)
            subjects[REDIS_BYTES] = exchange(stack.enter_context(_connected(redis_path)), _GET)
        times = medians(subjects, options.blocks, options.calls)
    print(machine())
    for name, median in times.items():
        print(f"{name:26}{median:8.1f} µs")
    if redis_path is not None:
        print(f"ratio, with the clients   {times[KEPT] / times[REDIS]:8.2f}     (aim: at most {AIM})")
        print(f"ratio, bytes only         {times[KEPT_BYTES] / times[REDIS_BYTES]:8.2f}")
        print(
            f"redis-py's parser: {'hiredis, in C' if hiredis() else 'its own, in Python (its extra hiredis is in C)'}"
        )


@contextmanager
def _connected(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        yield connection


if __name__ == "__main__":
    main()
