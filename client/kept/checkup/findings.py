"""Findings, as `maintenance.check` has them: what was looked at, a verdict, a sentence, and the next step."""

from __future__ import annotations

import os
from shlex import quote

from ..cli.text import one_line
from ..wire.maintenance import Finding


def ok(what: str, detail: str, next_step: str | None = None) -> Finding:
    """Nothing is wrong."""
    step = None if next_step is None else harmless(next_step)
    return Finding(what=what, verdict="ok", detail=harmless(detail), next_step=step)


def warning(what: str, detail: str, next_step: str) -> Finding:
    """It works, and may not for ever."""
    return Finding(what=what, verdict="warning", detail=harmless(detail), next_step=harmless(next_step))


def problem(what: str, detail: str, next_step: str) -> Finding:
    """Something doesn't work, or was lost. The next step destroys nothing."""
    return Finding(what=what, verdict="problem", detail=harmless(detail), next_step=harmless(next_step))


def of_text(what: str, text: str, advice: str) -> Finding:
    """A refusal as a problem. Of several lines the last is its advice; else it is `advice`."""
    said, _, own = text.rpartition("\n")
    return problem(what, one_line(said or own), own if said else advice)


def harmless(text: str) -> str:
    """One line that any terminal and any reader of JSON can take: names of files may be no UTF-8."""
    return one_line(text.encode(errors="replace").decode())


def quoted(path: str) -> str:
    """A path as a word for the shell, which pastes whole even where the path has control characters or white space that
    a line of prose would lose: those are escaped as bash, zsh and others read them."""
    if harmless(path) == path:
        return quote(path)
    escaped = "".join(
        chr(byte) if (chr(byte).isalnum() and byte < 0x80) or byte in b"/._-" else f"\\x{byte:02x}"
        for byte in os.fsencode(path)
    )
    return f"$'{escaped}'"
