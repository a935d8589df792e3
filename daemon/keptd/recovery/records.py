"""Rows as SQLite stores them: varints, records, cells and overflow pages
(https://www.sqlite.org/fileformat2.html, sections 1.6 and 2.1).

Refuses with `Unreadable` whatever is not in that form. Knows tables of rows, not indexes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..store.checksums import PAGE

Value = int | float | str | bytes | None
GetPage = Callable[[int], bytes | None]

LEAF, INTERIOR = 0x0D, 0x05

_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


class Unreadable(Exception):
    """What is there is no row, or a part of it is on a page that can't be read."""


class Row(NamedTuple):
    """A row and its values in the order of the stored columns; None stands for the rowid in a column that is it."""

    rowid: int
    values: tuple[Value, ...]


class Child(NamedTuple):
    """A page below an interior page, and the highest rowid in it; None for the last."""

    page: int
    highest: int | None


def kind(page: bytes, number: int) -> int:
    """The type of a page: `LEAF`, `INTERIOR`, or another."""
    return page[_start(number)]


def children(page: bytes, number: int) -> list[Child]:
    """The pages below an interior page, in order. Raises `Unreadable`."""
    start = _start(number)
    try:
        found = [Child(_u32(page, at), _varint(page, at + 4)[0]) for at in _cells(page, start, 12)]
        return [*found, Child(_u32(page, start + 8), None)]
    except (IndexError, struct.error):
        raise Unreadable("no interior page") from None


def rows(page: bytes, number: int, usable: int, get: GetPage) -> Iterator[Row | int | None]:
    """The rows of a leaf. One that can't be read is its rowid, or None where not even that is known."""
    try:
        places = _cells(page, _start(number), 8)
    except (IndexError, struct.error):
        yield None
        return
    for place in places:
        rowid: int | None = None
        try:
            size, at = _varint(page, place)
            rowid, at = _varint(page, at)
            yield Row(rowid, _record(_payload(page, at, size, usable, get)))
        except (Unreadable, IndexError, struct.error, UnicodeDecodeError, OverflowError):
            yield rowid


def _start(number: int) -> int:
    return 100 if number == 1 else 0


def _u32(data: bytes, at: int) -> int:
    return int(struct.unpack_from(">I", data, at)[0])


def _cells(page: bytes, start: int, header: int) -> tuple[int, ...]:
    (count,) = struct.unpack_from(">H", page, start + 3)
    return struct.unpack_from(f">{count}H", page, start + header)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(8):
        byte = data[at + place]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + place + 1
    value = value << 8 | data[at + 8]
    return value - (1 << 64) if value >> 63 else value, at + 9


def _payload(page: bytes, at: int, size: int, usable: int, get: GetPage) -> bytes:
    if size <= usable - 35:
        return _slice(page, at, size)
    least = (usable - 12) * 32 // 255 - 23
    local = least + (size - least) % (usable - 4)
    if local > usable - 35:
        local = least
    parts = [_slice(page, at, local)]
    left, following = size - local, _u32(page, at + local)
    seen: set[int] = set()
    while left > 0:
        overflow = None if following in seen else get(following)
        if overflow is None:
            raise Unreadable("a page of a long row")
        seen.add(following)
        part = overflow[4 : 4 + min(left, usable - 4)]
        parts.append(part)
        left -= len(part)
        following = _u32(overflow, 0)
    return b"".join(parts)


def _slice(page: bytes, at: int, size: int) -> bytes:
    if size < 0 or at + size > PAGE:
        raise Unreadable("past the page")
    return page[at : at + size]


def _record(payload: bytes) -> tuple[Value, ...]:
    header, at = _varint(payload, 0)
    body = header
    values: list[Value] = []
    while at < header:
        serial, at = _varint(payload, at)
        value, body = _value(payload, serial, body)
        values.append(value)
    if at != header or body != len(payload):
        raise Unreadable("no record")
    return tuple(values)


def _value(payload: bytes, serial: int, at: int) -> tuple[Value, int]:
    if serial in _INTEGERS:
        end = at + _INTEGERS[serial]
        return int.from_bytes(payload[at:end], "big", signed=True), end
    if serial == 7:
        return float(struct.unpack_from(">d", payload, at)[0]), at + 8
    if serial in {0, 8, 9}:
        return (None if serial == 0 else serial - 8), at
    if serial < 12:
        raise Unreadable("no serial type")
    end = at + (serial - 12) // 2
    data = payload[at:end]
    return (data.decode() if serial & 1 else data), end
