"""The tables of a database that may be damaged: their rows, and the holes where rows may be missing.

A table's pages are found from its root down. Below a page that can't be read, they are found by the pointer map,
which names the parent of every page (https://www.sqlite.org/fileformat2.html, section 1.8), so that what is lost is
the rows of pages that can't be read and of no others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..store.checksums import LOCK_PAGE, PAGE, RESERVED, map_page
from . import records
from .pages import Pages
from .records import INTERIOR, LEAF, Row, Unreadable, Value

LOWEST, HIGHEST = -(2**63), 2**63 - 1

Hole = tuple[int, int]
"""The first and the last rowid of those that may be missing."""

SCHEMA_ROOT = 1

_ROOT, _BELOW = 1, 5
"""The pointer map's types of a page of a table or an index: without a parent, and with one."""
_OTHERS = (2, 3, 4)


@dataclass(slots=True)
class Found:
    """What a table has: `holes` fills as the rows are read."""

    rows: Iterator[Row]
    holes: list[Hole] = field(default_factory=list)


def nothing() -> Found:
    """A table that isn't there: all of it may be missing."""
    return Found(iter(()), [(LOWEST, HIGHEST)])


class Tables:
    """By root page."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._usable = PAGE - (RESERVED if pages.has_checksums else 0)
        self._below: dict[int, list[int]] = {}
        self._roots: set[int] = set()
        self._map_has_gaps = False
        self._read_map()

    def roots(self) -> tuple[dict[str, int], bool]:
        """The root page of each table, and whether there may be more tables."""
        found = self.read(SCHEMA_ROOT)
        roots = {
            str(row.values[1]): row.values[3]
            for row in found.rows
            if len(row.values) == 5 and row.values[0] == "table" and isinstance(row.values[3], int)
        }
        return roots, bool(found.holes)

    def read(self, root: int) -> Found:
        """The rows below a root page, in order of rowid wherever that can be."""
        found = nothing()
        found.holes.clear()
        found.rows = self._walk(found, root, LOWEST, HIGHEST, set())
        return found

    def guess(self, root: int) -> Found:
        """The rows below what is probably a table's root; none where the pointer map says that it is no root, since
        then pages are not where they were. Where that can't be read, there may be others."""
        if root in self._roots:
            return self.read(root)
        if self._pages[map_page(root)] is not None:
            return nothing()
        found = self.read(root)
        found.holes.append((LOWEST, HIGHEST))
        return found

    def _walk(self, found: Found, number: int, low: int, high: int, seen: set[int]) -> Iterator[Row]:
        if number in seen or len(seen) > self._pages.count:
            return
        seen.add(number)
        page = self._pages[number]
        kind = records.kind(page, number) if page is not None else 0
        if page is not None and kind == LEAF:
            yield from self._leaf(found, page, number, low, high)
        elif page is not None and kind == INTERIOR:
            try:
                below = records.children(page, number)
            except Unreadable:
                found.holes.append((low, high))
                return
            for child in below:
                last = high if child.highest is None else min(child.highest, high)
                yield from self._walk(found, child.page, low, last, seen)
                low = max(low, min(last, HIGHEST - 1) + 1)
        elif page is not None:
            found.holes.append((low, high))  # It is sound, and in the wrong place.
        else:
            below_lost = self._below.get(number, [])
            if not below_lost or self._map_has_gaps:
                found.holes.append((low, high))
            for child_page in below_lost:
                yield from self._walk(found, child_page, low, high, seen)

    def _leaf(self, found: Found, page: bytes, number: int, low: int, high: int) -> Iterator[Row]:
        for row in records.rows(page, number, self._usable, self._pages.__getitem__):
            if isinstance(row, Row):
                yield row
                continue
            found.holes.append((low, high) if row is None else (row, row))

    def _read_map(self) -> None:
        """Which pages are below which, and which are roots."""
        entries = self._usable // 5
        for at in range(2, self._pages.count + 1, entries + 1):
            place = at + 1 if at == LOCK_PAGE else at
            page = self._pages[place]
            if page is None:
                self._map_has_gaps = True
                continue
            for number in range(place + 1, min(place + entries, self._pages.count) + 1):
                start = (number - place - 1) * 5
                parent = int.from_bytes(page[start + 1 : start + 5], "big")
                if page[start] == _BELOW:
                    self._below.setdefault(parent, []).append(number)
                elif page[start] == _ROOT:
                    self._roots.add(number)
                elif page[start] not in _OTHERS and number != LOCK_PAGE:
                    self._map_has_gaps = True


__all__ = ["HIGHEST", "LOWEST", "Found", "Hole", "Row", "Tables", "Value", "nothing"]
