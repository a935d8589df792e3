"""`kept doctor`: what was found by looking at everything, and what to do next. It repairs nothing, and starts nothing.

The looks are made elsewhere: from outside by the caller's process (`kept.checkup`), from inside by the daemon
(`maintenance.check`). Here they come together, are told, and give the exit code.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Annotated

from msgspec import Meta, Struct

from ..faults import Fault
from ..wire.errors import KeptError
from ..wire.maintenance import CheckDatabase, Finding, worst
from .parse import Command
from .render import show_json
from .surface import FINE, REFUSED, Caller, Here, Surface, the_caller
from .text import counted, one_line

_WIDEST = 100
"""Longer lines are hard to read, however wide the terminal is."""

_NARROWEST = 30
_ROOMY = 72
"""Columns below which sentences have no column of their own."""

_NAMES = 16
"""Cells of the names' column."""

_MARKS = {"ok": "ok", "warning": "warning", "problem": "PROBLEM"}
_COLOURS = {"ok": "32", "warning": "33", "problem": "31;1"}
_MARK_CELLS = 9
_ARROW = "-> "


class Doctor(Struct, frozen=True, kw_only=True):
    """Look at everything, and say what is wrong and what to do next.

    With a daemon and without: folders, settings, the daemon itself, the database, backups, jobs, the disk, and what
    became of past damage. It changes nothing, starts no daemon, and never proposes what destroys something. A daemon
    that hangs is told after a few seconds. Exit code 1 where there is a problem.
    """

    full: Annotated[bool, Meta(description="Have the daemon read all of the database, which may take minutes.")] = False


class Diagnosis(Struct, frozen=True, kw_only=True):
    """All that was found; `verdict` is the worst of it."""

    verdict: str
    findings: tuple[Finding, ...]


def doctor(wanted: Doctor, call: Caller, surface: Surface) -> int:
    """Look, and tell."""
    findings = sorted(_look(wanted, call, the_caller(surface)), key=lambda each: list(_MARKS).index(_known(each)))
    diagnosis = Diagnosis(verdict=worst(findings), findings=tuple(findings))
    if surface.json:
        show_json(diagnosis, surface)
    else:
        for line in _lines(diagnosis, surface):
            surface.line(line)
    return REFUSED if diagnosis.verdict == "problem" else FINE


def _look(wanted: Doctor, call: Caller, here: Here) -> Iterator[Finding]:
    seen = here.examine()
    yield from seen.findings
    checkup = seen.checkup
    if checkup is not None and wanted.full:
        try:
            checkup = call(CheckDatabase())
        except (Fault, KeptError) as fault:
            step = "Run kept doctor again: where the daemon met damage, its next start recovers, and that will tell."
            yield Finding(
                what="full check",
                verdict="problem",
                detail=f"it did not come to its end: {one_line(str(fault))}",
                next_step=step,
            )
    elif wanted.full:
        yield Finding(
            what="full check",
            verdict="warning",
            detail="nothing was read: that takes a daemon",
            next_step="kept daemon start, then kept doctor --full.",
        )
    if checkup is not None:
        yield from checkup.findings


def _known(finding: Finding) -> str:
    """Its verdict; a later daemon's word for one counts as a warning."""
    return finding.verdict if finding.verdict in _MARKS else "warning"


def _lines(diagnosis: Diagnosis, surface: Surface) -> Iterator[str]:
    """What is well first, then what is not, so that this stands above the prompt; then all of it in a sentence."""
    for finding in diagnosis.findings:
        yield from _told(finding, surface)
    yield ""
    yield from textwrap.wrap(_summary(diagnosis.findings), _width(surface))


def _told(finding: Finding, surface: Surface) -> Iterator[str]:
    """One finding: its verdict, its name, the sentence, and the next step."""
    verdict, name, width = _known(finding), one_line(finding.what), _width(surface)
    mark = _MARKS[verdict].ljust(_MARK_CELLS)
    if width >= _ROOMY:
        begin = _MARK_CELLS + _NAMES
        first, *rest = _wrapped(finding.detail, width, mark + name.ljust(_NAMES), begin)
    else:
        begin = _MARK_CELLS
        first, *rest = _wrapped(f"{name}: {finding.detail}", width, mark, begin)
    yield f"\x1b[{_COLOURS[verdict]}m{mark}\x1b[0m{first[_MARK_CELLS:]}" if surface.colour else first
    yield from rest
    if finding.next_step:
        yield from _wrapped(finding.next_step, width, " " * begin + _ARROW, begin + len(_ARROW))


def _wrapped(text: str, width: int, head: str, begin: int) -> list[str]:
    """Lines after `head`, and from the cell `begin` on; nothing that people copy, such as a path, is cut."""
    return textwrap.wrap(
        one_line(text) or "-",
        width,
        initial_indent=head,
        subsequent_indent=" " * begin,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _width(surface: Surface) -> int:
    return max(_NARROWEST, min(surface.columns, _WIDEST))


def _summary(findings: Sequence[Finding]) -> str:
    """All of it in a sentence or two."""
    count = {verdict: sum(_known(each) == verdict for each in findings) for verdict in _MARKS}
    problems, warnings = counted(count["problem"], "problem"), counted(count["warning"], "warning")
    if count["problem"]:
        also = f" and {warnings}" if count["warning"] else ""
        return f"{problems}{also}. What stands behind -> is the next step, and destroys nothing."
    if count["warning"]:
        return f"It works, with {warnings}. What stands behind -> is the next step."
    return f"All is well: {count['ok']} things were looked at."


DOCTOR = Command(("doctor",), Doctor, doctor, examples=("kept doctor", "kept doctor --full"), starts=False)
