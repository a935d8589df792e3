"""The folder of the backups: who is at work in it, what is in it, and what came of the last attempt.

A backup is made in a folder aside (`.partial-...`) and gets its name when it is whole and on the disk; what a crash
leaves aside is removed at the next start. Refuses to touch a folder that kept did not make: it is listed, with what is
wrong with it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import apsw
import msgspec
from msgspec import Struct

from kept.wire.errors import Conflict, NotFound, StorageFailed, StorageFull

from ..clock import to_micros
from ..home import UnusableHome, make_private, sync_folder, write_whole
from ..store import Store
from ..store.database import FAULTS
from .archive import ARCHIVE, BadBackup, Manifest, read_manifest

LAST = ".last"
"""The lock of whoever works here, and what came of the last attempt to make a backup."""

CHECK = "check.json"

UNFINISHED = "present.json"
"""In a folder that is to become a backup: the state that a restore replaced (`present`)."""

_PARTIAL = ".partial-"

_LAST_BYTES = 512
"""It is written over in place, within one sector, so that it can be said even on a full disk that there is no room."""

_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Attempt(Struct, frozen=True):
    """What came of something, and when (microseconds since 1970); `problem` is None where it went well."""

    at: int
    problem: str | None


class Found(Struct, frozen=True, kw_only=True):
    """A backup in the folder, or what looks like one. Without a manifest it is not usable, and `problem` says why."""

    id: str
    folder: Path
    created_at: int
    bytes: int
    manifest: Manifest | None
    checked: Attempt | None
    problem: str | None

    @property
    def is_verified(self) -> bool:
        """Whether it was restored aside and found whole."""
        return self.problem is None and self.checked is not None


_encode = msgspec.json.Encoder().encode
_decode_attempt = msgspec.json.Decoder(Attempt).decode


@contextmanager
def storage_faults(what: str) -> Iterator[None]:
    """Turn what the disk raises while `what` is done into the errors that a caller knows."""
    full = StorageFull(f"the disk has no room for {what}", hint="Nothing was changed. Free some disk space and repeat.")
    try:
        yield
    except apsw.FullError:
        raise full from None
    except (OSError, UnusableHome, *FAULTS) as fault:
        if isinstance(fault, OSError) and fault.errno in _FULL:
            raise full from None
        raise StorageFailed(
            f"the disk failed during {what} ({type(fault).__name__})",
            hint="The database was not changed. `kept status` says how the storage is.",
        ) from fault


class Place:
    """The folder. Its methods block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, store: Store) -> Self:
        """The one beside an open database."""
        return cls(store.path.with_name("backups"))

    def clear(self) -> list[str]:
        """Remove what a crash left aside, and give the ids of the backups that it cut off: while they were made, or
        before they were checked for the first time. At start, before anybody is at work. Raises `OSError` or
        `UnusableHome`."""
        make_private(self.folder)
        cut_off = []
        for name in sorted(os.listdir(self.folder)):
            if not name.startswith((_PARTIAL, ".deleted-")):
                continue
            backup_id = name.removeprefix(_PARTIAL).removeprefix("check-")
            if _ID.fullmatch(backup_id) and not (self.folder / backup_id / CHECK).exists():
                cut_off.append(backup_id)
            _remove(self.folder / name)
        return cut_off

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Work here alone. Raises `Conflict` where somebody is at work. A process that ends lets go."""
        with storage_faults("a backup"):
            make_private(self.folder)
            lock = os.open(self.folder / LAST, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Conflict("another backup or restore is at work", hint="Wait for it to end, and repeat.") from None
            yield
        finally:
            os.close(lock)

    @contextmanager
    def aside(self, name: str) -> Iterator[Path]:
        """A folder to work in, which is gone in the end unless it was settled. Raises `OSError`."""
        folder = self.folder / f"{_PARTIAL}{name}"
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            _remove(folder)

    def settle(self, aside: Path, backup_id: str) -> Path:
        """Give a folder whose files are on the disk its name, for good. Raises `OSError`."""
        sync_folder(aside)
        settled = self.folder / backup_id
        aside.rename(settled)
        sync_folder(self.folder)
        return settled

    def listed(self) -> list[Found]:
        """What is there, newest first. One that can't be used is listed with its problem."""
        try:
            names = [name for name in os.listdir(self.folder) if not name.startswith(".")]
        except FileNotFoundError:
            return []
        found = [look(self.folder / name) for name in names]
        return sorted(found, key=lambda one: (one.created_at, one.id), reverse=True)

    def unfinished(self) -> list[str]:
        """The ids of those that are not backups yet: states that a restore replaced, oldest first."""
        return sorted(path.parent.name for path in self.folder.glob(f"[0-9]*/{UNFINISHED}"))

    def find(self, backup_id: str) -> Found:
        """One backup. Raises `NotFound`."""
        folder = self.folder / backup_id
        if not _ID.fullmatch(backup_id) or not folder.is_dir():
            raise NotFound(f"there is no backup {backup_id}", hint="backup.list shows what there is.")
        return look(folder)

    def delete(self, backup_id: str) -> None:
        """Remove a backup: whole or not at all for whoever looks. Raises `NotFound` or `OSError`."""
        found = self.find(backup_id)
        doomed = self.folder / f".deleted-{backup_id}"
        found.folder.rename(doomed)
        sync_folder(self.folder)
        _remove(doomed)

    def record_check(self, backup_id: str, check: Attempt) -> None:
        """Keep what came of a check beside the backup. Raises `OSError`."""
        write_whole(self.folder / backup_id / CHECK, _encode(check))

    def record_attempt(self, attempt: Attempt) -> None:
        """Keep what came of the last attempt to make a backup. Raises `OSError`."""
        content = _encode(attempt).ljust(_LAST_BYTES)
        descriptor = os.open(self.folder / LAST, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.pwrite(descriptor, content, 0)
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)

    def last_attempt(self) -> Attempt | None:
        """What came of it; None where there was none, or it can't be read."""
        return _read_attempt(self.folder / LAST)


