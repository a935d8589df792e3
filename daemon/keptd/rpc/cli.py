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
from kept.frames import encode_failure
from kept.wire import Call
from kept.wire.daemon import CommandResult, RunCommand
from kept.wire.errors import Cancelled, from_wire

from ..domain import Tell, to_nobody
from ..store.readers import ReadJob
from .control import ControlCtx
from .methods import serves
from .peer import Peer
from .prepare import Work
from .running import Running
from .sinks import Reply

R = TypeVar("R")

THREADS = 16
"""Command lines that run at once; more wait."""

_limiters: RunVar[anyio.CapacityLimiter] = RunVar("command line threads")


class Ask(Protocol):
    """Carries out a call."""

    def __call__(self, request: Call[R], /) -> R:
        """The result. Raises what the daemon refuses with."""
        ...


class Errand:
    """One command line at work: its thread asks, the loop carries out. Cancelled, it asks for nothing more."""

    def __init__(self, ctx: ControlCtx, progress: Tell) -> None:
        self._ctx = ctx
        self._progress = progress
        self._inner: Peer | None = None
        self._cancelled = False

    def ask(self, request: Call[R]) -> R:
        """The result of a call; on the thread. Raises what the daemon refuses with."""
        prepared = plan(type(request))
        # Read and checked here in the thread: a large request would hold up the loop.
        work = self._ctx.prepare(line_for(1, request, prepared.head))
        given = Reply(self._progress)
        anyio.from_thread.run_sync(self._begin, work, given)
        reply = prepared.decode(given.wait())
        if reply.error is not None:
            raise from_wire(reply.error)
        return cast("R", reply.result)

    def _begin(self, work: Work | list[Work], given: Reply) -> None:
        if self._cancelled:
            given.send(encode_failure(1, Cancelled("cancelled", hint="Nothing was written.")))
        else:
            self._inner = self._ctx.begin(work, given)

    def cancel(self) -> None:
        """Give up what has no effect yet; a write goes on where its caller has gone. On the loop."""
        self._cancelled = True
        for pending in self._inner.pending.values() if self._inner is not None else ():
            if isinstance(pending, (ReadJob, Running)) or not self._ctx.peer.closed:
                pending.cancel()


@serves
async def run_command(ctx: ControlCtx, call: RunCommand) -> CommandResult:
    """Each call of the command goes the way of any other request of this peer."""
    errand = Errand(ctx, ctx.progress if call.progress else to_nobody)
    ctx.on_cancel(errand.cancel)
    return await anyio.to_thread.run_sync(_answer, call, errand.ask, limiter=_limiter())


def _limiter() -> anyio.CapacityLimiter:
    """Threads of its own, so that slow command lines hold up nothing but each other. One for each loop."""
    try:
        return _limiters.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(THREADS)
        _limiters.set(limiter)
        return limiter


async def warm_up() -> None:
    """Load the command line, so that the first command takes no longer than the next: a new terminal's banner has a
    tenth of a second."""
    await anyio.to_thread.run_sync(_answer, RunCommand(argv=("help",)), _nobody, limiter=_limiter())


def _nobody(request: Call[R]) -> R:
    raise AssertionError(f"help asks for {request.method}")


def _answer(call: RunCommand, ask: Ask) -> CommandResult:
    # Loaded here in the thread: it takes longer than the loop should be held up.
    from kept.cli import answer  # noqa: PLC0415

    return answer(call, ask)
