"""A command that is given secrets, and whose output is freed of them: `kept vault run`.

`forms` says how a value may look in an output, `scrub` takes that out of a stream, `child` starts the command and
passes on its signals and its end, `relay` its output, `stage` is the terminal that it gets. Owns no secret: they come
in a `Launch` and are gone with the process.

What it guards against is the accident: a program that prints its environment, a log, a transcript of an agent. It does
not hold back a program that wants the value to get out: that can write it to a file, send it, or print it in a form
that nobody thought of.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class Launch(Struct, frozen=True, kw_only=True):
    """A command, and what it is lent."""

    command: tuple[str, ...]
    """The program, which is looked for in PATH, and its arguments; no shell reads them."""
    added: Mapping[str, str]
    """What its environment has beside the caller's."""
    files: Mapping[int, bytes]
    """What can be read from which of its descriptors."""
    hidden: Mapping[str, tuple[bytes, ...]]
    """What doesn't get through to its output: the forms of each secret's value, by the secret's name."""
    terminal: bool = True
    """Whether it gets a terminal of its own where the caller has one."""
