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
in. How a text is cut into words is said by `scripts` and `queries`, what a query means by `queries`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import apsw

from kept.wire.errors import InvalidParams

from . import queries, scripts
from .queries import Term

if TYPE_CHECKING:
    from ..domain import SearchIndex

CANDIDATES = 2000
"""How many hits are ranked: the newest."""

ENOUGH = 200
"""Hits with every term from which on `gather` doesn't look for those with some of them."""

SCANNED = 40_000
"""How many hits, the newest, are looked at where a filter isn't a facet."""

_SAMPLE = 200

# Okapi BM25 with the constants of FTS5 (https://www.sqlite.org/fts5.html, section 5.1.1).
_K1 = 1.2
LENGTH_SHARE = 0.75

# A rank is a whole number: the score in units of 2^-20, up to 2^31 of them, above one bit for each term.
_MASK_BITS = 32
_MASK = 2**_MASK_BITS - 1
_UNITS = 2.0**20
_MOST = 2**31 - 1
_SCALE = (_K1 + 1) * _UNITS

_score = attrgetter("score")
_hits = attrgetter("hits")


class Hit(NamedTuple):
    """A row that fits, how well (higher is better), and which terms it has: one bit for each, the first the lowest."""

    rowid: int
    score: float
    terms: int = 0


class Word(NamedTuple):
    """A term of a query, about how many rows within the filters have it, and its inverse document frequency."""

    term: Term
    hits: float
    idf: float


class Gathered(NamedTuple):
    """What a query looked for, in the order of the bits of `Hit.terms`, and what it found, best first."""

    words: Sequence[Word]
    hits: Sequence[Hit]


class Narrow(NamedTuple):
    """Which rows count: those that have one facet of every group and none of `without`, and for which `where` holds.

    `where` is SQL with positional bindings, in which the row is `{table}.rowid`; it is checked before a row is ranked,
    on the newest `SCANNED` hits.
    """

    facets: tuple[tuple[str, ...], ...] = ()
    without: tuple[str, ...] = ()
    where: str = ""
    given: tuple[Any, ...] = ()


ALL = Narrow()


