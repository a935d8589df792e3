"""What the daemon has said: the journal's words of its unit, or the end of its log file, and what is added to it.

Refuses to follow a symbolic link, and to read what is no regular file.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from io import FileIO

import msgspec

from ..regular import opened
from ..start import readable
from .surface import FINE, REFUSED, Surface
from .text import as_json, one_line

_BYTES_PER_LINE = 2048
"""More than a line has; what is read of the file's end is bounded by it."""

_CHUNK = 64 * 1024

_LONGEST = 1024 * 1024
"""Bytes after which a line without an end is shown."""

_LOOK_SECONDS = 0.25


def of_journal(command: list[str]) -> int:
    """Run journalctl on this process's streams; its exit code."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode  # noqa: S603 - as it is built


def of_file(path: str, lines: int, *, follow: bool, surface: Surface) -> int:
    """The last lines of the file, each as text or as one JSON document; then, until Ctrl-C, what is added."""
    try:
        file = FileIO(opened(path))
    except FileNotFoundError:
        surface.err("kept: the daemon has written no log yet\nhint: kept daemon start starts it.\n")
        return REFUSED
    except OSError as fault:
        surface.err(f"kept: {one_line(path)} can't be read: {fault.strerror}\nhint: kept doctor looks at the home.\n")
        return REFUSED
    with closing(_Followed(path, file)) as log:
        for line in log.end(lines, whole=follow):
            _show(line, surface)
        while follow:
            for line in log.added():
                _show(line, surface)
            time.sleep(_LOOK_SECONDS)
    return FINE


class _Followed:
    """A log that is written to, set aside and begun anew meanwhile. Gives whole lines."""

    def __init__(self, path: str, file: FileIO) -> None:
        self._path = path
        self._file = file
        self._begun = b""
        """Of a line whose end was not written yet."""

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def end(self, lines: int, *, whole: bool) -> list[str]:
        """The last lines that are there; what is added comes after them, and so does a line that has no end yet, where
        they are to be `whole`."""
        size = self._file.seek(0, os.SEEK_END)
        begin = self._file.seek(max(0, size - (lines + 1) * _BYTES_PER_LINE))
        found = list(self._whole())
        # Cut off in its midst.
        found = found[1:] if begin else found
        if not whole:
            found += self._rest()
        return found[-lines:] if lines else []

    def added(self) -> Iterator[str]:
        """What was added since the last look, of a file that has taken the place as well."""
        yield from self._whole()
        fresh = self._taken_over()
        if fresh is not None:
            # Once more: until it was set aside, the other could be written to.
            yield from self._whole()
            yield from self._rest()
            self._file.close()
            self._file = fresh
            yield from self._whole()

    def _whole(self) -> Iterator[str]:
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            # Emptied in its place.
            self._file.seek(0)
            self._begun = b""
        while chunk := self._file.read(_CHUNK):
            *whole, self._begun = (self._begun + chunk).split(b"\n")
            yield from (line.decode(errors="replace") for line in whole)
            if len(self._begun) > _LONGEST:
                yield from self._rest()

    def _rest(self) -> Iterator[str]:
        """The line that has no end, if there is one."""
        if self._begun:
            yield self._begun.decode(errors="replace")
            self._begun = b""

    def _taken_over(self) -> FileIO | None:
        """The file that stands at the path now, where that is another."""
        try:
            if os.path.samestat(os.stat(self._path), os.fstat(self._file.fileno())):
                return None
            return FileIO(opened(self._path))
        except OSError:
            return None  # It was removed, and none is there yet.


def _show(line: str, surface: Surface) -> None:
    if surface.json:
        try:
            document = msgspec.json.decode(line)
        except (msgspec.DecodeError, RecursionError):
            document = {"event": line}
        surface.line(as_json(document, 0))
    else:
        surface.line(one_line(readable(line) if surface.terminal else line))
