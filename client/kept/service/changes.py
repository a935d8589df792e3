"""The unit files on the disk: what would change, written and removed whole or not at all."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Literal

from msgspec import Struct

from ..paths import BadPlace
from .units import Unit, is_own

Action = Literal["write", "replace", "keep", "remove"]

_WANTED_BY = ("default.target.wants", "sockets.target.wants")


class FileChange(Struct, frozen=True, kw_only=True):
    """What becomes of a unit file. `edited` is whether somebody has changed it by hand; `diff` is unified."""

    path: str
    action: Action
    edited: bool = False
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
    """What writing these units to `place` would change."""
    return tuple(_writing(unit, os.path.join(place, unit.name)) for unit in units)


def _writing(unit: Unit, path: str) -> FileChange:
    found = read(path)
    if found is None:
        return FileChange(path=path, action="write")
    if found == unit.text:
        return FileChange(path=path, action="keep")
    lines = difflib.unified_diff(
        found.splitlines(keepends=True), unit.text.splitlines(keepends=True), path, f"{path} (kept's)", n=1
    )
    return FileChange(path=path, action="replace", edited=not is_own(found), diff="".join(lines))


def removing(units: Iterable[Unit], place: str) -> tuple[FileChange, ...]:
    """What removing these units from `place` would change."""
    found = [(os.path.join(place, unit.name), read(os.path.join(place, unit.name))) for unit in units]
    return tuple(
        FileChange(path=path, action="remove", edited=not is_own(text)) for path, text in found if text is not None
    )


def write(units: Iterable[Unit], place: str) -> None:
    """Put the units there, each in one step and on the disk. Raises `OSError`."""
    os.makedirs(place, mode=0o755, exist_ok=True)
    for unit in units:
        path = os.path.join(place, unit.name)
        aside = os.path.join(place, f".{unit.name}.new")
        with suppress(FileNotFoundError):
            os.unlink(aside)
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644), "w") as file:
            file.write(unit.text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)


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
    """The text of a unit file; None where there is none. Raises `OSError`."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1024 * 1024)
    except FileNotFoundError:
        return None
