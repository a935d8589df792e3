"""The command line, as a function: `answer` runs it in the daemon for the thin script, `main` in the client by itself.

Both run the same `run(argv, call, surface)`. Owns words, help, completion and the drawing of results; knows methods
from `kept.wire` only. Refuses to open a socket or touch `sys`, which `process` alone does.
"""

from __future__ import annotations

from typing import Any

from ..version import VERSION, told
from ..wire.daemon import CommandResult, RunCommand
from .run import run
from .surface import FINE, WITHOUT_END, Caller, NeedsCaller, Surface
from .text import clean

__all__ = ["answer", "main", "refused", "run"]


def answer(request: RunCommand, call: Caller) -> CommandResult:
    """What a command line prints, run in the daemon; may run in several threads at once.

    `local` is set, at once and with nothing done, where only the caller's process can run it.
    """
    out: list[str] = []
    err: list[str] = []
    text = request.stdin
    surface = Surface(
        out.append,
        err.append,
        columns=request.columns or WITHOUT_END,
        terminal=request.columns is not None,
        colour=request.colour,
    )
    if text is not None:
        surface = surface.reading(text)
    try:
        code = run(request.argv, call, surface)
    except NeedsCaller:
        return CommandResult(code=FINE, local=True)
    if request.version is not None and request.version != VERSION and request.argv[:1] != ("daemon",):
        err.append(clean(told(request.version, VERSION)))
    return CommandResult(code=code, out="".join(out), err="".join(err))


def main(argv: list[str], key: str | None = None) -> int:
    """Run a command line in this process, with a connection of its own; the exit code. `key` is that of a request by
    which the daemon was asked to run it, and which was never answered: what can't be repeated is not done then."""
    from .process import main as run_here  # noqa: PLC0415 - the daemon has no use for it

    return run_here(argv, key)


def refused(argv: list[str], error: dict[str, Any]) -> int:
    """Tell, in this process, the error object with which the daemon answered a command line; the exit code."""
    from .process import refused as tell  # noqa: PLC0415 - as above

    return tell(argv, error)
