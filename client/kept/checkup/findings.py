"""Findings, as `maintenance.check` has them: what was looked at, a verdict, a sentence, and the next step."""

from __future__ import annotations

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


def of_text(what: str, text: str) -> Finding:
    """A refusal of several lines as a problem: the last is its advice."""
    said, _, advice = text.rpartition("\n")
    return problem(what, " ".join((said or advice).split()), advice if said else "kept doctor looks again.")


def amount(count: int) -> str:
    """A number of bytes, rounded down, as people say it."""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count // size} {unit}"
    return f"{count} bytes"
