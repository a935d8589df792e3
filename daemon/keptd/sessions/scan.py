"""A JSON text read from a file piece by piece: objects and arrays are walked through, their members taken out whole.

Owns where a value ends, however the text is laid out and wherever a read cuts it. Holds one value and one chunk at a
time, and refuses a value that is longer or nests deeper than it was told. What is inside a value that is taken out is
the decoder's: this finds its end, and checks that it is UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, NoReturn

import msgspec

CHUNK = 256 * 1024
KEY_BYTES = 4096
"""The longest name of a member that is walked through."""

_SPACE = re.compile(rb"[ \t\n\r]*+")
_PLAIN = re.compile(rb'[^"\[\]{}]*+')
_TEXT = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
"""The rest of a string, up to its closing quote, or to a backslash whose letter isn't read yet."""

_SCALAR = re.compile(rb'[^ \t\n\r,:\[\]{}"]*+')


class BadText(Exception):
    """The text is not what it must be: why, and where, in bytes from 0 and in lines from 1. Never holds any of it."""

    def __init__(self, why: str, offset: int, line: int) -> None:
        super().__init__(why)
        self.why = why
        self.offset = offset
        self.line = line


class Scanner:
    """Walks through one JSON text. Whoever is given a member or an element takes it before asking for the next."""

    def __init__(self, source: BinaryIO, longest: int, deepest: int, chunk: int = CHUNK, begin: int = 0) -> None:
        """`longest` and `deepest` bound a value that is taken out, in bytes and in levels; `chunk` is what is read at a
        time, and `begin` where in the file the source stands."""
        self._source = source
        self._longest = longest
        self._deepest = deepest
        self._chunk = chunk
        self._buffer = b""
        self._at = 0
        self._dropped = begin
        self._line = 1

    @property
    def offset(self) -> int:
        """How many bytes have been passed."""
        return self._dropped + self._at

    @property
    def line(self) -> int:
        """The line that comes next, from 1. Counted when it is asked for."""
        return self._line + self._buffer.count(b"\n", 0, self._at)

    def fail(self, why: str) -> NoReturn:
        """Raise `BadText` for what comes next."""
        raise BadText(why, self.offset, self.line)

    def about(self, value: bytes, why: str, at: int = 0) -> BadText:
        """What is wrong with the value that was just taken out, at a place in it."""
        line = self.line - value.count(b"\n", at)
        return BadText(why, self.offset - len(value) + at, line)

    def members(self) -> Iterator[str]:
        """The names of the members of the object that comes next; behind each, its value is what comes next."""
        self._take(b"{", "an object")
        first = True
        while self._more(b"}", first):
            name = self._name()
            self._take(b":", "a colon")
            self.peek()
            yield name
            first = False

    def elements(self) -> Iterator[int]:
        """The places, from 0, of the elements of the array that comes next; behind each, it is what comes next."""
        self._take(b"[", "an array")
        number = 0
        while self._more(b"]", not number):
            yield number
            number += 1

    def value(self) -> bytes:
        """The value that comes next, whole, as it stands."""
        found = b"".join(self._pieces(self._longest))
        try:
            found.decode()
        except UnicodeDecodeError as fault:
            raise self.about(found, "this is not UTF-8", fault.start) from None
        return found

    def skip(self) -> None:
        """Pass over the value that comes next, however long it is."""
        for _ in self._pieces(None):
            pass

    def end(self) -> None:
        """Check that nothing follows."""
        if self.peek():
            self.fail("something follows the end of the document")

    def peek(self) -> bytes:
        """The first byte of what comes next, behind white space; nothing at the end."""
        while True:
            found = _SPACE.match(self._buffer, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._buffer):
                return self._buffer[self._at : self._at + 1]
            if not self._refill():
                return b""

    def _more(self, closing: bytes, first: bool) -> bool:
        """Whether another member or element comes; else the closing bracket is passed."""
        following = self.peek()
        if following == closing:
            self._at += 1
            return False
        if not first:
            self._take(b",", "a comma")
            self.peek()
        return True

    def _name(self) -> str:
        if self.peek() != b'"':
            self.fail("here the name of a member must stand")
        name = b"".join(self._pieces(KEY_BYTES))
        try:
            return msgspec.json.decode(name, type=str)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.fail("the name of a member is not a JSON string")

    def _take(self, mark: bytes, what: str) -> None:
        if self.peek() != mark:
            self.fail(f"here {what} must stand" if self.peek() else f"the text ends where {what} must stand")
        self._at += 1

    def _refill(self) -> bool:
        """Put the next chunk into the place of the one that was passed; False at the end of the text."""
        chunk = self._source.read(self._chunk)
        self._line = self.line
        self._dropped += self._at
        self._buffer, self._at = chunk, 0
        return bool(chunk)

    def _pieces(self, longest: int | None) -> Iterator[bytes]:
        """The value that comes next, as it is cut by the reads; raises `BadText` past `longest` bytes."""
        first = self.peek()
        left = longest
        walk = _Walk(self._deepest)
        if not first or first in b",:]}":
            self.fail("here a value must stand" if first else "the text ends where a value must stand")
        while True:
            end = walk.through(self._buffer, self._at)
            if end < 0:
                self.fail("this nests too deeply" if walk.too_deep else "the brackets don't match")
            if left is not None:
                left -= end - self._at
                if left < 0:
                    self.fail(f"this is longer than {longest} bytes")
            piece = self._buffer[self._at : end]
            self._at = end
            yield piece
            if walk.done:
                return
            if not self._refill():
                if walk.is_scalar:
                    return
                self.fail("the text ends in the middle of a value")


class _Walk:
    """How far a value has been followed: through any number of pieces."""

    def __init__(self, deepest: int) -> None:
        self.done = False
        self.too_deep = False
        self.is_scalar = False
        """A number or a word, which ends where the text ends."""
        self._deepest = deepest
        self._open: list[int] = []
        self._in_text = False
        self._escaped = False

    def through(self, piece: bytes, at: int) -> int:
        """Where the value ends in `piece`, or the piece does; -1 where it can't go on like that."""
        if not (self._open or self._in_text or self.is_scalar) and piece[at] not in b'"[{':
            self.is_scalar = True
        if self.is_scalar:
            found = _SCALAR.match(piece, at)
            end = found.end() if found else at
            self.done = end < len(piece)
            return end
        while at < len(piece):
            at = self._string(piece, at) if self._in_text else self._structure(piece, at)
            if at < 0 or self.done:
                return at
        return at

    def _string(self, piece: bytes, at: int) -> int:
        if self._escaped:
            self._escaped = False
            return at + 1
        found = _TEXT.match(piece, at)
        at = found.end() if found else at
        if at < len(piece):
            self._escaped = piece[at] == 0x5C
            self._in_text = self._escaped
            self.done = not (self._in_text or self._open)
            at += 1
        return at

    def _structure(self, piece: bytes, at: int) -> int:
        found = _PLAIN.match(piece, at)
        at = found.end() if found else at
        if at < len(piece):
            mark = piece[at]
            if mark == 0x22:
                self._in_text = True
            elif mark in b"[{":
                self._open.append(mark)
                self.too_deep = len(self._open) > self._deepest
                if self.too_deep:
                    return -1
            elif not self._open or self._open.pop() != mark - 2:
                return -1
            self.done = not (self._in_text or self._open)
            at += 1
        return at
