"""Why the daemon does not run: the errors at the end of its log, few and harmless to show."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import msgspec

from ..cli.text import one_line
from ..regular import opened
from ..start import readable
from ..wire.maintenance import Finding
from .findings import problem

TAIL_BYTES = 64 * 1024
SHOWN = 3
LENGTH = 400
"""Characters of one line that are shown."""

_ERRORS = frozenset({"error", "critical"})
_TOLD = frozenset({"damage found", "stopping for a recovery"})
"""What the marker of the last run tells as well."""

_SAID = "keptd: "
"""How a line begins that a daemon says when it can't start (`keptd.__main__`)."""


def last_words(path: str) -> Iterator[Finding]:
    """The errors after the last start that succeeded; nothing where the last run ended in order."""
    errors: list[str] = []
    for line in _tail(path):
        fields = _fields(line)
        event = fields.get("event")
        if event in ("ready", "recovered") or (event == "stopped" and not fields.get("damage")):
            errors.clear()
        elif line.startswith(_SAID) or (fields.get("level") in _ERRORS and event not in _TOLD):
            errors.append(_plain(readable(line)))
    if errors:
        more = f" ({len(errors) - SHOWN} lines before)" if len(errors) > SHOWN else ""
        step = f"kept daemon start tries again, and says what is wrong. All of the log: {path}"
        yield problem("daemon's log", f"its last words{more}: " + " / ".join(errors[-SHOWN:]), step)


def _tail(path: str) -> list[str]:
    """The last whole lines of a regular file of one's own."""
    try:
        log = opened(path)
    except OSError:
        return []
    try:
        begin = max(0, os.fstat(log).st_size - TAIL_BYTES)
        text = os.pread(log, TAIL_BYTES, begin).decode(errors="replace")
    except OSError:
        return []
    finally:
        os.close(log)
    return text.splitlines()[1 if begin else 0 :]


def _fields(line: str) -> dict[str, Any]:
    try:
        fields = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _plain(line: str) -> str:
    clean = one_line(line)
    return clean if len(clean) <= LENGTH else clean[:LENGTH] + " ..."
