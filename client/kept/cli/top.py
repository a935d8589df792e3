"""`kept top`: what the daemon is doing, live. What draws and waits is loaded where it runs, in the caller's process."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from ..wire.daemon import Status
from .parse import Command
from .surface import Caller, Surface, the_caller


class Top(Struct, frozen=True, kw_only=True):
    """Show clients, requests, commits, jobs and storage as they are now, until q or Ctrl-C.

    On a terminal it takes the whole screen, and gives it back at the end; space holds the view still, ? explains it.
    Elsewhere it prints one view after the other. With --json each is one document on a line of its own.
    """

    interval: Annotated[float, Meta(ge=0.2, le=60, description="Seconds between two views.")] = 2.0
    once: Annotated[bool, Meta(description="Print one view, with the averages since the daemon's start.")] = False


def top(wanted: Top, call: Caller, surface: Surface) -> int:
    """Show what the daemon is doing."""
    here = the_caller(surface)
    # The one call that may start a daemon: what follows only watches.
    call(Status())
    from .live import run  # noqa: PLC0415 - it takes the terminal, which the daemon has none of

    return run(wanted.interval, wanted.once, here, surface)


TOP = Command(("top",), Top, top, examples=("kept top", "kept top --interval 0.5", "kept top --once --json"))
