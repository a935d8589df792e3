"""What fits into a bundle, how it reads, and its etag. Pure: the same candidates give the same bundle, byte for byte.

As Markdown a bundle says what was left out and how to get at it, which id to resolve a decision or an error by, and
how to write back. Room for that is put aside first.

Tokens are estimated (`keptd.tokens`) of each line with its mark and end.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from kept.wire.context import Bundle, Item, Section

from ..tokens import tokens_of

SectionName = Literal["session", "components", "memories", "decisions", "errors", "sessions", "actions"]

COUNTED = 1000
"""Entries of a kind after which counting stops: in a large database the bundle costs what it does in a small one."""

EMPTY = "Nothing kept here yet."

CLOSING = (
    "To keep something: `kept remember KEY VALUE`, `kept log TEXT`, `kept decide TEXT --why REASON`. "
    "When it is settled: `kept decision resolve ID --outcome TEXT`, `kept error resolve ID --resolution TEXT`."
)

_CLOSING_SHARE = 10
"""A bundle closes with `CLOSING` where that takes at most this part of its budget, in hundredths."""

_NOTES_SHARE = 25
"""Each section that left something out says so where that takes at most this part, in hundredths; else one line does
for all."""

COMMANDS = {
    "session": "kept session show ID",
    "components": "kept component list",
    "memories": "kept memory list --order priority",
    "decisions": "kept decision list --status open",
    "errors": "kept error list --status open",
    "sessions": "kept session ls",
    "actions": "kept action list",
}

_NAMED = frozenset(("session", "decisions", "errors", "sessions"))

_HEADING = re.compile(r"\A(?P<indent>\s*)(?P<heading>#{1,6}(?:\s|\Z))")

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


_CLOSING_TOKENS = tokens_of(f"\n{CLOSING}")


@dataclass(frozen=True, slots=True)
class Filled:
    """The sections that fit a budget, and the lines at the end of the Markdown."""

    sections: tuple[Section, ...]
    noted: bool
    """Whether each section that left something out has a line that says so."""
    closing: tuple[str, ...]


def arrange(shelves: Sequence[Shelf], budget: int) -> Filled:
    """What fits `budget` together with what is said about it."""
    closing = (CLOSING,) if budget * _CLOSING_SHARE // 100 >= _CLOSING_TOKENS else ()
    room = budget - _CLOSING_TOKENS * len(closing)
    sections = fill(shelves, room)
    if not sections:
        return Filled((), noted=False, closing=(EMPTY, *closing))
    if not any(section.left_out for section in sections):
        return Filled(sections, noted=False, closing=closing)
    notes = sum(_note_tokens(shelf) for shelf in shelves if shelf.candidates)
    if notes <= budget * _NOTES_SHARE // 100:
        sections = tuple(_with_note(section) for section in fill(shelves, room - notes))
        return Filled(sections, noted=True, closing=closing)
    sections = fill(shelves, room - tokens_of("\n" + _rest(10 * COUNTED, uncounted=True)))
    left_out = sum(section.left_out for section in sections)
    uncounted = any(section.uncounted for section in sections)
    return Filled(sections, noted=False, closing=(_rest(left_out, uncounted), *closing))


def _rest(left_out: int, uncounted: bool) -> str:
    return f"({_count(left_out, uncounted)} left out, for want of room)"


def _note(name: str, left_out: int, uncounted: bool) -> str:
    return f"({_count(left_out, uncounted)} more: {COMMANDS[name]})"


def _count(number: int, uncounted: bool) -> str:
    return f"at least {number}" if uncounted else str(number)


def _note_tokens(shelf: Shelf) -> int:
    """The most that a note can cost, with the heading of a section without entries."""
    return tokens_of(_note(shelf.name, len(shelf.candidates) + shelf.more, shelf.uncounted)) + heading_tokens(
        shelf.title
    )


def _with_note(section: Section) -> Section:
    if not section.left_out:
        return section
    cost = tokens_of(_note(section.name, section.left_out, section.uncounted))
    heading = 0 if section.items else heading_tokens(section.title)
    return msgspec.structs.replace(section, tokens=section.tokens + cost + heading)


def fill(shelves: Sequence[Shelf], budget: int) -> tuple[Section, ...]:
    """The sections that fit `budget`, by what their entries cost.

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
        cost = tokens_of(line(candidate, shelf.name)) + (0 if taken else heading_tokens(shelf.title))
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
            tokens=tokens_of(line(candidate, shelf.name)),
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


def line(entry: Candidate | Item, section: str) -> str:
    """An entry as a line of Markdown. Its further lines are indented, and no line is a heading, so that it stays inside
    its place. A decision and an error have the id by which they can be resolved, a session that by which it is read."""
    shown = "\n  ".join(_HEADING.sub(r"\g<indent>\\\g<heading>", part) for part in entry.text.splitlines())
    stale = f"[stale: {entry.stale}] " if entry.stale else ""
    named = f" (id {entry.id})" if section in _NAMED else ""
    return f"- {stale}{shown}{named}"


def markdown(filled: Filled) -> str:
    """The bundle for a prompt."""
    lines: list[str] = []
    for section in filled.sections:
        note = filled.noted and section.left_out > 0
        if section.items or note:
            lines += ["", f"## {section.title}", *(line(item, section.name) for item in section.items)]
        if note:
            lines.append(_note(section.name, section.left_out, section.uncounted))
    for text in filled.closing:
        lines += ["", text]
    return "\n".join(lines[1:]) + "\n" if lines else ""


def bundle(filled: Filled, budget: int, wants_markdown: bool, known: str | None) -> Bundle:
    """The reply; only its etag where the caller has it already."""
    sections = filled.sections
    text = markdown(filled) if wants_markdown else None
    etag = hashlib.sha256(_encode((sections, budget, text))).hexdigest()[:32]
    if etag == known:
        return Bundle(etag=etag, unchanged=True)
    total = sum(section.tokens for section in sections)
    if text is not None:
        total += sum(tokens_of(f"\n{closing}") for closing in filled.closing)
    return Bundle(etag=etag, budget_tokens=budget, tokens=total, sections=sections, markdown=text)
