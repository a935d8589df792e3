"""What is known of the entries while the vault is unlocked, in memory alone: names, and all but the values.

It finds an entry by its name or id, lists by name, and searches. It is dropped when the vault is locked.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import nlargest

from . import entries, names
from .entries import About, words_of

SNIPPET_LENGTH = 120
_BEFORE = 30
"""Characters of a snippet before what was found."""


@dataclass(frozen=True, slots=True)
class Known:
    """An entry that opened: what is known of it, what it adds to the head, and how many bytes it takes."""

    id: str
    revision: int
    about: About
    leaf: int
    bytes: int
    folded: str
    """Where a search looks."""


def known(entry_id: str, revision: int, about: About, leaf: int, size: int) -> Known:
    """An entry as it is remembered."""
    return Known(entry_id, revision, about, leaf, size, _folded(words_of(about)))


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

    def search(
        self, query: str, category: str | None, limit: int, *, by_agent: bool = False
    ) -> list[tuple[float, Known]]:
        """Up to `limit` entries in which every word of the query is found, best first, each with how well it fits:
        words in the name count more, and whole names most."""
        said = _folded(query).split()
        # A word that comes twice would only take twice as long, and hundreds hold everybody up.
        words = list(dict.fromkeys(said))
        known = self._by_id.values()
        found = [
            (_score(entry, words, " ".join(said)), entry)
            for entry in (map(for_agents, known) if by_agent else known)
            if (category is None or entry.about.category == category) and all(word in entry.folded for word in words)
        ]
        return nlargest(limit, found, key=_rank)


def name_of(entry: Known) -> str:
    """The name by which it is ordered, as `Contents.after` takes it."""
    return _name(entry)


def snippet(entry: Known, query: str) -> str:
    """Where the first word of the query stands in what is known of an entry."""
    text = words_of(entry.about)
    places = [place for word in _folded(query).split() if (place := _folded(text).find(word)) >= 0]
    # Folding may change lengths: then the piece begins a little beside the word.
    start = max(0, min(places, default=0) - _BEFORE)
    piece = " ".join(text[start : start + SNIPPET_LENGTH].split())
    return f"{'…' if start else ''}{piece}{'…' if start + SNIPPET_LENGTH < len(text) else ''}"


def _score(entry: Known, words: list[str], said: str) -> float:
    name = _folded(entry.about.name)
    in_name = sum(word in name for word in words)
    return 1.0 * len(words) + 2.0 * in_name + (4.0 if name == said else 0.0)


def _rank(hit: tuple[float, Known]) -> tuple[float, int, str]:
    score, entry = hit
    return score, entry.about.updated_at, entry.id


def _name(entry: Known) -> str:
    return unicodedata.normalize("NFC", entry.about.name)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKD", text).casefold()
