"""One archive file: lines in zstd frames, and a table of the frames at its end.

The form is the zstd seekable format, version 0.1.0 (contrib/seekable_format/zstd_seekable_compression_format.md of
zstd): frames one after the other, then a skippable frame with their sizes. `zstd -dc` gives all lines; a page unpacks
only the frames that it is in. Knows no action: a line is bytes.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

from kept.wire.errors import StorageFailed

from ..home import private, sync_folder
from ..zstd import CompressionParameter, ZstdDecompressor, ZstdError, compress

FRAME_LINES = 500
FRAME_BYTES = 4 * 1024 * 1024
"""A frame ends at whichever comes first, so that a page takes little memory."""

LARGEST_FRAME = 64 * 1024 * 1024
_SKIPPABLE = 0x184D2A5E
_MAGIC = 0x8F92EAB1
_HEAD = struct.Struct("<II")
_ENTRY = struct.Struct("<II")
_FOOTER = struct.Struct("<IBI")
_OPTIONS: dict[int, int] = {CompressionParameter.compression_level: 9, CompressionParameter.checksum_flag: 1}


class DamagedArchive(StorageFailed):
    """The file is not what was written. Names the file."""

    default_hint = "Nothing was changed. kept maintenance check has the next start bring it back from a backup."


class Frame(NamedTuple):
    """Where a frame is, and its sizes in bytes."""

    start: int
    packed: int
    plain: int


class Frames:
    """An archive file that is open for reading: `with Frames(path) as frames`. Raises `DamagedArchive`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb")
        try:
            self.table = self._read_table()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def lines(self, number: int) -> list[bytes]:
        """The lines of a frame, without their ends."""
        frame = self.table[number]
        try:
            plain = ZstdDecompressor().decompress(self.packed(frame), max_length=frame.plain + 1)
        except ZstdError:
            raise self._damaged() from None
        if len(plain) != frame.plain or not plain.endswith(b"\n"):
            raise self._damaged()
        return plain[:-1].split(b"\n")

    def packed(self, frame: Frame) -> bytes:
        """A frame as it stands in the file."""
        self._file.seek(frame.start)
        return self._file.read(frame.packed)

    def _read_table(self) -> list[Frame]:
        size = self._file.seek(0, os.SEEK_END)
        if size < _HEAD.size + _FOOTER.size:
            raise self._damaged()
        self._file.seek(size - _FOOTER.size)
        count, descriptor, magic = _FOOTER.unpack(self._file.read())
        body = count * _ENTRY.size + _FOOTER.size
        start = size - body - _HEAD.size
        if magic != _MAGIC or descriptor or start < 0:
            raise self._damaged()
        self._file.seek(start)
        if _HEAD.unpack(self._file.read(_HEAD.size)) != (_SKIPPABLE, body):
            raise self._damaged()
        entries = list(_ENTRY.iter_unpack(self._file.read(count * _ENTRY.size)))
        ends = list(accumulate(packed for packed, _ in entries))
        if (ends[-1] if ends else 0) != start or any(plain > LARGEST_FRAME for _, plain in entries):
            raise self._damaged()
        return [Frame(end - packed, packed, plain) for end, (packed, plain) in zip(ends, entries, strict=True)]

    def _damaged(self) -> DamagedArchive:
        return DamagedArchive(f"{self._path.name} is damaged")


def write(path: Path, former: Frames | None, lines: Iterable[bytes]) -> None:
    """Write a whole archive aside, sync it, and put it into the place of `path`: the frames of `former`, then `lines`.

    Read back before it takes its place. Raises `DamagedArchive` where that fails, and OSError.
    """
    aside = path.with_name(path.name + ".new")
    with open(aside, "wb", opener=private) as file:
        entries = _copy(former, file) if former is not None else []
        kept = len(entries)
        written = 0
        for plain in _frames(lines):
            packed = compress(plain, options=_OPTIONS)
            file.write(packed)
            entries.append((len(packed), len(plain)))
            written += plain.count(b"\n")
        table = b"".join(_ENTRY.pack(*entry) for entry in entries) + _FOOTER.pack(len(entries), 0, _MAGIC)
        file.write(_HEAD.pack(_SKIPPABLE, len(table)) + table)
        file.flush()
        os.fsync(file.fileno())
    with Frames(aside) as found:
        if sum(len(found.lines(number)) for number in range(kept, len(found.table))) != written:
            raise DamagedArchive(f"{path.name} was not written as it should be")
    aside.replace(path)
    sync_folder(path.parent)


def is_table(data: bytes, frames: int) -> bool:
    """Whether this is, by its first bytes and its length, the table at the end of a file of so many frames."""
    body = frames * _ENTRY.size + _FOOTER.size
    return data.startswith(_HEAD.pack(_SKIPPABLE, body)) and len(data) == _HEAD.size + body


def _copy(former: Frames, file: BinaryIO) -> list[tuple[int, int]]:
    file.writelines(former.packed(frame) for frame in former.table)
    return [(frame.packed, frame.plain) for frame in former.table]


def _frames(lines: Iterable[bytes]) -> Iterator[bytes]:
    gathered: list[bytes] = []
    size = 0
    for line in lines:
        gathered.append(line)
        size += len(line)
        if len(gathered) >= FRAME_LINES or size >= FRAME_BYTES:
            yield b"\n".join(gathered) + b"\n"
            gathered, size = [], 0
    if gathered:
        yield b"\n".join(gathered) + b"\n"
