"""The marker: a file `running` in the data folder, there while a daemon serves, so that the next start knows how the
last run ended. What a power cut leaves says "unclean"; a run that met damage says so itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from kept.paths import MARKER

from ..home import sync_folder

Ending = Literal["clean", "unclean", "damaged"]

_RUNNING = b"running\n"
_DAMAGED = b"damaged\n"


class Marker:
    """The marker of a data folder. Its methods raise `OSError`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / MARKER

    def ending(self) -> Ending:
        """How the last run ended; a first run has none before it, and begins clean."""
        try:
            return "damaged" if self._path.read_bytes() == _DAMAGED else "unclean"
        except FileNotFoundError:
            return "clean"

    def set(self) -> None:
        """A run begins. It is on the disk when this returns."""
        self._write(_RUNNING)

    def damaged(self) -> None:
        """The run ends because it met damage."""
        self._write(_DAMAGED)

    def clear(self) -> None:
        """The run has ended, with everything in order. If this doesn't reach the disk, the next start checks more."""
        self._path.unlink(missing_ok=True)

    def _write(self, content: bytes) -> None:
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(file, content)
            os.fsync(file)
        finally:
            os.close(file)
        sync_folder(self._folder)
