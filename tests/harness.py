"""A whole daemon inside a test: real store, real socket, a clock that the test moves, a client that speaks raw lines.

`async with running(home) as daemon` starts a supervisor in a task group and stops it at the end, whatever the test
did. Then it reads the log: a line of level error or above that the test did not announce in `daemon.expected` fails it.

`Process` is the same as a real process, for what only a process can show.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Self

import anyio
import msgspec
import pytest
import structlog
from anyio.abc import UNIXSocketStream

import kept
from kept.frames import Splitter
from kept.paths import Paths, find
from kept.stream import AsyncClient
from keptd import config, log
from keptd.config import Config
from keptd.notify import Service
from keptd.rpc.peer import Peer as ServedPeer
from keptd.supervisor import Supervisor

from .rooms import FakeClock

PATIENCE = 20.0
"""Seconds after which a test that waits is broken. Nothing that works takes as long."""

REPLY_BYTES = 64 * 1024 * 1024

QUIET = {
    "log.level": "debug",
    "log.format": "json",
    "log.file": "always",
    "mirror.enabled": "false",
    "storage.ballast_bytes": "0",
    "vault.memory_kib": "19456",
    "vault.passes": "2",
    "vault.lanes": "1",
    **{name: "off" for name in config.settings() if name.startswith("jobs.")},
}
"""Settings of every test daemon: all of the log in its file, passwords as cheap to try as they may be, and no work in
the background."""


@contextmanager
def patience(what: str) -> Iterator[None]:
    """Fail with a sentence instead of hanging."""
    try:
        with anyio.fail_after(PATIENCE):
            yield
    except TimeoutError:
        pytest.fail(f"nothing came of it within {PATIENCE:.0f} s: {what}")


class StageClock(FakeClock):
    """A fake clock that can hold a thread of the store where it next asks for the time."""

    def __init__(self) -> None:
        super().__init__()
        self.tick = 0.0
        """Seconds by which every question of a reader thread moves it."""
        self._held = ""
        self._passes = 0
        self._go = threading.Event()
        self._reached = threading.Event()
        self._lock = threading.Lock()

    def monotonic(self) -> float:
        name = threading.current_thread().name
        with self._lock:
            if name.startswith("keptd-reader"):
                self.seconds += self.tick
            stop = bool(self._held) and name.startswith(self._held)
            if stop and self._passes:
                self._passes -= 1
                stop = False
        if stop:
            self._reached.set()
            assert self._go.wait(PATIENCE), "a held thread was never let go"
        return self.seconds

    @contextmanager
    def holding(self, thread: str, passes: int = 0) -> Iterator[None]:
        """Hold the threads whose name starts with `keptd-<thread>`, after so many more questions, until the end."""
        self._go.clear()
        self._reached.clear()
        self._passes = passes
        self._held = f"keptd-{thread}"
        try:
            yield
        finally:
            self.release()

    def release(self) -> None:
        """Let go, now."""
        self._held = ""
        self._go.set()

    async def reached(self) -> None:
        """Wait until a thread is held."""
        assert await anyio.to_thread.run_sync(self._reached.wait, PATIENCE), "no thread came to be held"


class Peer:
    """A client that sends bytes and reads lines, right or wrong."""

    def __init__(self, stream: UNIXSocketStream) -> None:
        self.stream = stream
        self._splitter = Splitter(REPLY_BYTES)
        self._lines: list[bytes] = []
        self._number = 0

    async def send(self, *lines: bytes) -> None:
        """Send each as a line."""
        await self.send_raw(b"".join(line + b"\n" for line in lines))

    async def send_raw(self, data: bytes) -> None:
        """Send just these bytes."""
        with patience(f"sending {len(data)} bytes"):
            await self.stream.send(data)

    async def receive(self) -> Any:
        """The next message."""
        with patience("a message from the daemon"):
            while not self._lines:
                self._lines += [line or b"" for line in self._splitter.feed(await self.stream.receive())]
        return msgspec.json.decode(self._lines.pop(0))

    async def error(self) -> tuple[Any, int, str]:
        """The next message, which must be a refusal: its id, code and type."""
        reply = await self.receive()
        return reply["id"], reply["error"]["code"], reply["error"]["data"]["type"]

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method and give its whole reply, which must be the next message with its id."""
        self._number += 1
        name = f"ask-{self._number}"
        await self.send(request(name, method, **params))
        while True:
            reply = await self.receive()
            if "method" not in reply:
                assert reply["id"] == name, f"unasked: {str(reply)[:500]}"
                return dict(reply)

    async def result(self, method: str, **params: Any) -> Any:
        """Call a method and give its result."""
        reply = await self.ask(method, **params)
        assert "result" in reply, reply
        return reply["result"]

    async def refusal(self, method: str, **params: Any) -> tuple[int, str]:
        """Call a method that must be refused; the code and type."""
        reply = await self.ask(method, **params)
        assert "error" in reply, str(reply)[:500]
        return reply["error"]["code"], reply["error"]["data"]["type"]

    async def is_served(self) -> None:
        """Fail unless the daemon answers, with nothing else before the answer."""
        await self.result("daemon.ping")

    async def end_sending(self) -> None:
        """Half-close: nothing more to ask."""
        await self.stream.send_eof()

    async def ended(self) -> None:
        """Wait for the daemon to end the connection, with nothing more said."""
        with patience("the end of the connection"):
            try:
                rest = await self.stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                rest = b""
        assert not self._lines
        assert rest == b""

    async def close(self) -> None:
        """End both sides at once."""
        await anyio.aclose_forcefully(self.stream)


