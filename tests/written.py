"""Waiting until a file is written to: inotify(7), for which Python has no module."""

from __future__ import annotations

import ctypes
import os
import select
from pathlib import Path
from typing import Self

from .harness import PATIENCE

_IN_MODIFY = 0x2
_EVENT_BYTES = 4096


class Written:
    """From its making on every write to the file counts, also one before `wait` is called."""

    def __init__(self, path: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        # IN_CLOEXEC has the value of O_CLOEXEC.
        self._events: int = libc.inotify_init1(os.O_CLOEXEC)
        watch: int = libc.inotify_add_watch(self._events, os.fsencode(path), _IN_MODIFY)
        assert watch > 0, os.strerror(ctypes.get_errno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._events)

    def wait(self) -> None:
        """Return when it was written to since the last time."""
        ready, _, _ = select.select([self._events], [], [], PATIENCE)
        assert ready, f"nothing was written for {PATIENCE:.0f} s"
        os.read(self._events, _EVENT_BYTES)
