"""A daemon of a few lines on a real socket, which fails where a test says so.

A script is a function from a request to what is done about it: bytes are sent, `CUT` ends the connection, a callable
is run (to wait for something). The default script keeps memories in a dict and honours idempotency keys, so that a
test can see what was applied, and how often.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

Request = dict[str, Any]
CUT = None
Step = bytes | None | Callable[[], object]
Script = Callable[[Request], Iterable[Step]]

WELCOME = {
    "name": "keptd",
    "version": "1",
    "protocol": 1,
    "pid": 1,
    "actor": {"client": "tester", "uid": 0, "pid": 1},
}
PONG = {"time": "2026-01-01T00:00:00Z"}


def line(message: dict[str, Any]) -> bytes:
    """A message as the daemon sends it."""
    return json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"


def result(request: Request, value: Any) -> bytes:
    """The reply to a request."""
    return line({"id": request["id"], "result": value})


def refusal(request: Request | None, code: int, **data: Any) -> bytes:
    """A refusal of a request, or of what had no id."""
    return line({"id": request and request["id"], "error": {"code": code, "message": "no", "data": data}})


def change(seq: int) -> bytes:
    """An `event` notification."""
    what = {
        "seq": seq,
        "at": "2026-01-01T00:00:00Z",
        "actor": {"client": "c", "uid": 0, "pid": 1},
        "method": "memory.set",
        "entity": "memory",
        "entity_id": "m",
        "label": "",
    }
    return line({"method": "event", "params": {"subscription_id": "s", "change": what}})


def memory(key: str, value: Any) -> dict[str, Any]:
    """A memory entry as it is on the wire."""
    return {
        "id": "0",
        "key": key,
        "scope": "global",
        "value": value,
        "tier": "persistent",
        "category": "general",
        "priority": 5,
        "tags": [],
        "session_id": None,
        "expires_at": None,
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
        "version": 1,
        "actor": "tester",
    }


class Scripted:
    """A server at `path`. `requests` is all that it read; `applied` the values that it set, in order; `first` is a
    script that
    may answer instead of the default one, by giving something else than None."""

    def __init__(self, path: Path, first: Callable[[Request], Iterable[Step] | None] = lambda _: None) -> None:
        self.path = path
        self.first = first
        self.requests: list[Request] = []
        self.connections = 0
        self.applied: list[Any] = []
        self._receipts: dict[str, Any] = {}
        self._values: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._stopped = True
        self._threads: list[threading.Thread] = []

    @property
    def methods(self) -> list[str]:
        return [request["method"] for request in self.requests]

    def start(self) -> None:
        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        with suppress(FileNotFoundError):
            self.path.unlink()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._stopped = False
        self._begin(self._accept)

    def stop(self) -> None:
        """As a kill does: the connections end, the socket's file stays."""
        with suppress(OSError):  # It may have been stopped before.
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            self._stopped = True
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def _begin(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._stopped:
                    connection.close()
                    return
                self.connections += 1
                self._open.add(connection)
            self._begin(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines, suppress(OSError):
            for text in lines:
                request = json.loads(text)
                self.requests.append(request)
                for step in self._answer(request):
                    if callable(step):
                        step()
                    elif step is CUT:
                        connection.shutdown(socket.SHUT_RDWR)
                        return
                    else:
                        connection.sendall(step)
        with self._lock:
            self._open.discard(connection)

    def _answer(self, request: Request) -> Iterable[Step]:
        own = self.first(request)
        return own if own is not None else self.default(request)

    def default(self, request: Request) -> Iterable[Step]:
        """What a daemon would do; a write is applied before the first step is taken."""
        params = request.get("params") or {}
        match request["method"]:
            case "daemon.hello":
                return [result(request, WELCOME)]
            case "daemon.ping":
                return [result(request, PONG)]
            case "memory.set":
                return [result(request, self._set(params))]
            case "memory.get" if params["key"] in self._values:
                return [result(request, memory(params["key"], self._values[params["key"]]))]
            case "memory.get":
                return [refusal(request, -32001, type="not_found")]
            case method if method.startswith("$/"):
                return []
        return [refusal(request, -32601)]

    def _set(self, params: dict[str, Any]) -> Any:
        with self._lock:
            key = params["idempotency_key"]
            if key not in self._receipts:
                self.applied.append(params["value"])
                self._values[params["key"]] = params["value"]
                self._receipts[key] = memory(params["key"], params["value"])
            return self._receipts[key]


def once(*steps: Step, method: str = "memory.set") -> Callable[[Request], Iterable[Step] | None]:
    """A script that takes these steps on the first request of `method`, and is the default otherwise."""
    left = [list(steps)]
    return lambda request: left.pop() if left and request["method"] == method else None


@contextmanager
def serving(home: Path, first: Callable[[Request], Iterable[Step] | None] = lambda _: None) -> Iterator[Scripted]:
    """A scripted daemon for the home `home`."""
    server = Scripted(home / "run" / "keptd.sock", first)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def environment(home: Path, **more: str) -> dict[str, str]:
    """This process's environment, for the home `home`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KEPT_")}
    return {**kept, "KEPT_HOME": str(home), **more}
