"""Full-text search over one FTS5 table per searchable thing. Knows no domain: a room names its columns and hands in
text.

The row's id in the index is the row's id in its table, and grows with time, so that the newest rows of a word are found
without looking at all of them. Three things keep the cost of a word independent of how many rows have it:

- only the newest `CANDIDATES` hits are ranked;
- filters are exact tokens in a column of their own (`facets`), so that they run inside the index, not on fetched rows;
- FTS5's own `bm25()` counts every hit of every phrase for its inverse document frequency (21 ms for a word in 400,000
  rows, and again for each facet); here it is estimated from how densely the newest hits lie, and `kept_rank` does the
  rest.

The table keeps no copy of the text (`content=''`); a removed row's tokens go when FTS5 merges the segment that they are
in.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import apsw

from kept.wire.errors import InvalidParams

if TYPE_CHECKING:
    from ..domain import SearchIndex

CANDIDATES = 2000
"""How many hits are ranked: the newest."""

WORDS = 32
"""Distinct words of a query that count; those after them are ignored."""

SNIPPET_LENGTH = 160
"""About how many characters a snippet has."""

_LEAD = 40
_SNIPPET_BYTES = 64 * 1024
_SNIPPET_HITS = 200
_SAMPLE = 200
_TOKENIZER = ("porter", "unicode61", "remove_diacritics", "2")
_OPERATORS = frozenset(("AND", "OR", "NOT", "NEAR"))

# Okapi BM25 with the constants of FTS5 (https://www.sqlite.org/fts5.html, section 5.1.1).
_K1 = 1.2
_B = 0.75

_Place = tuple[int, int, str]
"""A token: where it begins and ends, in bytes, and its stem."""

_score = attrgetter("score")
_hits = attrgetter("hits")


class Hit(NamedTuple):
    """A row that fits, and how well: higher is better."""

    rowid: int
    score: float


class _Word(NamedTuple):
    """A word of a query as an FTS5 string, about how many rows have it, and its inverse document frequency."""

    quoted: str
    hits: float
    idf: float


class _Ranking(NamedTuple):
    """What `kept_rank` needs for every row of one search. Phrases past the end of `idfs` count as 1."""

    skip: int
    phrases: int
    weights: tuple[float, ...]
    idfs: tuple[float, ...]
    mean_size: float


def prepare(db: apsw.Connection) -> None:
    """Teach a connection `kept_rank`. Once for each connection that searches."""
    db.register_fts5_function("kept_rank", _rank)


def renew(db: apsw.Connection, name: str, create: str) -> None:
    """Make an index anew, empty: a deletion would leave its tokens until they are merged."""
    # Emptied first: to drop it as it is, SQLite would hold all of its pages in memory, in case the statement fails.
    db.execute(f"INSERT INTO {name} ({name}) VALUES ('delete-all')")
    db.execute(f"DROP TABLE main.{name}")
    db.execute(create)


def remake(db: apsw.Connection, index: SearchIndex) -> None:
    """Make an index anew from its table, in one go."""
    renew(db, index.name, index.create)
    index.fill(db)


class Index:
    """One FTS5 table. `columns` are its text columns, each with how much a hit in it counts."""

    def __init__(self, name: str, columns: Mapping[str, float]) -> None:
        self.name = name
        self._weights = tuple(columns.values())
        self._names = ", ".join((*columns, "facets"))
        self._texts = f"{{{' '.join(columns)}}} :"
        self._insert = f"INSERT INTO {name} (rowid, {self._names}) VALUES ({', '.join('?' * (len(columns) + 2))})"
        self._delete = f"DELETE FROM {name} WHERE rowid = ?"
        self._parse = f"SELECT 1 FROM {name} WHERE {name} MATCH ? AND rowid = 0"
        newest = f"SELECT rowid FROM {name} WHERE {name} MATCH ? ORDER BY rowid DESC LIMIT {_SAMPLE}"
        self._density = f"SELECT count(*), ifnull(min(rowid), 0) FROM ({newest})"
        self._rows = f"SELECT ifnull(max(id), 0) FROM {name}_docsize"
        self._search = (
            f"SELECT rowid, kept_rank({name}, ?) FROM {name} WHERE {name} MATCH ? "
            f"ORDER BY rowid DESC LIMIT {CANDIDATES}"
        )

    def create_sql(self) -> str:
        """The statement that makes the table, for a migration."""
        return (
            f"CREATE VIRTUAL TABLE {self.name} USING fts5({self._names}, content='', contentless_delete=1, "
            f"tokenize='{' '.join(_TOKENIZER)}');"
        )

    def make_sql(self) -> str:
        """The statements that make it as all migrations together do."""
        return f"{self.create_sql()} {self.size_sql()}"

    def size_sql(self) -> str:
        """The statement, for a migration, that fits the index's pages into those of a database with checksums.

        FTS5's own 4050 bytes are made for a page without reserved bytes; with 8, each would take a second page.
        """
        return f"INSERT INTO {self.name} ({self.name}, rank) VALUES ('pgsz', 4000);"

    def add(self, db: apsw.Connection, rowid: int, texts: Sequence[str], facets: Iterable[str] = ()) -> None:
        """Index a row: one text for each column, and the facets (`scope=global`) that a search may ask for.

        `rowid` is at least 1; that of a new row is higher than every earlier one, since rank goes to the newest. A row
        that was removed may be added again under its own, which costs FTS5 a segment.
        """
        db.execute(self._insert, (rowid, *texts, " ".join(map(_facet, facets))))

    def remove(self, db: apsw.Connection, rowid: int) -> None:
        """Take a row out of the index."""
        db.execute(self._delete, (rowid,))

    def search(
        self, db: apsw.Connection, query: str, *, syntax: str = "words", facets: Iterable[str] = ()
    ) -> list[Hit]:
        """The newest `CANDIDATES` rows that fit and have all `facets`: best first, newest first where they fit alike.

        With `words`, nothing in the query is syntax. Rows with all of its words are looked for; where there are none,
        rows with any of them, leaving out words that are too common to tell rows apart. A query without a letter or
        digit finds nothing. With `fts5`, the query is an FTS5 expression over the text columns; raises `InvalidParams`
        naming `query` where it is none.
        """
        filters = [f'facets : "{_facet(facet)}"' for facet in facets]
        query = query.replace("\0", " ")  # It would end the expression for FTS5.
        if syntax == "fts5":
            return self._expression(db, filters, query)
        words = self._words(db, query)
        hits = self._ranked(db, filters, " AND ".join(word.quoted for word in words), words) if words else []
        if hits or len(words) < 2:
            return hits
        telling = _telling(words)
        return self._ranked(db, filters, " OR ".join(word.quoted for word in telling), telling) if telling else []

    def _expression(self, db: apsw.Connection, filters: Sequence[str], expression: str) -> list[Hit]:
        try:
            # Alone first: in the parentheses that confine it to the text columns, `a) OR facets : (b` would be valid.
            db.execute(self._parse, (expression,)).fetchall()
            return self._ranked(db, filters, expression, ())
        except apsw.SQLError:
            raise InvalidParams(
                "query is no FTS5 expression",
                hint='Leave syntax out to search for the words as they are, or quote them: "two words" AND word*',
                field="query",
            ) from None

    def _ranked(
        self, db: apsw.Connection, filters: Sequence[str], expression: str, words: Iterable[_Word]
    ) -> list[Hit]:
        match = " AND ".join((*filters, f"{self._texts} ({expression})"))
        weights = " ".join(map(repr, self._weights))
        options = f"{len(filters)};{weights};{' '.join(repr(word.idf) for word in words)}"
        hits = [Hit(rowid, score) for rowid, score in db.execute(self._search, (options, match))]
        hits.sort(key=_score, reverse=True)
        return hits

    def _words(self, db: apsw.Connection, query: str) -> list[_Word]:
        tokenizer = _tokenizer(db)
        distinct: dict[tuple[str, ...], str] = {}
        for word in query.split():
            tokens = _tokens(tokenizer, word)
            if tokens and len(distinct) < WORDS:
                distinct.setdefault(tokens, '"' + word.replace('"', '""') + '"')
        [(rows,)] = db.execute(self._rows)
        return [self._word(db, quoted, max(rows, 1)) for quoted in distinct.values()]

    def _word(self, db: apsw.Connection, quoted: str, rows: int) -> _Word:
        """A word's hits: counted where they are few, else by how densely the newest of them lie among all row ids."""
        [(count, oldest)] = db.execute(self._density, (f"{self._texts} {quoted}",))
        hits = count if count < _SAMPLE else count * rows / (rows - oldest + 1)
        return _Word(quoted, hits, math.log(1 + rows / max(hits, 1)))


