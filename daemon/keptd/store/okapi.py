"""Okapi BM25 as a function of FTS5, `kept_rank`, that counts nothing but the row that it ranks. Knows no query.

FTS5's own `bm25()` (https://www.sqlite.org/fts5.html, section 5.1.1) has the same formula and constants, but first
counts every hit of every phrase. Here the caller says what a term counts, and which phrases are forms of one term.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import apsw

LENGTH_SHARE = 0.75
"""FTS5's own: how far a long text has to have a word more often to count as much."""

_K1 = 1.2

# A rank is a whole number: the score in units of 2^-20, up to 2^31 of them, above one bit for each term.
TERM_BITS = 32
TERMS = 2**TERM_BITS - 1
"""The part of a rank that has a bit for each term that the row has, the first the lowest."""
UNITS = 2.0**20
"""What a score of 1 is, in the part of a rank above its terms."""
_MOST = 2**31 - 1
_SCALE = (_K1 + 1) * UNITS

_Ranking = Callable[[apsw.FTS5ExtensionApi], int]


def prepare(db: apsw.Connection) -> None:
    """Teach a connection `kept_rank`. Once for each connection that searches."""
    db.register_fts5_function("kept_rank", _rank)


def _rank(api: apsw.FTS5ExtensionApi, /, *options: apsw.SQLiteValue) -> int:
    """BM25 of the current row, and which terms it has. The frequency of a term is weighed by its columns, as FTS5's
    `bm25()` does with a phrase's. Called for each row of a search, the first of which makes what does it."""
    rank: _Ranking = api.aux_data or _ranking(api, str(options[0]))
    return rank(api)


def _ranking(api: apsw.FTS5ExtensionApi, options: str) -> _Ranking:
    """`options` are: phrases of facets before and after those of the query; weights; share of the length; and for each
    term its inverse document frequency and how many phrases it has, where a phrase is not a term that counts as 1."""
    before, after, columns, length_share, weighed = options.split(";")
    phrase, end = int(before), api.phrase_count - int(after)
    terms: list[tuple[float, tuple[int, ...]]] = []
    for word in weighed.split() or ["1.0:1"] * (end - phrase):
        idf, _, count = word.partition(":")
        terms.append((float(idf) * _SCALE, tuple(range(phrase, phrase + int(count)))))
        phrase += int(count)
    weights = tuple(map(float, columns.split()))
    mean_size = max(api.column_total_size() / max(api.row_count, 1), 1.0)
    share = float(length_share)
    flat, slope = _K1 * (1 - share), _K1 * share / mean_size
    rank = (
        _of_one(terms[0][0], terms[0][1][0], weights, flat, slope)
        if len(terms) == 1 and len(terms[0][1]) == 1
        else _of_several(terms, weights, flat, slope)
    )
    api.aux_data = rank
    return rank


def _of_one(scale: float, phrase: int, weights: Sequence[float], flat: float, slope: float) -> _Ranking:
    """As `_of_several`, for one term in one form: most queries are, and it takes two thirds of the time."""

    def rank(api: apsw.FTS5ExtensionApi) -> int:
        frequency = 0.0
        for column in api.phrase_columns(phrase):
            frequency += weights[column] * len(api.phrase_column_offsets(phrase, column))
        units: int = int(scale * frequency / (frequency + flat + slope * api.column_size()))
        return units << TERM_BITS | 1

    return rank


def _of_several(
    terms: Sequence[tuple[float, Sequence[int]]], weights: Sequence[float], flat: float, slope: float
) -> _Ranking:
    """Ranks a row by the terms, each with what it counts at most and its phrases; `flat` and `slope` give what a
    frequency is measured by, for a row's length."""

    def rank(api: apsw.FTS5ExtensionApi) -> int:
        columns, offsets = api.phrase_columns, api.phrase_column_offsets
        norm = flat + slope * api.column_size()
        score, mask, bit = 0.0, 0, 1
        for scale, phrases in terms:
            frequency = 0.0
            for phrase in phrases:
                for column in columns(phrase):
                    frequency += weights[column] * len(offsets(phrase, column))
            if frequency:
                score += scale * frequency / (frequency + norm)
                mask |= bit
            bit <<= 1
        packed: int = min(int(score), _MOST) << TERM_BITS | mask & TERMS
        return packed

    return rank
