"""A command that was typed: what of it is logged.

Owns the reading of what a shell says of commands, and the masking of secrets by their place, which is done before
anything leaves the client's process. The daemon then looks for what looks like a credential, as in any text.

Refuses nothing; what is of another form is passed over. Imports the standard library alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from .masks import MASK, mask

__all__ = ["CHARACTERS", "MASK", "Typed", "mask", "masked", "read"]

CHARACTERS = 2000
"""The longest command that is logged whole; a longer one is cut off, masked before."""

SENT = 4000
"""Characters at which a shell cuts a command off."""

_FIELDS = 4
_END = "\x1e"
"""Behind each command (ASCII's record separator)."""


class Typed(NamedTuple):
    """A command as it is logged, and what is told about it: `exit_status`, `duration_ms` where it is known,
    `folder`, and `shell`, which marks it as typed."""

    command: str
    details: dict[str, Any]


def read(text: str) -> Iterator[Typed]:
    """What a shell said of commands, each with `_END` behind it: its status, its milliseconds or nothing, its folder,
    and in the rest of the lines what was typed. What is of another form is passed over."""
    for part in text.split(_END):
        fields = part.split("\n", _FIELDS - 1)
        if len(fields) < _FIELDS or not _is_number(fields[0]):
            continue
        status, took, folder, typed = fields
        typed = typed.replace("\0", "")
        command = mask(typed, cut=len(typed) >= SENT).strip()[:CHARACTERS]
        details: dict[str, Any] = {"shell": True, "exit_status": int(status), "folder": folder[:4096]}
        if _is_number(took):
            details["duration_ms"] = int(took)
        if command:
            yield Typed(command, details)


def masked(text: str) -> str:
    """The same in the same form, with what may leave the process alone: each command masked."""
    parts = []
    for command, details in read(text):
        took = details.get("duration_ms", "")
        parts.append(f"{details['exit_status']}\n{took}\n{details['folder']}\n{command}{_END}")
    return "".join(parts)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 15
