"""Pages: opaque keyset cursors, and the cutting of rows into a `Page` that fits a message.

Owns the form of a cursor: URL-safe base64 of a MessagePack list `[digest of the order's name, position...]`. Refuses a
cursor of another list, of another order, or of another shape. Knows no table.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

import msgspec

from kept.wire import Page
from kept.wire.errors import InvalidParams

PAGE_BYTES = 8 * 1024 * 1024
"""Encoded items after which a page ends early: half of the largest message, since one item may take more than 1 MiB."""

INLINE_LIMIT = 100
"""Items in a page above which it is made beside the loop."""

_INT64 = range(-(2**63), 2**63)

T = TypeVar("T")
Row = TypeVar("Row")


class Listing(Protocol):
    """A call that lists."""

    @property
    def limit(self) -> int:
        """How many items at most."""
        ...


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[int | str]).decode
_encode = msgspec.json.Encoder().encode


class Order:
    """One order of one list: what a cursor belongs to.

    `name` is the method and the order (`memory.list newest`); `types` are those of the position, `int` (64 bits) or
    `str`.
    """

    __slots__ = ("_mark", "_types")

    def __init__(self, name: str, *types: type[int | str]) -> None:
        self._mark = hashlib.sha256(name.encode()).hexdigest()[:6]
        self._types = types

    def cursor(self, *position: int | str) -> str:
        """The cursor that continues after `position`, the sort key of the last row shown."""
        return base64.urlsafe_b64encode(_pack([self._mark, *position])).rstrip(b"=").decode()

    def after(self, cursor: str | None) -> tuple[Any, ...] | None:
        """The position to continue after; None without a cursor.

        Raises `InvalidParams` naming `cursor` for anything that this order's `cursor` did not make.
        """
        if cursor is None:
            return None
        try:
            mark, *position = _unpack(
                base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            )
        except (ValueError, msgspec.DecodeError):
            raise _refusal("cursor is no cursor of kept") from None
        if mark != self._mark:
            raise _refusal("cursor belongs to another list, or to another order of it")
        if tuple(map(type, position)) != self._types:
            raise _refusal("cursor is no cursor of kept")
        if any(isinstance(part, int) and part not in _INT64 for part in position):
            raise _refusal("cursor is no cursor of kept")
        return tuple(position)


def is_long(call: Listing) -> bool:
    """Whether a list may be so long that reading and encoding it would hold up everybody else on the loop."""
    return call.limit > INLINE_LIMIT


def page(rows: Iterable[Row], limit: int, build: Callable[[Row], T], cursor: Callable[[Row], str]) -> Page[T]:
    """The page of up to `limit` items that `rows` begin with. Give it `limit + 1` rows, so that it can tell whether
    more follow.

    It ends early, but not before its first item, where the encoded items would pass `PAGE_BYTES`. `cursor` makes the
    cursor that continues after a row.
    """
    items: list[T] = []
    shown: list[Row] = []
    size = 0
    for row in rows:
        if len(items) == limit:
            return Page(items=items, next_cursor=cursor(shown[-1]))
        item = build(row)
        size += len(_encode(item))
        if items and size > PAGE_BYTES:
            return Page(items=items, next_cursor=cursor(shown[-1]))
        items.append(item)
        shown.append(row)
    return Page(items=items)


def fit(items: Iterable[T]) -> list[T]:
    """The first items, at least one, whose encoding stays within `PAGE_BYTES`: for results that have no cursor."""
    fitting: list[T] = []
    size = 0
    for item in items:
        size += len(_encode(item))
        if fitting and size > PAGE_BYTES:
            break
        fitting.append(item)
    return fitting


def _refusal(message: str) -> InvalidParams:
    return InvalidParams(message, hint="Send next_cursor of the page before, with the same parameters.", field="cursor")
