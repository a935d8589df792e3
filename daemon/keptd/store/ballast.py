"""The ballast: a file that takes up room while all is well, and is given back when the disk is full.

On a full disk SQLite can't even delete, because a deletion is written to the log first. What the ballast frees lets
calls that make room go through.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from kept.wire.errors import StorageFull

START_BYTES = 256 * 1024
"""What stays for a start on a disk without any room: the memory that connections share is a file of 32 KiB, and a
deletion or two should go through."""

_MIB = 1024 * 1024


class Ballast:
    """A reserve of `size` bytes beside the database; 0 means none is kept."""

    def __init__(self, database: Path, size: int) -> None:
        self._path = database.with_name("ballast")
        self._size = size

    def hold(self) -> bool:
        """Take up the room, if the disk has twice as much free; True where the reserve is there. Never raises."""
        self._keep(self._size)  # It may have been made with a larger setting.
        if self._held() == self._size:
            return True
        try:
            if not self.fits():
                return False
            self._take()
        except OSError:
            self.release()
            return False
        return True

    def is_whole(self) -> bool:
        """Whether all of it is there. Never raises."""
        return self._held() >= self._size

    def fits(self, more: int = 0) -> bool:
        """Whether it could be held if `more` bytes were given back."""
        return self._free() + more >= 2 * self._size

    def told(self) -> str:
        """How a disk is where it can't be held."""
        state = f"the disk counts as full until {2 * self._size / _MIB:,.1f} MiB are free"
        return f"{state if self._size else 'the disk is full'}: reads go on, and calls that make room"

    def refusal(self) -> StorageFull:
        """Of a write while it can't be held. A disk may have much room and still count as full, so this says how much
        it takes. Never raises."""
        try:
            free = self._free()
        except OSError:
            free = None
        if not self._size or free is None:
            return StorageFull("the disk is full")
        needed = 2 * self._size
        return StorageFull(
            f"the disk is as good as full: {free / _MIB:,.1f} MiB are free, and kept wants {needed / _MIB:,.1f}",
            hint="Nothing was written; reading still works. Free some disk space and repeat, or give "
            "storage.ballast_bytes, which is half of that, a smaller value and restart the daemon.",
            free_bytes=free,
            needed_bytes=needed,
        )

    def release(self) -> None:
        """Give the room back, but for what the next start may need."""
        self._keep(min(self._size // 4, START_BYTES))

    def release_all(self) -> None:
        """Give all of the room back."""
        self._keep(0)

    def _free(self) -> int:
        room = os.statvfs(self._path.parent)
        return room.f_bavail * room.f_frsize

    def _keep(self, size: int) -> None:
        # Where this fails, there is no more room than before.
        with suppress(OSError):
            if self._held() > size:
                os.truncate(self._path, size)

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
