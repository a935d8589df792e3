"""What rooms have in memory for as long as the database is open, one of a kind for each daemon.

A room asks for its own type and gets the one instance, made the first time; no room needs a module's global, which
two daemons in one process would share. Refuses to know what it holds.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, Protocol, TypeVar, cast


class Attachment(Protocol):
    """What a room may attach. It is made without arguments."""

    def replaced(self) -> None:
        """Let go of what belongs to the database that was there before: a backup or an import has taken its place, or
        all of it was deleted."""
        ...

    def close(self) -> None:
        """Let go of everything; the daemon ends."""
        ...


A = TypeVar("A", bound=Attachment)


class Attached:
    """The attachments of one daemon. Lives on the loop's thread."""

    def __init__(self) -> None:
        self._kept: dict[type[Any], Attachment] = {}

    def of(self, kind: type[A]) -> A:
        """The attachment of this type."""
        if kind not in self._kept:
            self._kept[kind] = kind()
        return cast("A", self._kept[kind])

    def replaced(self) -> None:
        """Tell each that what is stored has been replaced as a whole."""
        for one in self._kept.values():
            one.replaced()

    def close(self) -> None:
        """Close each, whatever becomes of another; the last that was made first."""
        with ExitStack() as all_of_them:
            for one in self._kept.values():
                all_of_them.callback(one.close)
            self._kept.clear()
