"""Where the homes of tests lie.

A daemon syncs every commit, and a disk takes milliseconds for that, which a suite of thousands of daemons spends
waiting. No test can cut the power, so none could tell whether a sync reached a disk: what comes of a sync that fails,
lies or never ends is tested on a disk that is made to (`faulty_vfs`). Memory is where the homes lie, therefore, if
there is enough of it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DISK = "/tmp"
"""For what is about a disk: damage that a kill leaves, and what is told of the file system."""

MEMORY = "/dev/shm"
ENOUGH = 2 * 1024**3
"""Bytes that are free there. A container has 64 MiB by default."""


def _homes() -> str:
    try:
        room = os.statvfs(MEMORY)
    except OSError:
        return DISK
    return MEMORY if room.f_bavail * room.f_frsize >= ENOUGH and os.access(MEMORY, os.W_OK) else DISK


HOMES = _homes()
"""Near the root: a socket's path has at most 107 bytes."""


@contextmanager
def on_disk() -> Iterator[Path]:
    """A folder on a disk, where what is killed is killed between two syncs that take their time, and where files don't
    count as a process's memory."""
    with tempfile.TemporaryDirectory(prefix="kept-disk-", dir=DISK) as folder:
        yield Path(folder)
