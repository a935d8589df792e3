"""What fits into a bundle, how it reads, and its etag. Pure: the same candidates give the same bundle, byte for byte.

Tokens are estimated as a quarter of the UTF-8 bytes, rounded up, of each line with its mark and end; the common rule
of thumb for English. The sum over lines is never less than the estimate of the whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from kept.wire.context import Bundle, Item, Section

SectionName = Literal["components", "memories", "decisions", "errors", "actions"]

BYTES_PER_TOKEN = 4

COUNTED = 1000
"""Entries of a kind after which counting stops: in a large database the bundle costs what it does in a small one."""

_encode = msgspec.json.Encoder(order="deterministic").encode


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entry that could be in: its id, its text, why it would be, and why it is not to be relied on, if so."""

    id: str
    text: str
    why: str
    stale: str | None = None


@dataclass(frozen=True, slots=True)
class Shelf:
    """A section before it is filled: `share` is the part of the budget (in hundredths) that it may take before the
    others have had theirs; `more` counts what exists beyond the candidates, and `uncounted` tells that there may be
    further ones, since counting stopped at `COUNTED`."""

    name: SectionName
    title: str
    share: int
    candidates: Sequence[Candidate]
    more: int = 0
    uncounted: bool = False


def tokens_of(line: str) -> int:
    """The estimate for a line, with its end."""
    return -(-(len(line.encode()) + 1) // BYTES_PER_TOKEN)


def fill(shelves: Sequence[Shelf], budget: int) -> tuple[Section, ...]:
    """The sections that fit `budget`.

    First each shelf, in order, takes what fits its share; then what is left of the budget goes to the shelves in
    order. An entry that does not fit is left out whole, and smaller ones behind it may still come.
    """
    taken: dict[SectionName, set[int]] = {shelf.name: set() for shelf in shelves}
    left = budget
    for shelf in shelves:
        allowed = min(left, budget * shelf.share // 100)
        left -= _take(shelf, taken[shelf.name], allowed)
    for shelf in shelves:
        left -= _take(shelf, taken[shelf.name], left)
    return tuple(_section(shelf, taken[shelf.name]) for shelf in shelves if shelf.candidates)


def _take(shelf: Shelf, taken: set[int], allowed: int) -> int:
    """Add candidates to `taken` while they fit `allowed`; returns what they cost, with the heading before the first."""
    spent = 0
    for place, candidate in enumerate(shelf.candidates):
        if place in taken:
            continue
        cost = tokens_of(line(candidate.text, candidate.stale)) + (0 if taken else heading_tokens(shelf.title))
        if spent + cost <= allowed:
            taken.add(place)
            spent += cost
    return spent


def _section(shelf: Shelf, taken: set[int]) -> Section:
    items = tuple(
        Item(
            id=candidate.id,
            text=candidate.text,
            why=candidate.why,
            tokens=tokens_of(line(candidate.text, candidate.stale)),
            stale=candidate.stale,
        )
        for place, candidate in enumerate(shelf.candidates)
        if place in taken
    )
    return Section(
        name=shelf.name,
        title=shelf.title,
        items=items,
        tokens=sum(item.tokens for item in items) + (heading_tokens(shelf.title) if items else 0),
        left_out=len(shelf.candidates) - len(items) + shelf.more,
        uncounted=shelf.uncounted,
    )


def heading_tokens(title: str) -> int:
    """What a section's heading costs, with the blank line before it."""
    return tokens_of(f"\n## {title}")


def line(text: str, stale: str | None) -> str:
    """An entry as a line of Markdown. Its further lines are indented, so that they stay inside the entry."""
    shown = "\n  ".join(text.splitlines())
    return f"- [stale: {stale}] {shown}" if stale else f"- {shown}"


def markdown(sections: Iterable[Section]) -> str:
    """The bundle for a prompt."""
    lines: list[str] = []
    for section in sections:
        if section.items:
            lines += ["", f"## {section.title}", *(line(item.text, item.stale) for item in section.items)]
    return "\n".join(lines[1:]) + "\n" if lines else ""


def bundle(sections: tuple[Section, ...], budget: int, wants_markdown: bool, known: str | None) -> Bundle:
    """The reply; only its etag where the caller has it already."""
    text = markdown(sections) if wants_markdown else None
    etag = hashlib.sha256(_encode((sections, budget, text))).hexdigest()[:32]
    if etag == known:
        return Bundle(etag=etag, unchanged=True)
    total = sum(section.tokens for section in sections)
    if text is not None:
        return Bundle(etag=etag, budget_tokens=budget, tokens=total, sections=sections, markdown=text)
    return Bundle(etag=etag, budget_tokens=budget, tokens=total, sections=sections)
