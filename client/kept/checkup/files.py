"""The files of a home that no daemon serves: the settings, the database, how the last run ended, room, and backups.

Names, sizes and times only. Refuses to open the database.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from stat import S_ISREG

import msgspec
from msgspec import Struct

from ..cli.text import counted, one_line, roughly
from ..cli.text import size as bytes_told
from ..paths import MARKER, Paths
from ..regular import beginning
from ..wire.maintenance import Finding
from .findings import ok, problem, quoted, warning

START_BYTES = 16 * 1024 * 1024
"""Less free than this, and a start may not have the room that it needs."""

_MARKER_BYTES = 64
_CONFIG_BYTES = 1024 * 1024
_CHECK_BYTES = 512
_BACKUP = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")
"""As `kept.wire.backup.Id` has it."""


class _Check(Struct):
    """What came of the last check of a backup, beside it in check.json; `problem` is None where it was whole."""

    at: int
    problem: str | None


_decode_check = msgspec.json.Decoder(_Check).decode


def config(path: str) -> list[Finding]:
    """Whether the settings can be read at all; the daemon checks what they say."""
    try:
        text = beginning(path, _CONFIG_BYTES + 1, follow=True)
        if len(text) > _CONFIG_BYTES:
            step = "Move it away to go on with the defaults, and put what you have set into a new one."
            return [problem("settings", f"{path} has more than {bytes_told(_CONFIG_BYTES)}, so no daemon starts", step)]
        tomllib.loads(text.decode())
    except FileNotFoundError:
        return [ok("settings", "there is no config.toml, so the defaults hold")]
    except OSError as fault:
        step = f"chmod u+r {quoted(path)}" if isinstance(fault, PermissionError) else f"ls -ld {quoted(path)}"
        return [problem("settings", f"{path} can't be read ({fault.strerror}), so no daemon starts", step)]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as wrong:
        reason = "it is not UTF-8" if isinstance(wrong, UnicodeDecodeError) else str(wrong)
        step = "Correct that line, or move the file away to go on with the defaults."
        return [problem("settings", f"{path} is no TOML, so no daemon starts: {one_line(reason)}", step)]
    return [ok("settings", f"{path} can be read")]


def database(paths: Paths, *, runs: bool) -> Iterator[Finding]:
    """The database file and its log. `runs` tells that a daemon has them open."""
    size, log = _size(paths.database), _size(f"{paths.database}-wal")
    if size is None and os.path.lexists(paths.database):
        return  # What is in its place is told with the modes of files.
    if not size:
        if not log and not _backups(paths.backups) and not os.path.lexists(os.path.join(paths.data_dir, MARKER)):
            yield ok("database", "nothing is kept here yet")
            return
        missing = "empty" if size == 0 else "missing"
        step = "If you have moved it, put it back first. Else kept daemon start recovers it, and says what from."
        yield problem("database", f"{paths.database} is {missing}, although there has been one", step)
    else:
        yield ok("database", f"{paths.database} has {bytes_told(size)}")
    if log and not runs:
        yield ok(
            "database log", f"{paths.database}-wal ({bytes_told(log)}) holds acknowledged changes: never delete it"
        )


def ending(data_dir: str, *, runs: bool) -> Iterator[Finding]:
    """How the last run ended, as its marker says (`keptd.recovery.marker`)."""
    if runs:
        return
    try:
        said = beginning(os.path.join(data_dir, MARKER), _MARKER_BYTES).strip()
    except FileNotFoundError:
        return
    except OSError:
        said = b""
    if said == b"damaged":
        told = "the last run ended because it met damage in the database; the next start checks all of it and recovers"
        yield problem("last run", told, "kept daemon start recovers it, and kept doctor then says what became of it.")
    else:
        told = "it was ended from outside (a kill, or the power); the next start looks at the database"
        yield ok("last run", told)


def room(data_dir: str) -> Iterator[Finding]:
    """Whether the disk has room for a start."""
    try:
        found = os.statvfs(data_dir)
    except OSError:
        return
    free = found.f_bavail * found.f_frsize
    if free >= START_BYTES:
        yield ok("free space", f"{bytes_told(free)} are free on the disk")
    else:
        told = (
            f"only {bytes_told(free)} are free on the disk of {data_dir}; what is kept is safe, and nothing more fits"
        )
        yield problem(
            "free space", told, "Make room on that disk by moving other files away; leave kept's as they are."
        )


def backups(folder: str) -> Iterator[Finding]:
    """How many there are, and the newest; nothing where the folder can't be read, which is told with the folders."""
    if os.path.lexists(folder) and not os.access(folder, os.R_OK | os.X_OK):
        return
    names = _backups(folder)
    if not names:
        yield ok("backups", "there is none yet; a daemon makes one every day")
        return
    bad = [name for name in names if (said := _checked(folder, name)) is not None and said.problem]
    newest = f"the newest is {_age(names[-1])} ({names[-1]})"
    count = counted(len(names), "backup")
    if names[-1] in bad:
        step = "kept daemon start, and kept backup list shows which of the others are good."
        yield warning("backups", f"{count}; {newest}, and its check found it bad", step)
    else:
        state = "was checked and found whole" if _checked(folder, names[-1]) else "was not checked yet"
        yield ok("backups", f"{count}; {newest}, and {state}")


def _backups(folder: str) -> list[str]:
    """The names of the backups, oldest first: a name begins with its time."""
    try:
        return sorted(name for name in os.listdir(folder) if _BACKUP.fullmatch(name))
    except OSError:
        return []


def _checked(folder: str, name: str) -> _Check | None:
    try:
        return _decode_check(beginning(os.path.join(folder, name, "check.json"), _CHECK_BYTES))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _age(name: str) -> str:
    try:
        made = datetime.strptime(name[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return "of unknown age"
    return f"{roughly(max(0.0, (datetime.now(UTC) - made).total_seconds()))} old"


def _size(path: str) -> int | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_size if S_ISREG(found.st_mode) else None