def look(folder: Path) -> Found:
    """What a folder is, without looking into its archive. Never raises for what is wrong with it."""
    name = folder.name.encode(errors="replace").decode()
    manifest, problem = _identify(folder, name)
    if manifest is None:
        return Found(
            id=name,
            folder=folder,
            created_at=_made_at(folder),
            bytes=_size(folder),
            manifest=None,
            checked=None,
            problem=problem,
        )
    checked = _read_attempt(folder / CHECK)
    return Found(
        id=name,
        folder=folder,
        created_at=manifest.created_at,
        bytes=manifest.archive_bytes,
        manifest=manifest,
        checked=checked,
        problem=checked.problem if checked else None,
    )


def _identify(folder: Path, name: str) -> tuple[Manifest | None, str | None]:
    """The manifest of a usable backup, or what is wrong."""
    try:
        if folder.is_symlink() or not folder.is_dir():
            return None, "it is no folder"
        if (folder / UNFINISHED).exists():
            return None, "it is not finished: the next backup, or the next start of the daemon, makes it whole"
        manifest = read_manifest(folder)
        size = (folder / ARCHIVE).stat().st_size
    except BadBackup as bad:
        return None, str(bad)
    except FileNotFoundError:
        return None, f"{ARCHIVE} is missing"
    except OSError as fault:
        return None, f"it can't be read ({fault.strerror})"
    if manifest.id != name:
        return None, f"it is the backup {manifest.id}, under another name"
    if size != manifest.archive_bytes:
        return None, f"{ARCHIVE} is cut short, or has something behind its end"
    return manifest, None


def _read_attempt(path: Path) -> Attempt | None:
    try:
        with path.open("rb") as file:
            return _decode_attempt(file.read(_LAST_BYTES))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _made_at(folder: Path) -> int:
    """From its name, or else from its files' times."""
    if _ID.fullmatch(folder.name):
        try:
            return to_micros(datetime.strptime(folder.name[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC))
        except ValueError:
            pass
    try:
        return folder.lstat().st_mtime_ns // 1000
    except OSError:
        return 0


def _size(folder: Path) -> int:
    try:
        return sum(entry.stat(follow_symlinks=False).st_size for entry in os.scandir(folder))
    except OSError:
        return 0


def _remove(path: Path) -> None:
    """A folder that kept made, or nothing."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
