"""What is known of the entries while the vault is unlocked, in memory alone: names, and all but the values.

It finds an entry by its name or id, lists by name, and searches. It is dropped when the vault is locked.

A search looks at all of it, which in a large vault takes too long for the loop. So `found` and `snippet` are plain
functions of entries that never change, to be run in a thread over those that there were when it began.
"""

from __future__ import annotations

import builtins
import unicodedata
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from heapq import nlargest

from kept.wire.errors import InvalidParams

from . import entries, names
from .entries import METADATA_BYTES, About, words_of

MOST_WORDS = 32
"""Different words of one query."""

SNIPPET_LENGTH = 120
_BEFORE = 30
"""Characters of a snippet before what was found."""

_FOLDED_BYTES = 4 * METADATA_BYTES
"""How much of an entry's folded text is searched. No script takes more, not even Hangul, at three times its size;
ligatures do that are whole words or sentences (U+FDFA is 18 letters)."""

_EVERY = 64
"""Entries between two looks at whether a search is still wanted, which cost more than an entry does; of the largest,
some milliseconds."""

_PIECE = 256
"""Characters that are folded at once to find a place."""


@dataclass(frozen=True, slots=True)
class Known:
    """An entry that opened: what is known of it, what it adds to the head, and how many bytes it takes."""

    id: str
    revision: int
    about: About
    leaf: int
    bytes: int
    folded: builtins.bytes
    """Where a search looks, in UTF-8: there every word is found as in the text, in the least memory."""
    folded_name: builtins.bytes


