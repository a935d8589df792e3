"""Parameters that never stand in a command line: how they are asked for, and the refusal of one that does.

Which they are is told by the request class (`Meta(extra={"secret": True})`). Knows no terminal: the caller's process
asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from .fields import Field
from .surface import Asked, UsageError

STAND_IN = "x" * 64
"""Stands for a secret while the other parameters are checked, so that nobody types it for nothing."""

_DESCRIPTOR = re.compile(r"[0-9]{1,6}")
_OUTPUTS = (1, 2)


def descriptor_of(field: Field, text: str) -> int:
    """The descriptor that was named. Raises `UsageError`, which never holds the text."""
    if not _DESCRIPTOR.fullmatch(text) or int(text) in _OUTPUTS:
        raise UsageError(f"{field.option} takes the number of an open descriptor", f"For example {field.option} 3")
    return int(text)


def refusal(field: Field) -> UsageError:
    """The refusal of a secret among the words of a command. It says nothing of the text."""
    return UsageError(
        f"{field.label} is never taken from the command line, which every program of this machine can see",
        f"{_ways(field)} What stood here may be in your shell's history by now.",
    )


def _ways(field: Field) -> str:
    """How it is given."""
    return (
        f"At a terminal kept asks for it; {field.option} N reads it from a descriptor, "
        f"{field.option.removesuffix('-fd')} - from standard input, and KEPT_ASKPASS names a program that asks."
    )


def homeless(fields: Iterable[Field]) -> UsageError:
    """The refusal of a `-` that could stand for several secrets, or for none any more."""
    options = " or ".join(field.option.removesuffix("-fd") for field in fields)
    return UsageError("it isn't clear which secret - stands for", f"{options} - says so, once for each command.")


def asked(field: Field, command: str, descriptor: int | None) -> Asked:
    """The question for it."""
    name = field.name.replace("_", " ").capitalize()
    limits = f", {field.limits}" if field.is_new else ""
    is_value = field.kind == "any"
    return Asked(
        f"{name} (kept {command}{limits}): ",
        field.option,
        _ways(field),
        is_new=field.is_new,
        descriptor=descriptor,
        empty=f"--{field.name} - with an empty input gives an empty one on purpose." if is_value else "",
        is_file=is_value,
    )


def by_name(fields: Iterable[Field]) -> Mapping[str, Field]:
    """The secret ones, by the option that somebody could take for theirs: `--password`."""
    return {field.name.replace("_", "-"): field for field in fields if field.secret}