def snippet(db: apsw.Connection, text: str, query: str) -> str:
    """About `SNIPPET_LENGTH` characters of `text`, on one line, from the place that has the most words of `query`.

    An ellipsis stands where text is left out. Only the first 64 KiB are looked at; where none of the words is in them,
    the snippet is the beginning.
    """
    if len(text) <= SNIPPET_LENGTH:
        return " ".join(text.split())
    raw = text[:_SNIPPET_BYTES].encode()[:_SNIPPET_BYTES]
    tokenizer = _tokenizer(db)
    wanted = {token for word in query.split() if word not in _OPERATORS for token in _tokens(tokenizer, word)}
    places = tokenizer(raw, apsw.FTS5_TOKENIZE_DOCUMENT, None, include_colocated=False)
    begin = _best_place(cast("list[_Place]", places), wanted)
    rest = raw[begin : begin + 4 * SNIPPET_LENGTH + 4].decode(errors="ignore")
    shown = rest[:SNIPPET_LENGTH]
    cut = len(rest) > SNIPPET_LENGTH
    if cut and " " in shown[-_LEAD:]:
        shown = shown[: shown.rindex(" ")]
    return f"{'…' if begin else ''}{' '.join(shown.split())}{'…' if cut else ''}"


def _best_place(places: Sequence[_Place], wanted: set[str]) -> int:
    """The byte at which to begin so that the most wanted tokens follow within a snippet; 0 where there are none."""
    found = [index for index, (_, _, token) in enumerate(places) if token in wanted][:_SNIPPET_HITS]
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