class _Ranking(NamedTuple):
    """What `kept_rank` needs for every row of one search: the phrases, those of one term together, by number."""

    terms: tuple[tuple[float, tuple[int, ...]], ...]
    weights: tuple[float, ...]
    length_share: float
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
    """One FTS5 table. `columns` are its text columns, each with how much a hit in it counts; `length_share` (0 to 1) is
    how far a long text has to have a word more often to count as much.

    With `removed_in_bulk` removing rows never makes FTS5 merge: once a tenth of a segment is gone it would write all of
    it anew inside of one write, which at 100,000 rows holds up everybody else for half a second, again and again.
    What is left of removed rows then goes when maintenance merges the index, in small steps.
    """

    def __init__(
        self,
        name: str,
        columns: Mapping[str, float],
        length_share: float = LENGTH_SHARE,
        *,
        removed_in_bulk: bool = False,
    ) -> None:
        self.name = name
        self._removed_in_bulk = removed_in_bulk
        self._options = f"{' '.join(map(repr, columns.values()))};{length_share!r}"
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
        self._oldest = f"SELECT rowid FROM {name} WHERE {name} MATCH ? ORDER BY rowid DESC LIMIT 1 OFFSET {SCANNED - 1}"

    def create_sql(self) -> str:
        """The statement that makes the table, for a migration."""
        return (
            f"CREATE VIRTUAL TABLE {self.name} USING fts5({self._names}, content='', contentless_delete=1, "
            f"tokenize='{queries.TOKENIZE}');"
        )

    def make_sql(self) -> str:
        """The statements that make it as all migrations together do."""
        return f"{self.create_sql()} {self.size_sql()}"

    def size_sql(self) -> str:
        """The statements, for a migration, that fit the index's pages into those of a database with checksums, and set
        what `removed_in_bulk` asks for (https://www.sqlite.org/fts5.html, section 6.4).

        FTS5's own 4050 bytes are made for a page without reserved bytes; with 8, each would take a second page.
        """
        size = f"INSERT INTO {self.name} ({self.name}, rank) VALUES ('pgsz', 4000);"
        if self._removed_in_bulk:
            size += f" INSERT INTO {self.name} ({self.name}, rank) VALUES ('deletemerge', 0);"
        return size

    def add(self, db: apsw.Connection, rowid: int, texts: Sequence[str], facets: Iterable[str] = ()) -> None:
        """Index a row: one text for each column, and the facets (`scope=global`) that a search may ask for.

        `rowid` is at least 1; that of a new row is higher than every earlier one, since rank goes to the newest. A row
        that was removed may be added again under its own, which costs FTS5 a segment.
        """
        db.execute(self._insert, (rowid, *map(scripts.prepared, texts), " ".join(map(_facet, facets))))

    def remove(self, db: apsw.Connection, rowid: int) -> None:
        """Take a row out of the index."""
        db.execute(self._delete, (rowid,))

    def search(
        self,
        db: apsw.Connection,
        query: str,
        *,
        syntax: str = "words",
        facets: Iterable[str] = (),
        narrow: Narrow = ALL,
    ) -> list[Hit]:
        """The newest `CANDIDATES` rows that fit and have all `facets`: best first, newest first where they fit alike.

        With `words` and `prefix`, rows with all of the terms are looked for; where there are none, rows with any of
        them, leaving out terms that are too common to tell rows apart. A query without a letter or digit finds nothing.
        With `fts5`, the query is an FTS5 expression over the text columns; raises `InvalidParams` naming `query` where
        it is none.
        """
        narrow = narrow._replace(facets=(*narrow.facets, *((facet,) for facet in facets)))
        if syntax == "fts5":
            return self._expression(db, narrow, query)
        words = self._words(db, narrow, queries.terms(db, query, syntax))
        hits = self._with_all(db, narrow, words)
        return hits if hits or len(words) < 2 else self._with_any(db, narrow, words)

    def gather(self, db: apsw.Connection, query: str, *, syntax: str, narrow: Narrow) -> Gathered:
        """As `search`, for a second ranking: where fewer than `ENOUGH` rows have all of the terms, those with any of
        them are there as well. With `fts5` there are no words."""
        if syntax == "fts5":
            return Gathered((), self._expression(db, narrow, query))
        words = self._words(db, narrow, queries.terms(db, query, syntax))
        hits = self._with_all(db, narrow, words)
        if len(words) < 2 or len(hits) >= ENOUGH:
            return Gathered(words, hits)
        found = {hit.rowid: hit for hit in (*self._with_any(db, narrow, words), *hits)}
        return Gathered(words, sorted(found.values(), key=lambda hit: (-hit.score, -hit.rowid)))

    def _expression(self, db: apsw.Connection, narrow: Narrow, expression: str) -> list[Hit]:
        expression = scripts.in_expression(expression.replace("\0", " "))
        try:
            # Alone first: in the parentheses that confine it to the text columns, `a) OR facets : (b` would be valid.
            db.execute(self._parse, (expression,)).fetchall()
            return self._ranked(db, narrow, expression, "")
        except apsw.SQLError:
            raise InvalidParams(
                "query is no FTS5 expression",
                hint='Leave syntax out to search for the words as they are, or quote them: "two words" AND word*',
                field="query",
            ) from None

    def _with_all(self, db: apsw.Connection, narrow: Narrow, words: Sequence[Word]) -> list[Hit]:
        if not words or not all(word.hits for word in words):
            return []
        return self._ranked(db, narrow, " AND ".join(word.term.expression for word in words), _weighed(words, words))

    def _with_any(self, db: apsw.Connection, narrow: Narrow, words: Sequence[Word]) -> list[Hit]:
        telling = _telling(words)
        if not telling:
            return []
        return self._ranked(db, narrow, " OR ".join(word.term.expression for word in telling), _weighed(telling, words))

    def _ranked(self, db: apsw.Connection, narrow: Narrow, expression: str, weighed: str) -> list[Hit]:
        match = self._match(narrow, f"{self._texts} ({expression})")
        facets = sum(map(len, narrow.facets))
        options = f"{facets};{len(narrow.without)};{self._options};{weighed}"
        sql, given = self._search, (options, match, *narrow.given)
        if narrow.where:
            oldest = db.execute(self._oldest, (match,)).fetchone()
            where = (
                f" AND {self.name}.rowid >= {oldest[0] if oldest else 0} AND {narrow.where.format(table=self.name)} "
            )
            sql = sql.replace(" ORDER BY ", f"{where}ORDER BY ")
        hits = [Hit(rowid, (rank >> _MASK_BITS) / _UNITS, rank & _MASK) for rowid, rank in db.execute(sql, given)]
        hits.sort(key=_score, reverse=True)
        return hits

    def _match(self, narrow: Narrow, texts: str = "") -> str:
        """The FTS5 expression for rows within the filters that are facets, and with `texts`."""
        parts = [_any(group) for group in narrow.facets]
        match = " AND ".join((*parts, texts) if texts else parts)
        return f"({match}) NOT {_any(narrow.without)}" if narrow.without and match else match

    def _words(self, db: apsw.Connection, narrow: Narrow, terms: Iterable[Term]) -> list[Word]:
        [(rows,)] = db.execute(self._rows)
        rows = max(rows, 1)
        # `without` and `where` keep out few, as a rule, and would have to be looked up for every word.
        narrow = Narrow(narrow.facets)
        within = self._about(db, self._match(narrow), rows) if narrow.facets else rows
        words = []
        for term in terms:
            hits = self._about(db, self._match(narrow, f"{self._texts} {term.expression}"), rows)
            words.append(Word(term, hits, math.log(1 + max(within, hits) / max(hits, 1))))
        return words

    def _about(self, db: apsw.Connection, match: str, rows: int) -> float:
        """How many rows match: counted where they are few, else by how densely the newest lie among all row ids."""
        [(count, oldest)] = db.execute(self._density, (match,))
        return float(count if count < _SAMPLE else count * rows / (rows - oldest + 1))


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


