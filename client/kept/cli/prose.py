"""Sentences on a terminal: wrapped to its width, beside a head, with the next step below."""

from __future__ import annotations

import textwrap

from .surface import Surface

WIDEST = 100
"""Longer lines are hard to read, however wide the terminal is."""

ARROW = "-> "
"""What a next step stands behind."""


def paragraph(text: str, surface: Surface, head: str = "", step: str = "") -> None:
    """A text beside a head, wrapped to the width, and below it the next step."""
    width = min(surface.columns, WIDEST) if surface.terminal else surface.columns
    indent = " " * len(head) if len(head) * 2 <= width else "    "
    for number, part in enumerate(filter(None, (text, f"{ARROW}{step}" if step else ""))):
        first = indent if number else head
        for line in wrapped(part, width, first, indent) or [first.rstrip()]:
            surface.line(line)


def wrapped(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    """Lines of `width` characters, the first after `first` and others after `rest`. Nothing that people copy, such as a
    path, is cut: its line is as long as it is."""
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
