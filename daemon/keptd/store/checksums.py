"""Checksums: eight bytes at the end of every page of the database, compared whenever a page is read from the file.

SQLite's cksumvfs does it (https://www.sqlite.org/cksumvfs.html), which apsw's wheel brings as a loadable extension.
It is a file system for SQLite between its pages and the file: a page whose checksum is wrong is an `IOError` with the
extended code `SQLITE_IOERR_DATA`. Pages in the log have none; each of its frames has a checksum of SQLite's own,
which is compared when the log is recovered.

What it can't see:

- A page of zeros, whose checksum is zero. SQLite refuses one in a table or an index, as such a page never begins with
  a zero, but in the middle of a long row it would be read as text and numbers. So reading connections use `READING`,
  a thin layer in Python that refuses such a page unless it is a free one. It costs a microsecond for each page that
  is not in a cache, and the interpreter's lock. The writer's connection goes without, because there it would cost
  that for each frame of the log; it refuses rows whose text has a NUL instead (`database`), as kept writes none.
- A header which says that there are no checksums: `header_is_sound` looks at that.
"""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path

import apsw

VFS = "cksmvfs"
READING = "kept-reading"
RESERVED = 8
"""Bytes at the end of each page. cksumvfs works for this number and no other."""

PAGE = 4096
"""The size of every page of kept's databases, which is SQLite's default."""

FREE = 2
"""The pointer map's type of a free page."""
LOCK_PAGE = 0x40000000 // PAGE + 1
"""SQLite never uses the page at 1 GiB, whose bytes it locks."""
_ZEROS = bytes(PAGE)
_RESERVE_AT = 20
_MAGIC = b"SQLite format 3\0"
_MASK = 0xFFFFFFFF


@cache
def available() -> bool:
    """Register the file system, once for this process; whether that could be done."""
    extension = Path(apsw.__file__).with_name("sqlite_extra_binaries") / "cksumvfs.so"
    db = apsw.Connection(":memory:", vfs="memdb")
    try:
        db.enable_load_extension(True)
        db.load_extension(str(extension))
    except (apsw.ExtensionLoadingError, apsw.SQLError):
        return False
    finally:
        db.close()
    _register_reading()
    return True


@cache
def _register_reading() -> _Reading:
    return _Reading()


class _Reading(apsw.VFS):
    def __init__(self) -> None:
        super().__init__(READING, VFS)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        if name is not None and flags[0] & apsw.SQLITE_OPEN_MAIN_DB:
            return _ReadFile(VFS, name, flags)
        return super().xOpen(name, flags)


class _ZerosError(apsw.IOError):
    extendedresult = apsw.SQLITE_IOERR_DATA


class _ReadFile(apsw.VFSFile):
    _reserved = 0

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        data = super().xRead(amount, offset)
        is_empty = data[:1] == b"\0" and data == _ZEROS
        if is_empty and self._reserved == RESERVED and not self._is_free(offset // PAGE + 1):
            raise _ZerosError("a page of zeros")
        if offset == 0 and len(data) > _RESERVE_AT:
            self._reserved = data[_RESERVE_AT]
        return data

    def _is_free(self, number: int) -> bool:
        """By the pointer map of the file, which is as new as any page that is read from the file."""
        place = map_page(number)
        if number <= place:
            return False
        entries = super().xRead(PAGE, (place - 1) * PAGE)
        return entries[(number - place - 1) * 5] == FREE


def map_page(number: int) -> int:
    """The page of the pointer map that says what a page is for (https://www.sqlite.org/fileformat2.html, section 1.8).

    For pages of the size `PAGE` with `RESERVED` bytes reserved. The map's own pages give themselves.
    """
    entries = (PAGE - RESERVED) // 5
    place = (number - 2) // (entries + 1) * (entries + 1) + 2
    return place + 1 if place == LOCK_PAGE else place


def reserve(path: Path) -> int | None:
    """The bytes that the header reserves on each page; None where there is no header."""
    try:
        with path.open("rb") as file:
            header = file.read(_RESERVE_AT + 1)
    except FileNotFoundError:
        return None
    return header[_RESERVE_AT] if len(header) > _RESERVE_AT and header.startswith(_MAGIC) else None


def header_is_sound(first: bytes, second: bytes) -> bool:
    """Whether the first two pages agree on having checksums, and the first one's is right.

    One changed bit in the header could turn all checking off, so this doesn't rely on the header: the second page (it
    lists what other pages are for, and is never empty) shows whether the database was made with checksums.
    """
    if not first.startswith(_MAGIC) or len(first) != PAGE:
        return False
    if first[_RESERVE_AT] == RESERVED:
        return is_sound(first)
    return first[_RESERVE_AT] == 0 and not (any(second) and is_sound(second))


def is_sound(page: bytes) -> bool:
    """Whether a page's checksum is right. Use SQLite for more than a few: this takes 0.1 ms."""
    return checksum(page) == page[-RESERVED:]


def checksum(page: bytes) -> bytes:
    """The checksum of all of a page but its last eight bytes, as cksumvfs computes it."""
    return b"".join(half.to_bytes(4, "little") for half in sums(page[:-RESERVED]))


def sums(data: bytes, start: tuple[int, int] = (0, 0), order: str = "<") -> tuple[int, int]:
    """The two running sums, modulo 2**32, that cksumvfs and SQLite's log both use, over words of 32 bits.

    `order` is that of the bytes in a word, `<` or `>`; `data` has a multiple of eight bytes. See
    https://www.sqlite.org/fileformat2.html#checksum_algorithm.
    """
    first, second = start
    for one, other in struct.iter_unpack(f"{order}II", data):
        first = (first + one + second) & _MASK
        second = (second + other + first) & _MASK
    return first, second
