"""The command line inside the daemon: the thin script sends its arguments, and gets text and an exit code back.

The only place where the daemon imports `kept.cli`. It runs in a worker thread, and each of its calls goes the way of
any other request of this peer, with every check.
"""

from __future__ import annotations

from typing import Protocol, TypeVar, cast

import anyio
from anyio.lowlevel import RunVar

from kept.calls import plan
from kept.calls import request as line_for
from kept.wire import Call
from kept.wire.daemon import CommandResult, RunCommand
from kept.wire.errors import from_wire

from .control import ControlCtx
from .methods import serves

R = TypeVar("R")

THREADS = 16
"""Command lines that run at once; more wait."""

_limiters: RunVar[anyio.CapacityLimiter] = RunVar("command line threads")


class Ask(Protocol):
    """Carries out a call."""

    def __call__(self, request: Call[R], /) -> R:
        """The result. Raises what the daemon refuses with."""
        ...


@serves
async def run_command(ctx: ControlCtx, call: RunCommand) -> CommandResult:
    """Each call of the command goes the way of any other request of this peer."""

    def ask(request: Call[R]) -> R:
        prepared = plan(type(request))
        # Read and checked here in the thread: a large request would hold up the loop.
        work = ctx.prepare(line_for(1, request, prepared.head))
        line = anyio.from_thread.run(ctx.ask, work)
        reply = prepared.decode(line)
        if reply.error is not None:
            raise from_wire(reply.error)
        return cast("R", reply.result)

    limiter = _limiter()
    return await anyio.to_thread.run_sync(_answer, call, ask, limiter=limiter)


def _limiter() -> anyio.CapacityLimiter:
    """Threads of its own, so that slow command lines hold up nothing but each other. One for each loop."""
    try:
        return _limiters.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(THREADS)
        _limiters.set(limiter)
        return limiter


def _answer(call: RunCommand, ask: Ask) -> CommandResult:
    # Loaded by the first command, and here in the thread: it takes longer than the loop should be held up.
    from kept.cli import answer  # noqa: PLC0415

    return answer(call, ask)
