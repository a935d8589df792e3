"""What a new terminal shows: a few lines of what is open, or nothing where nothing is.

Owns the choice and the wording. All of it is stored text and so untrusted: each line is made harmless, and cut to the
terminal's width.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..wire.context import Bundle, BundleContext, Section
from .surface import Caller, Surface
from .text import clip, counted, one_line

LINES = 12
"""The most that is shown: half of a small terminal."""

_BUDGET = 2000
_NARROW = 20
"""Columns of a terminal that has no room for a sentence."""

_SHOWN = {"components": 2, "errors": 2, "decisions": 3, "sessions": 1, "memories": 1, "actions": 1}
"""The sections in the order in which they are shown, and how many entries of each."""

_LABELS = {
    "components": "not in order",
    "errors": "error",
    "decisions": "decided",
    "sessions": "last session",
    "memories": "known",
    "actions": "done",
}
_LABEL_WIDTH = max(map(len, _LABELS.values()))

_COUNTED = (("decisions", "open decision"), ("errors", "unresolved error"), ("components", "component"))
_DIM, _BOLD, _PLAIN = "\x1b[2m", "\x1b[1m", "\x1b[0m"


def lines_of(call: Caller, surface: Surface) -> Iterator[str]:
    """The lines, at most `LINES`; none where nothing is kept, or where the terminal is too narrow."""
    bundle: Bundle = call(BundleContext(budget_tokens=_BUDGET))
    sections = {section.name: section for section in bundle.sections if section.items or section.left_out}
    if not sections or surface.columns < _NARROW:
        return
    yield _styled(clip(_heading(sections), surface.columns), _BOLD, surface)
    for name, most in _SHOWN.items():
        section = sections.get(name)
        for item in section.items[:most] if section is not None else ():
            stale = "(stale) " if item.stale else ""
            text = one_line(f"{stale}{item.text}")
            yield clip(f"  {_LABELS[name]:<{_LABEL_WIDTH}}  {text}", surface.columns)
    yield _styled(clip("  more: kept context", surface.columns), _DIM, surface)


def _heading(sections: dict[str, Section]) -> str:
    told = []
    for name, noun in _COUNTED:
        if name in sections:
            section = sections[name]
            count = counted(len(section.items) + section.left_out, noun)
            told.append(f"{'at least ' if section.uncounted else ''}{count}{' not in order' * (name == 'components')}")
    return f"kept: {', '.join(told) or 'nothing open'}"


def _styled(text: str, style: str, surface: Surface) -> str:
    return f"{style}{text}{_PLAIN}" if surface.colour else text
