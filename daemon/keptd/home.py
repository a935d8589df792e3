"""The home: kept's folders, and the lock that lets one daemon own them.

Refuses a folder that is a symlink or another user's, and a home that another daemon has. The lock is the operating
system's (flock), so that a daemon that was killed leaves none behind.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR

from kept.paths import Paths

_WRITABLE_BY_OTHERS = 0o022


class UnusableHome(Exception):
    """The daemon can't start here. The text says why, and what to do."""


class HomeTaken(UnusableHome):
    """Another daemon has the home, for now."""


def prepare(paths: Paths) -> None:
    """Make what is missing, for the owner alone."""
    for folder in (paths.data_dir, paths.state_dir, paths.runtime_dir):
        make_private(Path(folder))


def make_private(folder: Path) -> None:
    """Make a folder with mode 0700, and its parents. Raises `UnusableHome` for what is no folder of the caller's own,
    or lets others write."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not S_ISDIR(found.st_mode):
        raise UnusableHome(
            f"{folder} is no folder (perhaps a symbolic link). Remove it, or set KEPT_HOME to another place."
        )
    if found.st_uid != os.geteuid():
        raise UnusableHome(
            f"{folder} belongs to uid {found.st_uid}. Set KEPT_HOME or KEPT_SOCKET to a place of your own."
        )
    # A folder that was there may have other uses, so its mode is not changed; the files in it are the owner's alone.
    if found.st_mode & _WRITABLE_BY_OTHERS:
        raise UnusableHome(f"other users can write to {folder}. Run: chmod go-w {folder}")


class HomeLock:
    """Holds the home until it is released, or the process ends."""

    def __init__(self, data_dir: str) -> None:
        """Raises `HomeTaken` where another daemon has it."""
        self._file = os.open(Path(data_dir, "keptd.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._file, 20, 0).decode(errors="replace").strip()
            os.close(self._file)
            whose = f" (pid {holder})" if holder.isdigit() else ""
            raise HomeTaken(
                f"another keptd{whose} has {data_dir}. Use it, or end it with `kept daemon stop`."
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another daemon have the home."""
        os.close(self._file)
