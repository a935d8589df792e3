"""Opening a file that somebody else may have put there: never waits for a pipe, never takes anything but a file.

Imports nothing that a bare interpreter has not loaded.
"""

from __future__ import annotations

import errno
import os
from stat import S_ISREG


def opened(path: str, *, follow: bool = False) -> int:
    """A descriptor that reads the regular file at `path`; where it may be a symbolic link, `follow` it.

    Raises `OSError`, with EINVAL and a text of its own for what is no regular file.
    """
    # Without O_NONBLOCK, a pipe in its place would be waited for.
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | (0 if follow else os.O_NOFOLLOW))
    if S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    raise OSError(errno.EINVAL, "it is no regular file", path)


def beginning(path: str, most: int, *, follow: bool = False) -> bytes:
    """The first `most` bytes of a regular file. Raises `OSError` as `opened` does."""
    with open(opened(path, follow=follow), "rb") as file:
        return file.read(most)
