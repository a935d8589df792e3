"""The ballast: a file that takes up room while all is well, and is given back when the disk is full.

On a full disk SQLite can't even delete, because a deletion is written to the log first. What the ballast frees lets
calls that make room go through.
"""

from __future__ import annotations

import os
from pathlib import Path


class Ballast:
    """A reserve of `size` bytes at `path`; 0 means none is kept."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size

    def hold(self) -> bool:
        """Take up the room, if the disk has twice as much free; True where the reserve is there."""
        if self._size == 0:
            return True
        if self._path.exists() and self._path.stat().st_size == self._size:
            return True
        room = os.statvfs(self._path.parent)
        if room.f_bavail * room.f_frsize < 2 * self._size:
            return False
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self._size)
        except OSError:
            os.ftruncate(descriptor, 0)
            return False
        finally:
            os.close(descriptor)
        return True

    def release(self) -> None:
        """Give the room back to the file system."""
        if self._path.exists():
            os.truncate(self._path, 0)
