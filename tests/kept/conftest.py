"""A server that answers the thin script, and the script."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .thin import SCRIPT, SECONDS, Run, Server, Start


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a server whose connections get some bytes, or what a function does with them."""
    with ExitStack() as stack:

        def begin(answer: Callable[[socket.socket], None] | bytes) -> Server:
            server = Server(
                tmp_path / "s", answer if callable(answer) else lambda connection: connection.sendall(answer)
            )
            stack.callback(server.close)
            return server

        yield begin


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    path = os.pathsep.join(filter(None, sys.path))
    return {"HOME": str(tmp_path), "KEPT_SOCKET": str(tmp_path / "s"), "PYTHONPATH": path, "LANG": "C.UTF-8"}


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    def command(
        *argv: str | bytes,
        stdin: bytes | None = None,
        stub: bool = True,
        quiet: tuple[float, int, int] | None = None,
        **more: str,
    ) -> subprocess.CompletedProcess[bytes]:
        source: dict[str, Any] = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        script = SCRIPT if stub else "from kept.__main__ import main; main()"
        if quiet is not None:
            names = "script.QUIET_SECONDS, script.QUIET_TOLD, script.QUIET_MOST"
            script = f"import kept.thin as script\n{names} = {quiet}\n{script}"
        return subprocess.run(
            [sys.executable, "-c", script, *argv],
            env={**environment, **more},
            capture_output=True,
            timeout=SECONDS,
            check=False,
            **source,
        )

    return command
