"""Waiting for a socket: `anyio.wait_readable` for every message against one registration per connection.

An echo server in a process of its own answers small requests over a socketpair on uvloop, both ends on one core; it
waits in each of three ways: with `anyio.wait_readable`, with `keptd.rpc.readiness`, and, as the floor, with a callback
that answers without any task. Blocks alternate; printed are medians over the blocks' medians, and the ratio. This is
what `keptd/rpc/readiness.py` is for.

    python -m tests.bench.readiness [--blocks N] [--calls N]
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import socket
import statistics
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import anyio

from keptd.rpc.readiness import watch

from ._daemon import machine, pin_to_one_core

REQUEST = b"y" * 80
REPLY = b"x" * 380

Serve = Callable[[socket.socket], Coroutine[Any, Any, None]]


async def each_wait(connection: socket.socket) -> None:
    """Register for every wait."""
    while True:
        await anyio.wait_readable(connection)
        if not _echo(connection):
            return


async def registered(connection: socket.socket) -> None:
    """Stay registered, as the daemon does."""
    readable = watch(connection)
    while True:
        await readable.wait()
        if not _echo(connection):
            readable.close()
            return


async def callback(connection: socket.socket) -> None:
    """No task at all: what the loop alone costs."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()

    def ready() -> None:
        if not _echo(connection):
            loop.remove_reader(connection)
            ended.set_result(None)

    loop.add_reader(connection, ready)
    await ended


WAYS: dict[str, Serve] = {
    "anyio.wait_readable for every wait": each_wait,
    "one registration per connection": registered,
    "a callback, no task": callback,
}


def _echo(connection: socket.socket) -> bool:
    """Answer what has come; False at the end."""
    with suppress(BlockingIOError):
        if not connection.recv(65_536):
            return False
        connection.send(REPLY)
    return True


def _run(serve: Serve, connection: socket.socket) -> None:
    connection.setblocking(False)
    anyio.run(serve, connection, backend="asyncio", backend_options={"use_uvloop": True})


def start(serve: Serve) -> tuple[multiprocessing.Process, socket.socket]:
    """A server of one kind, and the client's end."""
    ours, theirs = socket.socketpair()
    # Started afresh, so that no server holds an end of another's pair.
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(serve, theirs), daemon=True)
    process.start()
    theirs.close()
    return process, ours  # type: ignore[return-value]


def median(connection: socket.socket, calls: int) -> float:
    """The median round trip in µs."""
    times = []
    for _ in range(calls):
        begin = time.perf_counter_ns()
        connection.send(REQUEST)
        connection.recv(65_536)
        times.append(time.perf_counter_ns() - begin)
    return statistics.median(times) / 1000


def main() -> None:
    """Start a server of each kind, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--blocks", type=int, default=15)
    parser.add_argument("--calls", type=int, default=5000)
    options = parser.parse_args()
    pin_to_one_core()
    servers = {name: start(serve) for name, serve in WAYS.items()}
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    for block in range(options.blocks + 1):
        for name, (_, connection) in servers.items():
            measured = median(connection, options.calls)
            if block:
                found[name].append(measured)
    for process, connection in servers.values():
        connection.close()
        process.join(10)
    print(machine())
    times = {name: statistics.median(measured) for name, measured in found.items()}
    for name, taken in times.items():
        print(f"{name:36}{taken:8.1f} µs")
    every, once, floor = times.values()
    print(f"{'ratio, every wait / one registration':36}{every / once:8.2f}")
    print(f"{'above the floor, in µs':36}{every - floor:8.1f} / {once - floor:.1f}")


if __name__ == "__main__":
    main()
