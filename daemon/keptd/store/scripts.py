"""Scripts that are written without spaces between words: Chinese, Japanese, Korean, Thai, Lao, Burmese, Khmer.

The one place that prepares a text for a full-text index and for a query. A run of such letters becomes its overlapping
pairs, and its last letter: `東京都` is indexed as `東京 京都 都`. Lucene's CJKAnalyzer does the same but for the last
letter, with which every letter of a run is the beginning of a token. A query's run is then a phrase of its pairs, and
a single letter a beginning.

Vowel signs above and below the line, which unicode61 takes for spaces, are left out of a pair. Knows no index.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

_RUN = re.compile(
    "["
    "\u0e01-\u0e3a\u0e40-\u0e4e"  # Thai
    "\u0e81-\u0eff"  # Lao
    "\u1000-\u103f\u1050-\u109f"  # Burmese
    "\u1780-\u17d3\u17dc\u17dd"  # Khmer
    "\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3"  # Hangul
    "\u3005-\u3007\u3041-\u3099\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # Kana
    "\u3105-\u312f"  # Bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "]+"
)


class Wanted(NamedTuple):
    """A word of a query: what to look for side by side, and whether the last of it is only a beginning."""

    text: str
    is_beginning: bool


class Mapped(NamedTuple):
    """A prepared text, and where its pieces come from: bytes in it, and the bytes of the original."""

    text: str
    at: list[int]
    origin: list[int]

    def source(self, byte: int) -> int:
        """The byte of the original that a byte of the prepared text comes from."""
        piece = bisect_right(self.at, byte) - 1
        return self.origin[piece] + byte - self.at[piece]


def prepared(text: str) -> str:
    """The text as an index takes it."""
    return text if text.isascii() else _RUN.sub(_spread, text)


def has_runs(text: str) -> bool:
    """Whether there is anything to prepare."""
    return not text.isascii() and _RUN.search(text) is not None


def wanted(word: str) -> Wanted:
    """A word, or a phrase, as a query looks for it."""
    last = next(reversed(list(_RUN.finditer(word))), None)
    if last is None or any(map(str.isalnum, word[last.end() :])):
        return Wanted(prepared(word), False)
    letters = [letter for letter in last.group() if letter.isalnum()]
    pairs = [first + second for first, second in pairwise(letters)]
    return Wanted(f"{prepared(word[: last.start()])} {' '.join(pairs or letters)}", len(letters) == 1)


def in_expression(expression: str) -> str:
    """An FTS5 expression with its runs as phrases of their pairs, whether they are in quotes or not."""
    if not has_runs(expression):
        return expression
    parts = expression.split('"')
    for index, part in enumerate(parts):
        parts[index] = wanted(part).text if index % 2 else _RUN.sub(_quoted, part)
    return "".join(part if index == 0 else f'"{part}' for index, part in enumerate(parts))


def mapped(text: str) -> Mapped:
    """The text as an index takes it, with the way back to the text."""
    pieces: list[str] = []
    at: list[int] = []
    origin: list[int] = []
    length = 0
    for piece, begin in _pieces(text):
        pieces.append(piece)
        at.append(length)
        origin.append(begin)
        length += len(piece.encode()) + 1
    return Mapped(" ".join(pieces), at or [0], origin or [0])


def _pieces(text: str) -> Iterator[tuple[str, int]]:
    """The prepared text in pieces, each with the byte at which it begins in the original."""
    done = byte = 0
    for run in _RUN.finditer(text):
        if run.start() > done:
            between = text[done : run.start()]
            yield between, byte
            byte += len(between.encode())
        places: list[tuple[str, int]] = []
        for letter in run.group():
            if letter.isalnum():
                places.append((letter, byte))
            byte += len(letter.encode())
        for (first, begin), (second, _) in pairwise(places):
            yield first + second, begin
        yield from places[-1:]
        done = run.end()
    if done < len(text):
        yield text[done:], byte


def _spread(run: re.Match[str]) -> str:
    letters = [letter for letter in run.group() if letter.isalnum()]
    return f" {' '.join([first + second for first, second in pairwise(letters)] + letters[-1:])} "


def _quoted(run: re.Match[str]) -> str:
    return f'"{wanted(run.group()).text.strip()}"'
