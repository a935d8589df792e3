"""Where a daemon's log is when a service manager runs it: in the journal, and not in a file of kept's.

Reads what the daemon has said of itself in the lock of its home, and what the kernel tells everybody of a process, and
looks where units are. The daemon hides its environment and its descriptors, so only itself can tell where its standard
error goes. Asks no service manager, which might not answer.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping

from ..holder import lock_of
from ..regular import beginning
from ..wire.maintenance import Finding
from .findings import ok

UNIT = "keptd.service"

_OF_THE_SYSTEM = ("/etc/systemd/user", "/run/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user")
"""Of systemd.unit(5), "User Unit Search Path", those that are the same for everybody."""

_UNIT_NAME = re.compile(r"[\w:@.-]{1,200}\.service", re.ASCII)
_MOST_BYTES = 256 * 1024


def journal_of(data_dir: str, pid: int) -> str | None:
    """The command that shows what the daemon `pid` of a home has said; None where that is not in the journal, or can't
    be told."""
    try:
        lines = beginning(lock_of(data_dir), _MOST_BYTES).splitlines()
    except OSError:
        return None
    if lines[:1] != [b"%d" % pid] or lines[2:3] != [b"journal"]:
        return None
    try:
        place = _read(f"/proc/{pid}/cgroup").decode(errors="replace").strip().rpartition(":")[2]
    except OSError:
        place = ""
    unit = place.rpartition("/")[2]
    if not _UNIT_NAME.fullmatch(unit):
        return _command(UNIT, by_user=True)
    return _command(unit, by_user="/user@" in place)


def service(environ: Mapping[str, str]) -> Iterator[Finding]:
    """That a unit is there to run the daemon, and where it says what became of it."""
    folder = next((each for each in _folders(environ) if os.path.isfile(os.path.join(each, UNIT))), None)
    if folder is not None:
        told = f"{UNIT} is in {folder}; what a daemon says that it runs is in the journal"
        yield ok("service", told, f"{_command(UNIT, by_user=True)} shows it.")


def _folders(environ: Mapping[str, str]) -> Iterator[str]:
    home = environ.get("HOME", "")
    for name, default in (("XDG_CONFIG_HOME", ".config"), ("XDG_DATA_HOME", ".local/share")):
        own = environ.get(name) or os.path.join(home, default)
        if os.path.isabs(own):
            yield os.path.join(own, "systemd/user")
    yield from _OF_THE_SYSTEM


def _command(unit: str, *, by_user: bool) -> str:
    return f"journalctl {'--user ' if by_user else ''}-u {unit.removesuffix('.service')}"


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(_MOST_BYTES)
