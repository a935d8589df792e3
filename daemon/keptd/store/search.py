"""Full-text search over one FTS5 table per searchable thing. Knows no domain: a room names its columns and hands in
text.

The row's id in the index is the row's id in its table, and grows with time, so that the newest rows of a word are found
without looking at all of them. Three things keep the cost of a word independent of how many rows have it:

- only the newest `CANDIDATES` hits are ranked;
- filters are exact tokens in a column of their own (`facets`), so that they run inside the index, not on fetched rows;
- FTS5's own `bm25()` counts every hit of every phrase for its inverse document frequency (21 ms for a word in 400,000
  rows, and again for each facet); here it is estimated from how densely the newest hits lie, and `kept_rank` does the
  rest. Of one term alone it is the same for every hit, so that those which are ranked give it, and it is looked for
  once: a beginning of two letters is expensive, as FTS5 joins all of its words before it gives the first row.

The table keeps no copy of the text (`content=''`); a removed row's tokens go when FTS5 merges the segment that they are
in. How a text is cut into words is said by `scripts` and `queries`, what a query means by `queries`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import apsw

from kept.wire.errors import InvalidParams

from . import okapi, queries, scripts
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

_hits = attrgetter("hits")
_rank_of = itemgetter(1)


class Hit(NamedTuple):
    """A row that fits, how well (higher is better), and which terms it has: one bit for each, the first the lowest."""

    rowid: int
    score: float
    terms: int = 0


class Hits(Sequence[Hit]):
    """Hits, best first. Each is made when it is looked at: mostly a few of the `CANDIDATES` are."""

    __slots__ = ("_factor", "_ranks")

    def __init__(self, ranks: Sequence[tuple[int, int]] = (), factor: float = 1.0) -> None:
        """`ranks` are row ids with what `okapi` gives, best first; `factor` is what their scores are multiplied by."""
        self._ranks = ranks
        self._factor = factor / okapi.UNITS

    def __len__(self) -> int:
        return len(self._ranks)

    @overload
    def __getitem__(self, place: int) -> Hit: ...

    @overload
    def __getitem__(self, place: slice) -> list[Hit]: ...

    def __getitem__(self, place: int | slice) -> Hit | list[Hit]:
        if isinstance(place, slice):
            return [self._hit(*one) for one in self._ranks[place]]
        return self._hit(*self._ranks[place])

    def _hit(self, rowid: int, rank: int) -> Hit:
        return Hit(rowid, (rank >> okapi.TERM_BITS) * self._factor, rank & okapi.TERMS)


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
        length_share: float = okapi.LENGTH_SHARE,
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
    ) -> Hits:
        """The newest `CANDIDATES` rows that fit and have all `facets`: best first, newest first where they fit alike.

        With `words` and `prefix`, rows with all of the terms are looked for; where there are none, rows with any of
        them, leaving out terms that are too common to tell rows apart. A query without a letter or digit finds nothing.
        With `fts5`, the query is an FTS5 expression over the text columns; raises `InvalidParams` naming `query` where
        it is none.
        """
        narrow = narrow._replace(facets=(*narrow.facets, *((facet,) for facet in facets)))
        if syntax == "fts5":
            return self._expression(db, narrow, query)
        terms = queries.terms(db, query, syntax)
        if len(terms) == 1:
            return self._one(db, narrow, terms[0])[1]
        words = self._words(db, narrow, terms)
        return self._with_all(db, narrow, words) or self._with_any(db, narrow, words)

    def gather(self, db: apsw.Connection, query: str, *, syntax: str, narrow: Narrow) -> Gathered:
        """As `search`, for a second ranking: where fewer than `ENOUGH` rows have all of the terms, those with any of
        them are there as well. With `fts5` there are no words."""
        if syntax == "fts5":
            return Gathered((), self._expression(db, narrow, query))
        terms = queries.terms(db, query, syntax)
        if len(terms) == 1:
            word, hits = self._one(db, narrow, terms[0])
            return Gathered((word,), hits)
        words = self._words(db, narrow, terms)
        hits = self._with_all(db, narrow, words)
        if len(hits) >= ENOUGH:
            return Gathered(words, hits)
        found = {hit.rowid: hit for hit in (*self._with_any(db, narrow, words), *hits)}
        return Gathered(words, sorted(found.values(), key=lambda hit: (-hit.score, -hit.rowid)))

    def _expression(self, db: apsw.Connection, narrow: Narrow, expression: str) -> Hits:
        expression = scripts.in_expression(expression.replace("\0", " "))
        try:
            # Alone first: in the parentheses that confine it to the text columns, `a) OR facets : (b` would be valid.
            db.execute(self._parse, (expression,)).fetchall()
            return _best_first(self._newest(db, narrow, expression, ""))
        except apsw.SQLError:
            raise InvalidParams(
                "query is no FTS5 expression",
                hint='Leave syntax out to search for the words as they are, or quote them: "two words" AND word*',
                field="query",
            ) from None

    def _one(self, db: apsw.Connection, narrow: Narrow, term: Term) -> tuple[Word, Hits]:
        """A single term, looked for once: how rare it is changes the scores, and not the order."""
        found = self._newest(db, narrow, term.expression, f"1.0:{len(term.forms)}")
        rows = self._count(db)
        hits = _about(len(found), CANDIDATES, found[-1][0] if found else 0, rows)
        word = Word(term, hits, math.log(1 + max(rows, hits) / max(hits, 1)))
        found.sort(key=_rank_of, reverse=True)  # All have the same term, so that ranks compare as scores do.
        return word, Hits(found, word.idf)

    def _with_all(self, db: apsw.Connection, narrow: Narrow, words: Sequence[Word]) -> Hits:
        if not words or not all(word.hits for word in words):
            return Hits()
        expression = " AND ".join(word.term.expression for word in words)
        return _best_first(self._newest(db, narrow, expression, _weighed(words, words)))

    def _with_any(self, db: apsw.Connection, narrow: Narrow, words: Sequence[Word]) -> Hits:
        telling = _telling(words)
        if not telling:
            return Hits()
        expression = " OR ".join(word.term.expression for word in telling)
        return _best_first(self._newest(db, narrow, expression, _weighed(telling, words)))

    def _newest(self, db: apsw.Connection, narrow: Narrow, expression: str, weighed: str) -> list[tuple[int, int]]:
        """The newest `CANDIDATES` rows that fit, newest first, with their ranks."""
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
        rows: list[Any] = db.execute(sql, given).fetchall()
        return rows

    def _match(self, narrow: Narrow, texts: str = "") -> str:
        """The FTS5 expression for rows within the filters that are facets, and with `texts`."""
        parts = [_any(group) for group in narrow.facets]
        match = " AND ".join((*parts, texts) if texts else parts)
        return f"({match}) NOT {_any(narrow.without)}" if narrow.without and match else match

    def _words(self, db: apsw.Connection, narrow: Narrow, terms: Iterable[Term]) -> list[Word]:
        rows = self._count(db)
        # `without` and `where` keep out few, as a rule, and would have to be looked up for every word.
        narrow = Narrow(narrow.facets)
        within = self._estimate(db, self._match(narrow), rows) if narrow.facets else rows
        words = []
        for term in terms:
            hits = self._estimate(db, self._match(narrow, f"{self._texts} {term.expression}"), rows)
            words.append(Word(term, hits, math.log(1 + max(within, hits) / max(hits, 1))))
        return words

    def _count(self, db: apsw.Connection) -> int:
        """How many rows there are, with those that were removed since."""
        [(rows,)] = db.execute(self._rows)
        return max(int(rows), 1)

    def _estimate(self, db: apsw.Connection, match: str, rows: int) -> float:
        """About how many rows match."""
        [(count, oldest)] = db.execute(self._density, (match,))
        return _about(count, _SAMPLE, oldest, rows)


def _about(count: int, most: int, oldest: int, rows: int) -> float:
    """How many rows match, where up to `most` of the newest were counted: if there may be more, by how densely those
    lie among all row ids."""
    return float(count if count < most else count * rows / (rows - oldest + 1))


def _best_first(found: list[tuple[int, int]]) -> Hits:
    """Rows with their ranks, newest first, as hits."""
    found.sort(key=_score_of, reverse=True)
    return Hits(found)


def _score_of(found: tuple[int, int]) -> int:
    return found[1] >> okapi.TERM_BITS


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
