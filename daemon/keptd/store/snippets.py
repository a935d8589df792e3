"""Snippets: the part of a text that shows best why it was found. Knows no index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import apsw

from . import queries, scripts

SNIPPET_LENGTH = 160
"""About how many characters a snippet has."""

_LEAD = 40
_BYTES = 64 * 1024
_HITS = 200
_OPERATORS = frozenset(("AND", "OR", "NOT", "NEAR"))

_Place = tuple[int, int, str]
"""A token: where it begins and ends, in bytes, and its stem."""


class _Stems(NamedTuple):
    """The stems that a snippet should show, and beginnings of such."""

    whole: frozenset[str]
    beginnings: tuple[str, ...]

    def has(self, stem: str) -> bool:
        return stem in self.whole or bool(self.beginnings and stem.startswith(self.beginnings))


def snippet(db: apsw.Connection, text: str, query: str, syntax: str = "words") -> str:
    """About `SNIPPET_LENGTH` characters of `text`, on one line, from the place that has the most words of `query`.

    An ellipsis stands where text is left out. Only the first 64 KiB are looked at; where none of the words is in them,
    the snippet is the beginning.
    """
    if len(text) <= SNIPPET_LENGTH:
        return " ".join(text.split())
    raw = text[:_BYTES].encode()[:_BYTES]
    begin = _best_place(_places(db, raw), _wanted(db, query, syntax))
    rest = raw[begin : begin + 4 * SNIPPET_LENGTH + 4].decode(errors="ignore")
    shown = rest[:SNIPPET_LENGTH]
    cut = len(rest) > SNIPPET_LENGTH
    if cut and " " in shown[-_LEAD:]:
        shown = shown[: shown.rindex(" ")]
    return f"{'…' if begin else ''}{' '.join(shown.split())}{'…' if cut else ''}"


def _wanted(db: apsw.Connection, query: str, syntax: str) -> _Stems:
    if syntax == "fts5":
        query = " ".join(word for word in query.split() if word not in _OPERATORS)
    forms = [form for term in queries.terms(db, query, "words" if syntax == "fts5" else syntax) for form in term.forms]
    return _Stems(
        frozenset(stem for form in forms for stem in form.stems),
        tuple(form.stems[-1] for form in forms if form.is_beginning),
    )


def _places(db: apsw.Connection, raw: bytes) -> list[_Place]:
    cut = queries.tokenizer(db)
    text = raw.decode(errors="ignore")
    if not scripts.has_runs(text):
        return cast("list[_Place]", cut(raw, apsw.FTS5_TOKENIZE_DOCUMENT, None, include_colocated=False))
    mapped = scripts.mapped(text)
    found = cut(mapped.text.encode(), apsw.FTS5_TOKENIZE_DOCUMENT, None, include_colocated=False)
    return [(mapped.source(begin), mapped.source(end), stem) for begin, end, stem in cast("list[_Place]", found)]


def _best_place(places: Sequence[_Place], wanted: _Stems) -> int:
    """The byte at which to begin so that the most wanted tokens follow within a snippet; 0 where there are none."""
    found = [index for index, (_, _, stem) in enumerate(places) if wanted.has(stem)][:_HITS]
    best, most = 0, 0
    for at, first in enumerate(found):
        end = places[first][0] + SNIPPET_LENGTH - _LEAD
        near = {places[index][2] for index in found[at:] if places[index][1] <= end}
        if len(near) > most:
            best, most = first, len(near)
    start = best
    while start and places[best][0] - places[start - 1][0] <= _LEAD:
        start -= 1
    return places[start][0] if start else 0
