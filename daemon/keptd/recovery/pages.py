"""The pages of a database that may be damaged, as they were committed: those of its log over those of its file.

A page is given only where its checksum is right (a page of the log: where its frame's is). A database that was made
without checksums has nothing to go by; its pages are taken as they are. Never writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import apsw

from ..store import checksums
from ..store.checksums import FREE, LOCK_PAGE, PAGE, map_page
from . import wal

_ZEROS = bytes(PAGE)
_SAMPLE = 32


class Pages:
    """By number, from 1. `log` is what is known of the log."""

    def __init__(self, path: Path) -> None:
        """A file that is missing has no pages. Raises `OSError` or an `apsw.Error` where the disk fails."""
        self.log = wal.read(path.with_name(path.name + "-wal"))
        own = (path.stat().st_size + PAGE - 1) // PAGE if path.exists() else 0
        self.count = self.log.count or own
        with ExitStack() as opened:
            self._file = opened.enter_context(path.open("rb")) if path.exists() else None
            self._checked = _checked(path) if self._file else None
            if self._checked is not None:
                opened.callback(self._checked.xClose)
            self._compare = self._checked is None and self._was_made_with_checksums(min(own, _SAMPLE))
            self._opened = opened.pop_all()

    def __getitem__(self, number: int) -> bytes | None:
        """A page; None where it can't be read or trusted, or holds nothing but zeros."""
        if not 0 < number <= self.count:
            return None
        if number in self.log.pages:
            return self.log.pages[number]
        if self._checked is not None:
            return self._read_checked(self._checked, number)
        page = self._read(number)
        if page is None or len(page) < PAGE or (self._compare and not checksums.is_sound(page)):
            return None
        return page

    def damaged(self) -> Iterator[int]:
        """The pages that can't be read or trusted, free ones included; none where there are no checksums."""
        for number in range(1, self.count + 1 if self.has_checksums else 1):
            if self[number] is None and number != LOCK_PAGE and not self._is_empty(number):
                yield number

    def _is_empty(self, number: int) -> bool:
        """Whether it is free, and as a free page has to be: full of zeros."""
        place = map_page(number)
        entries = self[place] if number > place else None
        if entries is None or number in self.log.pages:
            return False
        return entries[(number - place - 1) * 5] == FREE and self._read(number) is None

    @property
    def has_checksums(self) -> bool:
        """Whether it was made with them."""
        return self._checked is not None or self._compare

    def close(self) -> None:
        """Close the file."""
        self._opened.close()

    def _read(self, number: int) -> bytes | None:
        if self._file is None:
            return None
        self._file.seek((number - 1) * PAGE)
        page = self._file.read(PAGE)
        return page if any(page) else None

    @staticmethod
    def _read_checked(file: apsw.VFSFile, number: int) -> bytes | None:
        try:
            page = file.xRead(PAGE, (number - 1) * PAGE)
        except apsw.IOError:
            return None
        return page if len(page) == PAGE and page != _ZEROS else None

    def _was_made_with_checksums(self, pages: int) -> bool:
        found = map(self._read, range(1, pages + 1))
        return any(checksums.is_sound(page) for page in found if page is not None and len(page) == PAGE)


def _checked(path: Path) -> apsw.VFSFile | None:
    """The file through SQLite's own comparison, which is a hundred times as fast, where the header lets it happen."""
    with path.open("rb") as file:
        first = file.read(PAGE)
    if not checksums.available() or len(first) < PAGE or first[20] != checksums.RESERVED:
        return None
    if not checksums.header_is_sound(first, b""):
        return None
    flags = [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY, 0]
    opened = apsw.VFSFile(checksums.VFS, str(path.absolute()), flags)
    try:
        opened.xRead(100, 0)  # It learns from the header that there are checksums.
    except apsw.Error:
        opened.xClose()
        raise
    return opened
