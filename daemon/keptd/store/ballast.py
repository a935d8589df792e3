"""The ballast: a file that takes up room while all is well, and is given back when the disk is full.

On a full disk SQLite can't even delete, because a deletion is written to the log first. What the ballast frees lets
calls that make room go through.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


class Ballast:
    """A reserve of `size` bytes at `path`; 0 means none is kept."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size

    def hold(self) -> bool:
        """Take up the room, if the disk has twice as much free; True where the reserve is there. Never raises."""
        held = self._held()
        if held > self._size:
            # It was made with a larger setting, which no longer holds.
            self.release()
            held = 0
        if held == self._size:
            return True
        try:
            room = os.statvfs(self._path.parent)
            if room.f_bavail * room.f_frsize < 2 * self._size:
                return False
            self._take()
        except OSError:
            self.release()
            return False
        return True

    def release(self) -> None:
        """Give the room back to the file system. Never raises: where that fails, there is no more room than before."""
        with suppress(OSError):
            os.truncate(self._path, 0)

    def _held(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def _take(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self._size)
        finally:
            os.close(descriptor)