def _rank(api: apsw.FTS5ExtensionApi, /, *options: apsw.SQLiteValue) -> int:
    """BM25 of the current row, and which terms it has. The frequency of a term is weighed by its columns, as FTS5's
    `bm25()` does with a phrase's."""
    ranking = api.aux_data
    if ranking is None:
        ranking = api.aux_data = _ranking(api, str(options[0]))
    terms, weights, length_share, mean_size = ranking
    columns, offsets = api.phrase_columns, api.phrase_column_offsets
    norm = _K1 * (1 - length_share + length_share * api.column_size() / mean_size)
    score, mask, bit = 0.0, 0, 1
    for idf, phrases in terms:
        frequency = 0.0
        for phrase in phrases:
            for column in columns(phrase):
                frequency += weights[column] * len(offsets(phrase, column))
        if frequency:
            score += idf * frequency / (frequency + norm)
            mask |= bit
        bit <<= 1
    units = min(int(score * _SCALE), _MOST)
    packed: int = units << _MASK_BITS | mask & _MASK
    return packed


def _ranking(api: apsw.FTS5ExtensionApi, options: str) -> _Ranking:
    """`options` are: phrases of facets before and after those of the query; weights; share of the length; and for each
    term its inverse document frequency and how many phrases it has, where a phrase is not a term that counts as 1."""
    before, after, weights, length_share, weighed = options.split(";")
    phrase, end = int(before), api.phrase_count - int(after)
    terms: list[tuple[float, tuple[int, ...]]] = []
    for word in weighed.split() or ["1.0:1"] * (end - phrase):
        idf, _, count = word.partition(":")
        terms.append((float(idf), tuple(range(phrase, phrase + int(count)))))
        phrase += int(count)
    return _Ranking(
        terms=tuple(terms),
        weights=tuple(map(float, weights.split())),
        length_share=float(length_share),
        mean_size=max(api.column_total_size() / max(api.row_count, 1), 1.0),
    )


def _weighed(chosen: Sequence[Word], words: Sequence[Word]) -> str:
    """The words for `kept_rank`: of those that weren't chosen, none of the phrases."""
    return " ".join(f"{word.idf!r}:{len(word.term.forms) if word in chosen else 0}" for word in words)


def _telling(words: Sequence[Word]) -> list[Word]:
    """The rarest words that occur, as many as fit the candidates together: a common one must not crowd them out.

    In the order in which they were given, which is that of their phrases.
    """
    chosen: list[Word] = []
    total = 0.0
    for word in sorted(words, key=_hits):
        total += word.hits
        if word.hits and (not chosen or total <= CANDIDATES):
            chosen.append(word)
    return [word for word in words if word in chosen]


def _any(facets: Sequence[str]) -> str:
    """Rows that have one of the facets."""
    quoted = " OR ".join(f'"{_facet(facet)}"' for facet in facets)
    return f"facets : ({quoted})"


def _facet(facet: str) -> str:
    """One token that the tokenizer leaves whole, whatever the facet has in it."""
    return "x" + hashlib.sha256(facet.encode()).hexdigest()[:16]
