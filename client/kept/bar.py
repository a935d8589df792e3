"""How far long work is, as one line of a terminal that is drawn over itself and gone in the end.

Used by the thin script and by the command line alike, so it imports nothing that an interpreter hasn't loaded; and only
when the daemon tells of work that takes long.

Refuses to trust what it is told: numbers may be of any size and sign, and text is cut to the width and freed of
whatever moves the cursor, takes no cell, or takes two. The bar itself is ASCII, since a terminal may show anything else
two cells wide, and a line that wraps can't be drawn over.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 0.1
"""The least time between two drawings of the same piece of work."""

_MOST = 10**15
"""What larger numbers are shown as."""

_WIDEST_BAR = 40
_NARROWEST_BAR = 8
_WIDEST_TEXT = 48
_SPARE = 3
"""Cells at the end of the line that stay free: a terminal echoes Ctrl-C as ^C, which must not begin a new line."""

_SHOWN_SECONDS = 2
"""After so long the time that has passed is shown: the only thing that moves where nothing else is known."""

_BRIEF = 32
"""Cells of the line once the terminal has become narrower than it."""

_FEWEST = 8
"""With fewer letters than these, a text says nothing, and the percentage stands alone."""

_ERASED = "\r\x1b[K"


class Bar:
    """The line. `write` takes its text; `columns` gives the terminal's width, which may change; `clock` is in
    seconds."""

    def __init__(
        self, write: Callable[[str], object], columns: Callable[[], int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write = write
        self._columns = columns
        self._clock = clock
        self._began = clock()
        self._drawn_at = self._began - SECONDS
        self._text = ""
        self._is_drawn = False
        self._cells = 0
        self._widest = _MOST

    def show(self, done: int, total: int, text: str) -> None:
        """Draw it, unless it was drawn a moment ago: how much is done, of how much (0 where that isn't known), and what
        is being done."""
        now = self._clock()
        if now - self._drawn_at < SECONDS and text == self._text:
            return
        if text != self._text:
            self._text = text
            self._began = now
        self._drawn_at = now
        self._is_drawn = True
        columns = self._columns()
        if columns < self._cells:
            # Many terminals have wrapped the line by now, and some have cut it off: rows above may be of it, or what
            # the person had there, so they stay. Whoever drags the edge further gets no more of them.
            self._widest = _BRIEF
        drawn = line(done, total, text, int(now - self._began), min(columns - _SPARE, self._widest))
        self._cells = len(drawn)
        self._write(_ERASED + drawn)

    def clear(self) -> None:
        """Leave the line empty, with the cursor at its beginning."""
        if self._is_drawn:
            self._is_drawn = False
            self._write(_ERASED)


def line(done: int, total: int, text: str, seconds: int, width: int) -> str:
    """What is drawn: at most `width` cells of printable ASCII, and of letters that take one cell each."""
    done, total = min(max(done, 0), _MOST), min(max(total, 0), _MOST)
    passed = f"  {seconds // 60}:{seconds % 60:02d}" if seconds >= _SHOWN_SECONDS else ""
    told = _clip(_harmless(text) or "working", min(_WIDEST_TEXT, width))
    if not total:
        count = f"  {done:,}" if done else ""
        return _first_that_fits((told + count + passed, told + count, told), width)
    part = min(done * 100 // total, 100)
    end = f"  {part:>3} %{passed}"
    room = min(width - len(told) - len(end) - 4, _WIDEST_BAR)
    if room < _NARROWEST_BAR:
        brief = f"{part} %"
        left = width - len(brief) - 2
        clipped = f"{_clip(told, left)}  {brief}" if left >= _FEWEST else brief
        return _first_that_fits((told + end, f"{told}  {brief}", clipped, brief), width)
    filled = room * part // 100
    head = ">" if filled < room else ""
    return f"{told}  [{('=' * filled + head).ljust(room)}]{end}"


def _first_that_fits(lines: tuple[str, ...], width: int) -> str:
    return next((one for one in lines if len(one) <= width), "")


def _clip(text: str, width: int) -> str:
    return text if len(text) <= width else (text[: max(width - 3, 0)] + "...")[: max(width, 0)]


def _harmless(text: str) -> str:
    """One line, in which each letter takes one cell: those of Latin, Greek and Cyrillic do, and ASCII does."""
    found = " ".join(text[: _WIDEST_TEXT * 4].split())
    return "".join(each if each.isprintable() and (each < "\x7f" or _is_letter(each)) else "?" for each in found)


def _is_letter(each: str) -> bool:
    return "\xc0" <= each <= "\u052f" and each.isalpha()
