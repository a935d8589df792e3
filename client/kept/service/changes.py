"""The unit files on the disk: what would change, written and removed whole or not at all."""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from stat import S_ISREG
from typing import Literal

from msgspec import Struct

from ..paths import BadPlace
from ..regular import beginning
from .units import Unit, is_own

Action = Literal["write", "replace", "keep", "remove"]

_UNIT_BYTES = 1024 * 1024
"""More than any unit has."""

_WANTED_BY = ("default.target.wants", "sockets.target.wants")


class FileChange(Struct, frozen=True, kw_only=True):
    """What becomes of a unit file. `edited` is whether somebody has changed it by hand, or made it a symbolic link, to
    `link`; `masked` whether it is the mark by which somebody has turned the unit off (systemd.unit(5)), which no
    command of kept's takes away; `diff` is unified."""

    path: str
    action: Action
    edited: bool = False
    link: str = ""
    masked: bool = False
    diff: str = ""


class Change(Struct, frozen=True, kw_only=True):
    """What a command did to the service, or would do: files, then what the manager is told.

    `supervised` is False where no manager can be reached, and the daemon is started by the first call instead. `pid` is
    of the daemon that runs afterwards, None where none does.
    """

    service: str
    supervised: bool
    dry_run: bool
    files: tuple[FileChange, ...] = ()
    commands: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    pid: int | None = None

    @property
    def is_nothing(self) -> bool:
        """Whether all was so already."""
        return not self.commands and all(one.action == "keep" for one in self.files)


def folder(environ: Mapping[str, str]) -> str:
    """Where a user's own units are (systemd.unit(5)). Raises `BadPlace` where there is no home folder."""
    config = environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(config):
        home = environ.get("HOME", "")
        if not os.path.isabs(home):
            raise BadPlace("neither XDG_CONFIG_HOME nor HOME is an absolute path.\nSet HOME.")
        config = os.path.join(home, ".config")
    return os.path.join(config, "systemd", "user")


def writing(units: Iterable[Unit], place: str) -> tuple[FileChange, ...]:
    """What writing these units to `place` would change. Raises `OSError`."""
    return tuple(_writing(unit, os.path.join(place, unit.name)) for unit in units)


def _writing(unit: Unit, path: str) -> FileChange:
    found, link = read(path), _link(path)
    if found == unit.text:
        return FileChange(path=path, action="keep", link=link)
    if is_mask(path):
        return FileChange(path=path, action="keep", masked=True)
    if found is None:
        return FileChange(path=path, action="replace" if link else "write", edited=bool(link), link=link)
    lines = difflib.unified_diff(found.splitlines(), unit.text.splitlines(), path, f"{path} (kept's)", n=1, lineterm="")
    edited = bool(link) or not is_own(found)
    return FileChange(
        path=path, action="replace", edited=edited, link=link, diff="".join(f"{line}\n" for line in lines)
    )


def removing(units: Iterable[Unit], place: str) -> tuple[FileChange, ...]:
    """What removing these units from `place` would change. Raises `OSError`."""
    return tuple(_removing(os.path.join(place, unit.name)) for unit in units if _is_there(place, unit))


def _removing(path: str) -> FileChange:
    if is_mask(path):
        return FileChange(path=path, action="keep", masked=True)
    link = _link(path)
    return FileChange(path=path, action="remove", edited=bool(link) or not is_own(read(path) or ""), link=link)


def _is_there(place: str, unit: Unit) -> bool:
    _check_folder(place)
    return os.path.lexists(os.path.join(place, unit.name))


def is_mask(path: str) -> bool:
    """Whether the file turns its unit off: it is empty, or a link to /dev/null (systemd.unit(5))."""
    try:
        found = os.stat(path)
    except OSError:
        return False
    return found.st_size == 0 and (S_ISREG(found.st_mode) or os.path.realpath(path) == os.devnull)


def write(units: Iterable[Unit], place: str) -> None:
    """Put the units there, all or none, each in one step and on the disk. Raises `OSError`, and leaves no folder then
    that it has made."""
    missing = _missing(place)
    written: list[tuple[str, str]] = []
    try:
        os.makedirs(place, mode=0o755, exist_ok=True)
        for unit in units:
            aside = os.path.join(place, f".{unit.name}.new")
            with suppress(FileNotFoundError):
                os.unlink(aside)
            written.append((aside, os.path.join(place, unit.name)))
            with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644), "w") as file:
                file.write(unit.text)
                file.flush()
                os.fsync(file.fileno())
        for aside, path in written:
            os.replace(aside, path)
    finally:
        for aside, _ in written:
            with suppress(FileNotFoundError):
                os.unlink(aside)
        for folder in missing:
            with suppress(OSError):  # It holds the units, or was not made.
                os.rmdir(folder)


def _missing(folder: str) -> list[str]:
    """The folders that have to be made so that this one is there, the last first."""
    missing = []
    while not os.path.lexists(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    return missing


def remove(units: Iterable[Unit], place: str) -> None:
    """Remove the units, the links by which they are enabled, and the folders that are empty then. Raises `OSError`."""
    for unit in units:
        path = os.path.join(place, unit.name)
        for wanted in _WANTED_BY:
            link = os.path.join(place, wanted, unit.name)
            # systemctl disable has removed it, where it could be asked.
            if os.path.islink(link):
                os.unlink(link)
        with suppress(FileNotFoundError):
            os.unlink(path)
    for empty in (*(os.path.join(place, wanted) for wanted in _WANTED_BY), place, os.path.dirname(place)):
        with suppress(OSError):  # It is not there, or holds something else.
            os.rmdir(empty)


def read(path: str) -> str | None:
    """The text of a unit file; None where there is none, or a link to none. Raises `OSError`."""
    _check_folder(os.path.dirname(path))
    try:
        return beginning(path, _UNIT_BYTES, follow=True).decode(errors="replace")
    except FileNotFoundError:
        return None
    except OSError:
        if is_mask(path):
            return None
        raise


def _link(path: str) -> str:
    """Where a symbolic link leads to; nothing where it is none."""
    return os.readlink(path) if os.path.islink(path) else ""


def _check_folder(folder: str) -> None:
    """Raise `NotADirectoryError` with the name of what stands in the folder's way."""
    missing = _missing(folder)
    folder = os.path.dirname(missing[-1]) if missing else folder
    if not os.path.isdir(folder):
        raise NotADirectoryError(errno.ENOTDIR, "it is not a folder", folder)