def known(entry_id: str, revision: int, about: About, leaf: int, size: int) -> Known:
    """An entry as it is remembered."""
    folded = _folded(words_of(about)).encode()[:_FOLDED_BYTES]
    return Known(entry_id, revision, about, leaf, size, folded, _folded(about.name).encode())


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for: the different words, in their order, and all of it as a name would be."""

    words: tuple[bytes, ...]
    name: bytes

    @classmethod
    def of(cls, text: str) -> Query:
        """Raises `InvalidParams` for more than `MOST_WORDS`."""
        words = _folded(text).split()
        distinct = dict.fromkeys(words)
        if len(distinct) > MOST_WORDS:
            raise InvalidParams(
                f"query has {len(distinct)} different words, and {MOST_WORDS} are allowed",
                hint="An entry must have all of them: the few that tell most will do.",
                field="query",
                limit=MOST_WORDS,
            )
        return cls(tuple(word.encode() for word in distinct), " ".join(words).encode())


def for_agents(entry: Known) -> Known:
    """The same as agents know it."""
    about = entries.for_agents(entry.about)
    return entry if about is entry.about else known(entry.id, entry.revision, about, entry.leaf, entry.bytes)


class Contents:
    """All entries that opened."""

    def __init__(self, known: Iterable[Known] = ()) -> None:
        self._by_id = {entry.id: entry for entry in known}
        self._ids = {_name(entry): entry.id for entry in self._by_id.values()}
        self._names = sorted(self._ids)
        self._hidden: dict[str, set[str]] = {}
        for name in self._ids:
            self._hide(name)
        self.bytes = sum(entry.bytes for entry in self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Known]:
        return iter(self._by_id.values())

    def get(self, entry_id: str) -> Known | None:
        """The entry with this id."""
        return self._by_id.get(entry_id)

    def find(self, ref: str) -> Known | None:
        """The entry with this name or, failing that, this id."""
        return self._by_id.get(self._ids.get(unicodedata.normalize("NFC", ref), ref))

    def alike(self, name: str) -> Iterator[Known]:
        """The entries whose names may look like this one."""
        seen = names.as_seen(name)
        for own in (seen, *self._hidden.get(seen, ())):
            if own in self._ids:
                yield self._by_id[self._ids[own]]

    def put(self, entry: Known) -> None:
        """Add an entry, or replace the one with its id."""
        self.remove(entry.id)
        self._by_id[entry.id] = entry
        self._ids[_name(entry)] = entry.id
        insort(self._names, _name(entry))
        self._hide(_name(entry))
        self.bytes += entry.bytes

    def remove(self, entry_id: str) -> None:
        """Forget an entry, if it is there."""
        gone = self._by_id.pop(entry_id, None)
        if gone is not None:
            del self._ids[_name(gone)]
            del self._names[bisect_left(self._names, _name(gone))]
            self._show(_name(gone))
            self.bytes -= gone.bytes

    def after(self, name: str | None, prefix: str | None = None) -> Iterator[Known]:
        """The entries behind this name, in the order of names; with `prefix` only those that start with it."""
        prefix = unicodedata.normalize("NFC", prefix or "")
        start = (
            bisect_left(self._names, prefix)
            if name is None
            else max(bisect_right(self._names, name), bisect_left(self._names, prefix))
        )
        for at in range(start, len(self._names)):
            if not self._names[at].startswith(prefix):
                return
            yield self._by_id[self._ids[self._names[at]]]

    def _hide(self, name: str) -> None:
        """Remember a name that may look like another: most are as they are seen."""
        if (seen := names.as_seen(name)) != name:
            self._hidden.setdefault(seen, set()).add(name)

    def _show(self, name: str) -> None:
        """Forget it again."""
        hidden = self._hidden.get(names.as_seen(name), set())
        hidden.discard(name)
        if not hidden:
            self._hidden.pop(names.as_seen(name), None)


def name_of(entry: Known) -> str:
    """The name by which it is ordered, as `Contents.after` takes it."""
    return _name(entry)


def found(
    entries: Iterable[Known], query: Query, category: str | None, limit: int, go_on: Callable[[], None]
) -> list[tuple[float, Known]]:
    """Up to `limit` entries in which every word of the query is found, best first, each with how well it fits: words in
    the name count more, and whole names most. `go_on` is called every few entries; it raises where nobody wants the
    answer any more."""
    hits = []
    for place, entry in enumerate(entries):
        if place % _EVERY == 0:
            go_on()
        if (category is None or entry.about.category == category) and all(word in entry.folded for word in query.words):
            hits.append((_score(entry, query), entry))
    return nlargest(limit, hits, key=_rank)


def snippet(entry: Known, query: Query) -> str:
    """Where the first word of the query stands in what is known of an entry."""
    text = words_of(entry.about)
    place = entry.folded.find(query.words[0]) if query.words else 0
    letters = len(entry.folded[: max(0, place)].decode())
    start = max(0, _unfolded(text, letters) - _BEFORE)
    piece = " ".join(text[start : start + SNIPPET_LENGTH].split())
    return f"{'…' if start else ''}{piece}{'…' if start + SNIPPET_LENGTH < len(text) else ''}"


def _unfolded(text: str, letters: int) -> int:
    """The place in a text with so many characters of its folded form before it. Folding takes characters one by one, or
    puts marks in order, so the lengths of its pieces add up."""
    if text.isascii():
        return letters
    begin = 0
    while begin < len(text) and (size := len(_folded(text[begin : begin + _PIECE]))) <= letters:
        begin += _PIECE
        letters -= size
    for at, letter in enumerate(text[begin : begin + _PIECE], begin):
        letters -= len(_folded(letter))
        if letters < 0:
            return at
    return len(text)


def _score(entry: Known, query: Query) -> float:
    in_name = sum(word in entry.folded_name for word in query.words)
    return 1.0 * len(query.words) + 2.0 * in_name + (4.0 if entry.folded_name == query.name else 0.0)


def _rank(hit: tuple[float, Known]) -> tuple[float, int, str]:
    score, entry = hit
    return score, entry.about.updated_at, entry.id


def _name(entry: Known) -> str:
    return unicodedata.normalize("NFC", entry.about.name)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKD", text).casefold()
