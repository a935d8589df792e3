"""A damaged archive put together again: the frames of it that are whole, and the lines of a backup's copy.

A frame has a checksum of its own, so that each is judged by itself, found by its first bytes: the table at the end of
the file is not needed. Nothing is written to the damaged file.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..zstd import ZstdDecompressor, ZstdError
from .archive import Line
from .frames import LARGEST_FRAME, Frames, is_table, write

_MAGIC = bytes.fromhex("28b52ffd")
"""The first bytes of each frame (RFC 8878, section 3.1.1)."""

_decode = msgspec.json.Decoder(Line).decode
_place = itemgetter(0)

Placed = tuple[int, bytes]
"""A line under its place."""


class _Sound(NamedTuple):
    """The lines of the frames that are whole, and whether these are all that the file had."""

    lines: list[Placed]
    is_all: bool


def salvage(damaged: Path, copied: Path | None, target: Path) -> str:
    """Write to `target` what can be read of an archive and of a copy of it; gives what is lost, in words, or nothing.

    Where nothing can be read, there is no `target`. Raises OSError.
    """
    sound = _sound(damaged.read_bytes())
    known = list(_lines(copied)) if copied is not None else []
    both = [next(same) for _, same in groupby(merge(sound.lines, known, key=_place), key=_place)]
    if not both:
        target.unlink(missing_ok=True)
        return "all of its archived actions"
    write(target, None, (line for _, line in both))
    if gaps := sum(after - before - 1 for (before, _), (after, _) in pairwise(both)):
        return f"up to {gaps} archived actions"
    is_same = copied is not None and copied.stat().st_size == damaged.stat().st_size
    return "" if is_same or sound.is_all else "perhaps its first or last archived actions"


def _sound(data: bytes) -> _Sound:
    found: list[Placed] = []
    frames = end = 0
    follow = True
    at = data.find(_MAGIC)
    while at >= 0:
        frame = ZstdDecompressor()
        try:
            plain = frame.decompress(data[at:], max_length=LARGEST_FRAME)
            lines = [(_decode(line).seq, line) for line in plain[:-1].split(b"\n")] if frame.eof else []
        except (ZstdError, msgspec.DecodeError):
            lines = []
        if lines:
            follow &= at == end
            frames, end = frames + 1, len(data) - len(frame.unused_data)
        found += lines
        at = data.find(_MAGIC, end if lines else at + 1)
    return _Sound(found, follow and is_table(data[end:], frames))


def _lines(path: Path) -> Iterator[Placed]:
    with Frames(path) as frames:
        for number in range(len(frames.table)):
            for line in frames.lines(number):
                yield _decode(line).seq, line
