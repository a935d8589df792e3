"""The command line inside the daemon: the thin script sends its arguments, and gets text and an exit code back.

The only place where the daemon imports `kept.cli`. It runs in a worker thread, and each of its calls goes the way of
any other request of this peer, with every check.
"""

from __future__ import annotations

from typing import Protocol, TypeVar, cast

import anyio
import structlog
from anyio.lowlevel import RunVar

from kept.calls import Keys, plan
from kept.calls import request as line_for
from kept.frames import encode_failure
from kept.wire import Call
from kept.wire.daemon import CommandResult, RunCommand
from kept.wire.errors import Cancelled, from_wire

from .. import schedule
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

logger = structlog.get_logger(__name__)

_limiters: RunVar[anyio.CapacityLimiter] = RunVar("command line threads")


class Ask(Protocol):
    """Carries out a call."""

    def __call__(self, request: Call[R], /) -> R:
        """The result. Raises what the daemon refuses with."""
        ...


class Errand:
    """One command line at work: its thread asks, the loop carries out. Cancelled, it asks for nothing more."""

    def __init__(self, ctx: ControlCtx, progress: Tell, key: str | None) -> None:
        self._ctx = ctx
        self._progress = progress
        self._keys = None if key is None else Keys(key)
        self._inner: Peer | None = None
        self._cancelled = False

    def ask(self, request: Call[R]) -> R:
        """The result of a call; on the thread. Raises what the daemon refuses with."""
        prepared = plan(type(request))
        if self._keys is not None:
            request = self._keys.put_on(request)
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


async def load_the_rest() -> None:
    """Load what the start did without and a request may need: 50 ms of a thread, and 1.5 MiB.

    An upgrade replaces the files of a daemon that runs. What it loaded after that would be of another version than the
    rest of it, or gone. And the first command takes no longer than the next: a new terminal's banner has a tenth of a
    second.
    """
    for load in (_load, schedule.load):
        await anyio.to_thread.run_sync(load, limiter=_limiter())
    logger.debug("an upgrade can come")


def _load() -> None:
    from difflib import get_close_matches  # noqa: F401, PLC0415
    from importlib import metadata  # noqa: F401, PLC0415

    from cryptography.exceptions import InvalidTag  # noqa: F401, PLC0415
    from cryptography.fernet import Fernet  # noqa: F401, PLC0415
    from cryptography.hazmat.primitives import hashes  # noqa: F401, PLC0415
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: F401, PLC0415
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id  # noqa: F401, PLC0415
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: F401, PLC0415
    from rich.cells import cell_len, set_cell_size  # noqa: F401, PLC0415

    from kept.cli import complete, help  # noqa: A004, F401, PLC0415

    cell_len("\u4e2d")  # Its tables come with the first text that needs them.
    _answer(RunCommand(argv=("help",)), _nobody)


@serves
async def run_command(ctx: ControlCtx, call: RunCommand) -> CommandResult:
    """Each call of the command goes the way of any other request of this peer."""
    errand = Errand(ctx, ctx.progress if call.progress else to_nobody, call.key)
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


def _nobody(request: Call[R]) -> R:
    raise AssertionError(f"help asks for {request.method}")


def _answer(call: RunCommand, ask: Ask) -> CommandResult:
    # Loaded here in the thread: it takes longer than the loop should be held up.
    from kept.cli import answer  # noqa: PLC0415

    return answer(call, ask)
