"""Findings, as `maintenance.check` has them: what was looked at, a verdict, a sentence, and the next step."""

from __future__ import annotations

from ..cli.text import one_line
from ..wire.maintenance import Finding


def ok(what: str, detail: str, next_step: str | None = None) -> Finding:
    """Nothing is wrong."""
    return Finding(what=what, verdict="ok", detail=detail, next_step=next_step)


def warning(what: str, detail: str, next_step: str) -> Finding:
    """It works, and may not for ever."""
    return Finding(what=what, verdict="warning", detail=detail, next_step=next_step)


def problem(what: str, detail: str, next_step: str) -> Finding:
    """Something doesn't work, or was lost. The next step destroys nothing."""
    return Finding(what=what, verdict="problem", detail=detail, next_step=next_step)


def of_text(what: str, text: str, advice: str) -> Finding:
    """A refusal as a problem. Of several lines the last is its advice; else it is `advice`."""
    said, _, own = text.rpartition("\n")
    return problem(what, one_line(said or own), own if said else advice)