def request(number: Any, method: str, /, **params: Any) -> bytes:
    """A request as a line without its end."""
    return msgspec.json.encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


def notification(method: str, /, **params: Any) -> bytes:
    """A notification as a line without its end."""
    return msgspec.json.encode({"jsonrpc": "2.0", "method": method, "params": params})


class Daemon:
    """A supervisor at work, and what a test wants of it."""

    def __init__(self, paths: Paths, supervisor: Supervisor, clock: StageClock) -> None:
        self.paths = paths
        self.supervisor = supervisor
        self.clock = clock
        self.expected: set[str] = set()
        """Events of the log that are no failure of the test."""
        self._open: list[Peer] = []

    async def connect(self) -> Peer:
        """A new raw connection."""
        with patience("a connection"):
            peer = Peer(await anyio.connect_unix(self.paths.socket))
        self._open.append(peer)
        return peer

    def client(self, name: str | None = None) -> AsyncClient:
        """The typed client: `async with daemon.client() as client`."""
        return kept.connect_async(
            name, environ={**os.environ, "KEPT_HOME": self.paths.data_dir}, start=False, patience=PATIENCE
        )

    def served(self) -> list[ServedPeer]:
        """The connections as the daemon sees them, in the order in which they came."""
        return list(self.supervisor._server.peers)

    async def until(self, what: str, condition: Any) -> None:
        """Let everything else run until `condition()` holds, the daemon's threads as well."""
        with patience(what):
            while not condition():  # noqa: ASYNC110 - any condition; without a pause the threads get no time
                await anyio.sleep(0.001)

    def log(self) -> str:
        """All of the log so far."""
        try:
            return Path(self.paths.log).read_text()
        except FileNotFoundError:
            return ""

    def reconfigure(self, **settings: str) -> None:
        """Write the configuration file that the next reload reads: `limits__in_flight="5"`."""
        lines = [f"{name.replace('__', '.')} = {value}\n" for name, value in settings.items()]
        Path(self.paths.config_file).write_text("".join(lines))

    async def close_all(self) -> None:
        """End every connection that the test opened."""
        for peer in self._open:
            await peer.close()

    def check_log(self) -> None:
        """Fail where the log has an error that the test did not announce."""
        bad = [
            line
            for line in map(json.loads, self.log().splitlines())
            if line["level"] in ("error", "critical") and line["event"] not in self.expected
        ]
        assert not bad, bad


@asynccontextmanager
async def running(
    home: Path,
    service: Service | None = None,
    clock: StageClock | None = None,
    places: Callable[[], Paths] | None = None,
    /,
    **settings: str,
) -> AsyncIterator[Daemon]:
    """A daemon on `home`, which has to be a short path (a socket's has at most 107 bytes). Settings as
    `limits__in_flight="5"`. `service` is what a service manager gave it; `clock` goes on from a former daemon's;
    `places` finds other places than those below `home`, each time it is asked."""
    places = places or (lambda: find({"KEPT_HOME": str(home)}))
    paths = places()
    overrides = [f"{name}={value}" for name, value in QUIET.items()]
    overrides += [f"{name.replace('__', '.')}={value}" for name, value in settings.items()]

    def load() -> Config:
        return config.load(Path(paths.config_file), {}, overrides)

    settled = load()
    clock = clock or StageClock()
    ready = anyio.Event()
    log.configure(settled.log, paths)
    daemon = Daemon(paths, Supervisor(paths, settled, load, clock, ready.set, service, places=places), clock)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon.supervisor.run)
            with patience("the start"):
                await ready.wait()
            try:
                yield daemon
            finally:
                clock.release()
                with anyio.CancelScope(shield=True):
                    await daemon.close_all()
                daemon.supervisor.stop()
    finally:
        _reset_log(paths)
    daemon.check_log()


def _reset_log(paths: Paths) -> None:
    log.configure(config.Log(file="never"), paths)
    logging.getLogger().handlers.clear()
    structlog.reset_defaults()


class Process:
    """`keptd` as a process of its own: `with Process(home) as process`. Killed at the end if it still runs."""

    def __init__(self, home: Path, /, **settings: str) -> None:
        self.paths = find({"KEPT_HOME": str(home)})
        options = {**QUIET, "log.file": "never", **{name.replace("__", "."): value for name, value in settings.items()}}
        self._command = [sys.executable, "-m", "keptd"]
        self._command += [part for name, value in options.items() for part in ("--set", f"{name}={value}")]
        others = {name: value for name, value in os.environ.items() if not name.startswith("KEPT_")}
        self._environ = {**others, "KEPT_HOME": str(home)}
        self.popen: subprocess.Popen[str]

    def __enter__(self) -> Self:
        self.popen = self._spawn()
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            if '"ready"' in line:
                return self
        pytest.fail(f"keptd ended with {self.popen.wait()} before it was ready")

    def __exit__(self, *_: object) -> None:
        assert self.popen.stderr is not None
        self.popen.send_signal(signal.SIGKILL)
        self.popen.wait()
        self.popen.stderr.close()

    def another(self) -> tuple[int, str]:
        """Start a second one on the same home and wait for its end: the exit code and what it said."""
        second = self._spawn()
        _, said = second.communicate(timeout=PATIENCE)
        return second.returncode, said

    def _spawn(self) -> subprocess.Popen[str]:
        return subprocess.Popen(self._command, env=self._environ, stderr=subprocess.PIPE, text=True)

    def connect(self) -> socket.socket:
        """A blocking connection."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        connection.connect(self.paths.socket)
        return connection

    def resident_bytes(self) -> int:
        """What it has in memory (VmRSS, proc(5))."""
        status = Path(f"/proc/{self.popen.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))
