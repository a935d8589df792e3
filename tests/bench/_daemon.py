"""What the benchmarks share: a daemon in a home of its own, the machine's line, and pinning to one core."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

START_SECONDS = 30
STOP_SECONDS = 20

_PING = b'{"jsonrpc":"2.0","id":1,"method":"daemon.ping"}\n'


@contextmanager
def daemon(home: Path, *settings: str) -> Iterator[Path]:
    """A daemon with its home in `home` and each of `settings` as its `--set`; gives its socket once it answers.

    Raises `SystemExit` with its last words where it doesn't start.
    """
    home.mkdir(mode=0o700, exist_ok=True)
    log = home / "bench.log"
    options = [word for setting in settings for word in ("--set", setting)]
    with log.open("wb") as sink:
        process = subprocess.Popen([sys.executable, "-m", "keptd", *options], env=environment(home), stderr=sink)
    path = home / "run" / "keptd.sock"
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers(path):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the daemon did not start: {log.read_text(errors='replace')[-500:]}")
            time.sleep(0.01)
        yield path
    finally:
        end(process)


def environment(home: Path) -> dict[str, str]:
    """The environment in which `kept` and `keptd` have their home there.

    Modules are compiled once, as for any user, not at every start.
    """
    others = {name: value for name, value in os.environ.items() if not name.startswith("KEPT_")}
    others.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**others, "KEPT_HOME": str(home)}


def answers(path: Path) -> bool:
    """Whether somebody at the socket answers `daemon.ping`."""
    with socket.socket(socket.AF_UNIX) as connection, suppress(OSError):
        connection.connect(str(path))
        connection.sendall(_PING)
        return bool(connection.recv(4096))
    return False


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask the process to end, and make it end where it doesn't."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def pin_to_one_core() -> None:
    """Keep this process, and those that it starts from now on, on the last core that it may use.

    An idle virtual core takes about 30 µs to wake, which would hide every difference between two round trips.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def machine() -> str:
    """The machine in one line: processor, cores, kernel, Python, and the load, which others may cause."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    load = os.getloadavg()[0]
    processor = names[0] if names else platform.machine()
    return (
        f"{processor}, {os.cpu_count()} cores, Linux {platform.release()}, "
        f"Python {platform.python_version()}, load {load:.1f}"
    )