def json_text(value: Any) -> str:
    """The text of a JSON value for an index: its strings, numbers and keys, in order, separated by spaces."""
    parts: list[str] = []
    _collect(value, parts)
    return " ".join(parts)


def _collect(value: Any, parts: list[str]) -> None:
    if isinstance(value, str):
        parts.append(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            parts.append(key)
            _collect(item, parts)
    elif isinstance(value, list):
        for item in value:
            _collect(item, parts)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        parts.append(str(value))


def _rank(api: apsw.FTS5ExtensionApi, /, *options: apsw.SQLiteValue) -> float:
    """BM25 of the current row. The frequency of a phrase is weighed by its columns, as FTS5's `bm25()` does."""
    ranking = api.aux_data
    if ranking is None:
        ranking = api.aux_data = _ranking(api, str(options[0]))
    skip, phrases, weights, idfs, mean_size = ranking
    norm = _K1 * (1 - _B + _B * api.column_size() / mean_size)
    score = 0.0
    for index in range(phrases):
        phrase = skip + index
        frequency = 0.0
        for column in api.phrase_columns(phrase):
            frequency += weights[column] * len(api.phrase_column_offsets(phrase, column))
        score += (idfs[index] if idfs else 1.0) * frequency * (_K1 + 1) / (frequency + norm)
    return score


def _ranking(api: apsw.FTS5ExtensionApi, options: str) -> _Ranking:
    skip, weights, idfs = options.split(";")
    return _Ranking(
        skip=int(skip),
        phrases=api.phrase_count - int(skip),
        weights=tuple(map(float, weights.split())),
        idfs=tuple(map(float, idfs.split())),
        mean_size=max(api.column_total_size() / max(api.row_count, 1), 1.0),
    )


def _telling(words: Iterable[_Word]) -> list[_Word]:
    """The rarest words that occur, as many as fit the candidates together: a common one must not crowd them out."""
    chosen: list[_Word] = []
    total = 0.0
    for word in sorted(words, key=_hits):
        total += word.hits
        if word.hits and (not chosen or total <= CANDIDATES):
            chosen.append(word)
    return chosen


def _facet(facet: str) -> str:
    """One token that the tokenizer leaves whole, whatever the facet has in it."""
    return "x" + hashlib.sha256(facet.encode()).hexdigest()[:16]


def _tokenizer(db: apsw.Connection) -> apsw.FTS5Tokenizer:
    return db.fts5_tokenizer(_TOKENIZER[0], list(_TOKENIZER[1:]))


def _tokens(tokenizer: apsw.FTS5Tokenizer, text: str) -> tuple[str, ...]:
    found = tokenizer(text.encode(), apsw.FTS5_TOKENIZE_QUERY, None, include_offsets=False, include_colocated=False)
    return tuple(map(str, found))
