"""A real file system of a few megabytes, where the machine lets a test mount one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class SmallDisk:
    """A file system at `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self, but: int = 0) -> None:
        """Take up all of the room that is left, `but` bytes excepted, as anybody else's files would."""
        with self._filler.open("ab", buffering=0) as file:
            wanted = self.free() - but
            size = 1024 * 1024
            while wanted > 0 and size:
                try:
                    wanted -= file.write(bytes(min(size, wanted)))
                except OSError:
                    size //= 2

    def free(self) -> int:
        room = os.statvfs(self.folder)
        return room.f_bavail * room.f_frsize

    def clear(self) -> None:
        """Give the room back."""
        self._filler.unlink()


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[SmallDisk]:
    """Skips the test where nothing can be mounted."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "kept-test", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
        refusal = mounted.stderr.strip()
    except FileNotFoundError:
        refusal = "there is no mount command"
    if not os.path.ismount(folder):
        pytest.skip(f"needs a file system of its own, as root has it with `{' '.join(command)}`: {refusal}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
