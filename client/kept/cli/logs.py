"""What the daemon has said: the journal's words of its unit, or the end of its log file, and what is added to it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator

import msgspec

from ..start import readable
from .surface import FINE, REFUSED, Surface
from .text import as_json, one_line

_BYTES_PER_LINE = 2048
"""More than a line has; what is read of the file's end is bounded by it."""

_LOOK_SECONDS = 0.25


def of_journal(command: list[str]) -> int:
    """Run journalctl on this process's streams; its exit code."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode  # noqa: S603 - as it is built


def of_file(path: str, lines: int, *, follow: bool, surface: Surface) -> int:
    """The last lines of the file, each as text or as one JSON document; then, until Ctrl-C, what is added."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - lines * _BYTES_PER_LINE))
            end = file.read().decode(errors="replace").splitlines()[-lines:] if lines else []
            place = file.tell()
    except FileNotFoundError:
        surface.err("kept: the daemon has written no log yet\n")
        return REFUSED
    for line in end:
        _show(line, surface)
    if follow:
        for line in _added(path, place):
            _show(line, surface)
    return FINE


def _added(path: str, place: int) -> Iterator[str]:
    """Whole lines as they come, also after the file was set aside and begun anew. Without end."""
    rest = b""
    while True:
        time.sleep(_LOOK_SECONDS)
        try:
            with open(path, "rb") as file:
                if file.seek(0, os.SEEK_END) < place:
                    place, rest = 0, b""
                file.seek(place)
                *whole, rest = (rest + file.read()).split(b"\n")
                place = file.tell()
        except FileNotFoundError:
            continue
        yield from (line.decode(errors="replace") for line in whole)


def _show(line: str, surface: Surface) -> None:
    if surface.json:
        try:
            document = msgspec.json.decode(line)
        except msgspec.DecodeError:
            document = {"event": line}
        surface.line(as_json(document, 0))
    else:
        surface.line(one_line(readable(line) if surface.terminal else line))
