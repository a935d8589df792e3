"""What a shell asks by itself, when it starts, at a Tab, and behind a command: bounded in time, and without a word
where nothing comes of it.

Owns the wait for such an answer, and the start of a daemon in the background. Refuses to wait for what a person did
not ask for. Part of the thin script: imports what a bare interpreter has.
"""

from __future__ import annotations

import os
import sys
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Mapping

STDIN_BYTES = 64 * 1024
"""The most that is taken of commands that are to be logged."""

REPLY_BYTES = 1024 * 1024

GREETING_SECONDS = 0.1
"""How long the daemon may take to learn that an agent asks."""


def answer(connection: socket, request: bytes, seconds: float) -> bytes | None:
    """The line that answers `request`; None where it isn't there within `seconds`, or is too long."""
    end = monotonic() + seconds
    parts: list[bytes] = []
    size = 0
    try:
        rest = memoryview(request)
        while rest:
            connection.settimeout(max(end - monotonic(), 0.001))
            rest = rest[connection.send(rest) :]
        while not parts or not parts[-1].endswith(b"\n"):
            left = end - monotonic()
            if left <= 0:
                return None
            connection.settimeout(left)
            part = connection.recv(65_536)
            size += len(part)
            if not part or size > REPLY_BYTES:
                return None
            parts.append(part)
    except OSError:
        return None
    return b"".join(parts)


def is_welcome(argv: list[str], connection: socket, environ: Mapping[str, str]) -> bool:
    """Whether the question may be asked on this connection, which by then knows whether it is an agent's.

    Names of secrets are candidates for a person at a terminal, and for nobody else.
    """
    from kept.agent import greeting, named  # noqa: PLC0415 - the banner's process may end before it needs this

    agent = named(environ)
    if argv[0] == "complete" and "vault" in argv and (agent or not _at_a_terminal()):
        return False
    if agent is None:
        return True
    greeted = answer(connection, greeting(agent, 0), GREETING_SECONDS)
    return greeted is not None and b'"error"' not in greeted


def _at_a_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def start_behind() -> None:
    """Have the daemon started by a process of its own session, which outlives the terminal; not waited for.

    Any number of them start one daemon (`kept.start`).
    """
    null = [(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_RDWR, 0) for descriptor in (0, 1, 2)]
    command = [sys.executable, "-P", "-m", "kept", "daemon", "start"]
    try:
        os.posix_spawn(sys.executable, command, os.environ, file_actions=null, setsid=True)
    except (OSError, NotImplementedError):
        return  # The next command that needs it starts it.


def typed() -> bytes | None:
    """What the shell says of commands on standard input; None for more than `STDIN_BYTES` and for what is no UTF-8."""
    parts = []
    size = 0
    try:
        while part := os.read(0, STDIN_BYTES):
            parts.append(part)
            size += len(part)
            if size > STDIN_BYTES:
                return None
        b"".join(parts).decode()
    except (OSError, UnicodeDecodeError):
        return None
    return b"".join(parts)
