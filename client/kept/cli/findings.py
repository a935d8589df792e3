"""Findings as people read them, whoever made them: what is well first, then what is not, each with its next step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..wire.maintenance import Finding
from .prose import ARROW, WIDEST, wrapped
from .surface import Surface
from .text import counted, one_line

_NARROWEST = 30
_ROOMY = 72
"""Columns below which sentences have no column of their own."""

_NAMES = 16
"""Cells of the names' column."""

_MARKS = {"ok": "ok", "warning": "warning", "problem": "PROBLEM"}
_COLOURS = {"ok": "32", "warning": "33", "problem": "31;1"}
_MARK_CELLS = 9


def by_weight(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """What is well first, so that the problems stand above the prompt."""
    return tuple(sorted(findings, key=lambda each: list(_MARKS).index(_known(each))))


def show_findings(findings: Sequence[Finding], surface: Surface) -> None:
    """Each with its verdict, its name, the sentence, and the next step."""
    for finding in by_weight(findings):
        for line in _told(finding, surface):
            surface.line(line)


def summary(findings: Sequence[Finding]) -> str:
    """All of it in a sentence or two."""
    count = {verdict: sum(_known(each) == verdict for each in findings) for verdict in _MARKS}
    problems, warnings = counted(count["problem"], "problem"), counted(count["warning"], "warning")
    if count["problem"]:
        also = f" and {warnings}" if count["warning"] else ""
        return f"{problems}{also}. What stands behind -> is the next step, and destroys nothing."
    if count["warning"]:
        return f"It works, with {warnings}. What stands behind -> is the next step."
    return f"All is well: {counted(count['ok'], 'thing')} {'was' if count['ok'] == 1 else 'were'} looked at."


def _known(finding: Finding) -> str:
    """Its verdict; a later daemon's word for one counts as a warning."""
    return finding.verdict if finding.verdict in _MARKS else "warning"


def _told(finding: Finding, surface: Surface) -> Iterator[str]:
    verdict, name, width = _known(finding), one_line(finding.what), max(_NARROWEST, min(surface.columns, WIDEST))
    mark = _MARKS[verdict].ljust(_MARK_CELLS)
    if width >= _ROOMY:
        begin = _MARK_CELLS + _NAMES
        head, text = mark + name.ljust(_NAMES - 1) + " ", one_line(finding.detail) or "-"
    else:
        begin = _MARK_CELLS
        head, text = mark, f"{name}: {one_line(finding.detail)}"
    first, *rest = wrapped(text, width, head, " " * begin)
    yield f"\x1b[{_COLOURS[verdict]}m{mark}\x1b[0m{first[_MARK_CELLS:]}" if surface.colour else first
    yield from rest
    if step := one_line(finding.next_step or ""):
        yield from wrapped(step, width, " " * begin + ARROW, " " * (begin + len(ARROW)))
