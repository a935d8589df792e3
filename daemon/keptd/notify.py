"""The service manager's side of the process: what it gave through the environment, and what it is told.

The protocols are those of sd_notify(3), sd_watchdog_enabled(3) and sd_listen_fds(3); without a manager nothing is said.
The variables are taken out of the environment, so that no child speaks in the daemon's name. Refuses to raise or to
wait: a manager that doesn't listen must not hold the daemon up.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

VARIABLES = frozenset(
    ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID")
)
"""What the manager sets for the one process that it starts."""

FIRST_DESCRIPTOR = 3
"""Where the sockets that are passed begin (SD_LISTEN_FDS_START)."""

MOST_DESCRIPTORS = 1024
"""Above this, a count of descriptors is none."""

OF_ITSELF = "keptd.itself"
"""The name of the socket that a daemon passes to the one which takes its place in the same process."""

LONGEST_STATUS = 500
"""Characters of a sentence: it is shown on one line."""

EXTENSION_SECONDS = 60.0
"""How much longer each beat lets a start take."""

BEAT_SECONDS = 20.0
"""How often a start asks for that: twice more than it must."""


class Notifier:
    """Tells the manager how the service is. From any thread."""

    def __init__(self, address: str = "") -> None:
        """`address` is a path, or `@` and a name in the abstract namespace; anything else is nobody."""
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._owed = ""
        """A state that the manager's full queue did not take: it goes before what is said next."""
        self._socket: socket.socket | None = None
        if address.startswith(("/", "@")):
            with suppress(OSError):
                # Held, so that a process that has run out of descriptors can still say that it is alive.
                kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
                self._socket = socket.socket(socket.AF_UNIX, kind)

    def close(self) -> None:
        """Nothing is said any more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    @property
    def is_heard(self) -> bool:
        """Whether there is a manager."""
        return self._socket is not None

    def ready(self, status: str) -> None:
        """The start, or a reload, is done."""
        self._state("READY=1", status)

    def reloading(self) -> None:
        """A reload begins; `ready` ends it."""
        self._state(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}", "reading the settings again")

    def stopping(self, status: str) -> None:
        """The end begins."""
        self._state("STOPPING=1", status)

    def status(self, sentence: str) -> None:
        """How it is, in a sentence for people."""
        self._send(f"STATUS={_line(sentence)}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    @contextmanager
    def extending(self) -> Iterator[None]:
        """Ask for more time, from a thread, while what is inside takes its time.

        There is no bound: a recovery takes as long as the database is large, and one that is ended begins anew.
        """
        if not self.is_heard:
            yield
            return
        done = threading.Event()
        thread = threading.Thread(target=self._extend, args=(done,), name="keptd-extending", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _extend(self, done: threading.Event) -> None:
        while True:
            self._send(f"EXTEND_TIMEOUT_USEC={int(EXTENSION_SECONDS * 1_000_000)}")
            if done.wait(BEAT_SECONDS):
                return

    def _state(self, state: str, status: str) -> None:
        self._owed = ""  # What it would have said is no longer so.
        if not self._send(f"{state}\nSTATUS={_line(status)}"):
            self._owed = f"{state}\n"

    def _send(self, message: str) -> bool:
        """Whether the manager has it, or there is nobody who could."""
        if self._socket is None:
            return True
        owed = self._owed
        try:
            self._socket.sendto(f"{owed}{message}\n".encode(errors="replace"), self._address)
        except BlockingIOError:
            return False
        except (OSError, ValueError):
            return True  # Nobody is there any more, or never was.
        if owed and self._owed == owed:
            self._owed = ""
        return True


@dataclass(frozen=True, slots=True)
class Service:
    """What the manager gave: whom to tell, how often to feed the watchdog at least (None: never), and the sockets that
    it passed, each a descriptor and its name."""

    notifier: Notifier = field(default_factory=Notifier)
    watchdog_seconds: float | None = None
    passed: tuple[tuple[int, str], ...] = ()


def take(environ: MutableMapping[str, str], pid: int) -> Service:
    """What the manager gave the process `pid`; its variables are removed from `environ`.

    What it gave another process, as the environment of a child shows it, and what is no number, counts as not given.
    """
    given = {name: environ.pop(name, "") for name in VARIABLES}
    micros = _number(given["WATCHDOG_USEC"])
    watched = micros > 0 and given["WATCHDOG_PID"] in ("", str(pid))
    return Service(
        Notifier(given["NOTIFY_SOCKET"]),
        micros / 1_000_000 if watched else None,
        _passed(given) if given["LISTEN_PID"] == str(pid) else (),
    )


def _passed(given: MutableMapping[str, str]) -> tuple[tuple[int, str], ...]:
    count = _number(given["LISTEN_FDS"])
    names = given["LISTEN_FDNAMES"].split(":") if given["LISTEN_FDNAMES"] else []
    descriptors = range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + (count if count <= MOST_DESCRIPTORS else 0))
    for descriptor in descriptors:
        with suppress(OSError):  # Whoever uses it finds out that it is not open.
            os.set_inheritable(descriptor, False)
    return tuple((one, names[at] if at < len(names) else "unknown") for at, one in enumerate(descriptors))


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _line(sentence: str) -> str:
    return " ".join(sentence.split())[:LONGEST_STATUS]
