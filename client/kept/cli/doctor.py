"""`kept doctor`: what was found by looking at everything, and what to do next. It repairs nothing, and starts nothing.

The looks are made elsewhere: from outside by the caller's process (`kept.checkup`), from inside by the daemon
(`maintenance.check`). Here they come together, are told, and give the exit code.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, Struct

from ..faults import Fault
from ..wire.errors import KeptError
from ..wire.maintenance import CheckDatabase, Finding, worst
from .findings import by_weight, show_findings, summary
from .parse import Command
from .prose import paragraph
from .render import show_json
from .surface import FINE, REFUSED, Caller, Here, Surface, the_caller
from .text import one_line


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
    findings = by_weight(tuple(_look(wanted, call, the_caller(surface))))
    diagnosis = Diagnosis(verdict=worst(findings), findings=findings)
    if surface.json:
        show_json(diagnosis, surface)
    else:
        show_findings(findings, surface)
        surface.line("")
        paragraph(summary(findings), surface)
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


DOCTOR = Command(("doctor",), Doctor, doctor, examples=("kept doctor", "kept doctor --full"), starts=False)
