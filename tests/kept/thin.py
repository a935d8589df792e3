"""The `kept` script as a real process, against a small server that answers what a test tells it to."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Any

SECONDS = 20
"""A deadline for what ends in milliseconds unless it is broken."""

SCRIPT = """
import sys, types
cli = types.ModuleType("kept.cli")
def run(argv, key):
    sys.stdout.write("local " + " ".join(argv))
    if key is not None:
        sys.stdout.write(" key=" + key)
    if "-" in argv:
        sys.stdout.write(" stdin=" + sys.stdin.read())
    return 7
cli.main = run
sys.modules["kept.cli"] = cli
from kept.__main__ import main
main()
"""
"""The script with a command line that says when it runs."""


def result(code: int = 0, out: str = "", err: str = "", local: bool = False) -> bytes:
    reply = {"jsonrpc": "2.0", "id": 1, "result": {"code": code, "out": out, "err": err, "local": local}}
    return json.dumps(reply).encode() + b"\n"


class Server:
    """Listens on `path`; takes one request per connection, then does what `answer` says with the connection."""

    def __init__(self, path: Path, answer: Callable[[socket.socket], None]) -> None:
        self.path = path
        self.answer = answer
        self.received: list[bytes] = []
        self.asked = Event()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.thread = Thread(target=self._serve, daemon=True)
        self.thread.start()

    @property
    def params(self) -> Any:
        """What the one request asks for, but for its key."""
        return {name: value for name, value in self._asked().items() if name != "key"}

    @property
    def key(self) -> str:
        """The key of the one request."""
        return str(self._asked()["key"])

    def _asked(self) -> dict[str, Any]:
        (line,) = self.received
        request = json.loads(line)
        assert (request["jsonrpc"], request["method"]) == ("2.0", "cli.run")
        return dict(request["params"])

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(SECONDS)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as lines:
                line = lines.readline()
                if line:
                    self.received.append(line)
                    self.asked.set()
                    self.answer(connection)


Start = Callable[[Callable[[socket.socket], None] | bytes], Server]

Run = Callable[..., subprocess.CompletedProcess[bytes]]
