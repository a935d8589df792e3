"""Starting the daemon where none runs: ten clients at once start one.

Owns the lock file beside the socket and the socket's folder, which it makes (0700) or refuses. Refuses to start a
second daemon where one serves. The daemon's own lock on its home is what guarantees that there is one; this lock only
spares the attempts.
"""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from .faults import NoDaemon, StartFailed
from .holder import elsewhere, holder
from .mounts import refusal
from .paths import DAMAGED, HOME_TAKEN, Paths
from .trust import check_folder, check_peer, check_socket

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

READY_SECONDS = 10.0
"""How long a daemon may take from its start to its first answer."""

_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.1
_TAKEN_PAUSE = 0.5
"""Between attempts while another daemon has the home: each is a process, and a line in the log."""

_LINES_READ = 8192

_OF_A_SERVICE = frozenset(
    ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID")
)
"""What a service manager said to the caller, where that is a service: the daemon must not speak in its name."""


def start(paths: Paths, seconds: float = READY_SECONDS, environ: Mapping[str, str] = os.environ) -> None:
    """Return when the home's daemon accepts connections, having started it where none did.

    That is at `paths.socket`, or, unless `environ` names the socket, where the daemon that has the home says that it
    serves. `seconds`, at most 10, bounds the whole. The daemon gets `environ`, a session of its own, and the log as its
    standard error. Of a named socket's folder no parents are made.

    Raises `StartFailed` where it can't be started, as on a file system that holds no home, or ends early, with its last
    line; `NoDaemon` where it is not ready in time, or serves at a socket that isn't the named one; `Untrusted` where
    the folder could be somebody else's.
    """
    end = time.monotonic() + min(seconds, READY_SECONDS)
    if why := refusal(paths.data_dir):
        raise StartFailed(why)
    try:
        if not environ.get("KEPT_SOCKET"):
            os.makedirs(os.path.dirname(paths.runtime_dir), mode=0o700, exist_ok=True)
        _make_folder(paths.runtime_dir)
        with _lock(paths.socket + ".lock", end):
            if not is_served(paths, environ):
                _spawn_until_ready(paths, end, environ)
    except OSError as fault:
        where = f"{fault.filename}: " if fault.filename else ""
        raise StartFailed(
            f"the daemon can't be started: {where}{fault.strerror or fault} (kept doctor looks at the home)"
        ) from fault


def is_served(paths: Paths, environ: Mapping[str, str]) -> bool:
    """Whether the home's daemon accepts connections, at its socket or where it says. Raises `Untrusted`."""
    if serves(paths.socket):
        return True
    other = elsewhere(paths, environ)
    return other is not None and serves(other)


def serves(path: str) -> bool:
    """Whether a daemon of the caller's accepts connections at `path`. Raises `Untrusted`."""
    try:
        check_socket(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1.0)
            probe.connect(path)
            check_peer(probe)
    except TimeoutError:
        return True  # Somebody listens, and is busy.
    except OSError:
        return False
    return True


def _make_folder(folder: str) -> None:
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        # Whoever made it: what counts is whose it is now. A symlink is refused as well.
        check_folder(folder)


@contextmanager
def _lock(path: str, end: float) -> Iterator[None]:
    """Hold the lock, or wait for it until `end`; it is free when its holder ends, however that happens."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        pause = _FIRST_PAUSE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise NoDaemon("another client has been starting the daemon for too long") from None
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        yield
    finally:
        os.close(descriptor)


def _spawn_until_ready(paths: Paths, end: float, environ: Mapping[str, str]) -> None:
    os.makedirs(paths.state_dir, mode=0o700, exist_ok=True)
    log = os.open(paths.log, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        before = os.fstat(log).st_size
        daemon = _spawn(log, environ)
        pause = _FIRST_PAUSE
        recovers = False
        while not is_served(paths, environ):
            ended = daemon.poll()
            if ended == DAMAGED and not recovers and not is_served(paths, environ):
                # It has met damage and left it to its next start, which recovers what there is, or says why it can't.
                recovers = True
                daemon = _spawn(log, environ)
                continue
            if ended not in (None, HOME_TAKEN) and not is_served(paths, environ):
                said = _last_line(log, before)
                raise StartFailed(f"the daemon ended with status {ended}: {said}\nkept doctor says what to do.")
            if ended == HOME_TAKEN:
                _refuse_second(paths)
            if time.monotonic() >= end:
                raise NoDaemon(f"the daemon was started, but is not ready yet; see {paths.log}")
            time.sleep(pause)
            pause = min(pause * 2, _TAKEN_PAUSE if ended == HOME_TAKEN else _LONGEST_PAUSE)
            if ended == HOME_TAKEN and not is_served(paths, environ):
                # One that is about to end, or that somebody else has just started, has the home.
                daemon = _spawn(log, environ)
    finally:
        os.close(log)


def _refuse_second(paths: Paths) -> None:
    """Raise `NoDaemon` where the daemon that has the home serves at a socket that is not to be used here."""
    found = holder(paths.data_dir)
    if found is not None and found[1] != paths.socket and serves(found[1]):
        raise NoDaemon(f"keptd (pid {found[0]}) already serves this home at {found[1]}")


def _spawn(log: int, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    daemon = subprocess.Popen(
        # -P: the folder that the caller happens to be in is no place to import a daemon from.
        [sys.executable, "-P", "-m", "keptd"],
        env={name: value for name, value in environ.items() if name not in _OF_A_SERVICE},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=log,
        start_new_session=True,
    )
    # It outlives this call, and perhaps this process; where not, somebody has to take note of its end.
    threading.Thread(target=daemon.wait, name="kept-reaper", daemon=True).start()
    return daemon


def _last_line(log: int, before: int) -> str:
    """What the daemon said last: the end of what was added to the log."""
    size = os.fstat(log).st_size
    begin = max(before, size - _LINES_READ)
    text = os.pread(log, _LINES_READ, begin).decode(errors="replace")
    lines = [line for line in text.splitlines() if line.strip()]
    return readable(lines[-1]) if lines else "it said nothing"


def readable(line: str) -> str:
    """A line of the log as text: of a JSON line the event and its fields."""
    try:
        fields = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return line
    if not isinstance(fields, dict):
        return line
    return " ".join(
        [
            str(fields.pop("event", "")),
            *(f"{name}={value}" for name, value in fields.items() if name not in ("time", "level")),
        ]
    )
