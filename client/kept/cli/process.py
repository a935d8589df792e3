"""The command line in a process of its own: its connection, and what becomes of a daemon that isn't there."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from ..agent import named
from ..calls import Keys, plan
from ..client import Client
from ..faults import ConnectionLost, Fault, NoDaemon, NoReply
from ..holder import has_home
from ..introduced import BadAgent, hello_of, introducing
from ..paths import BadPlace, Paths, find
from ..settings import PATIENCE_SECONDS, REPLY_SECONDS, Settings
from ..thin import REFUSED, UNKNOWN, Refusal
from ..trust import Untrusted
from ..version import VERSION, differing
from ..wire import Call
from ..wire.daemon import DaemonStatus, Hello, Status
from ..wire.errors import KeptError, from_wire
from ..wire.event import Event, Lost
from .registry import find as find_command
from .run import before_arguments, in_order, run, tell, tell_refusal
from .streams import error_columns, surface_of, writer
from .surface import NO_DAEMON, USAGE, Asked, Caller, UsageError
from .text import clean

if TYPE_CHECKING:
    from ..checkup import Examination
    from ..service import Service
    from ..vault_run import Launch
    from ..wire.vault import OpenEntry, RetrieveSecret

R = TypeVar("R")

END_SECONDS = 30.0
"""How long `kept daemon stop` waits for the end."""

RESTART_SECONDS = 90.0
"""How long `kept daemon restart` waits for the next daemon: the end of the former, and a start that looks at all of the
database."""

CONSENT_SPARE_SECONDS = 30.0
"""How much longer than the daemon waits for a person its reply may take."""

OBSERVE_SECONDS = 5.0
"""How long an observer waits for a reply, until it says that the daemon doesn't answer."""

READY_ANSWER_SECONDS = 5.0
"""How long a daemon that has just started may take for a reply, until it is asked once more."""

OF_DAEMON_SECONDS = 10.0
"""How long the daemon may take to answer `kept daemon ...`."""

_LOOK_SECONDS = 0.02


def main(argv: Sequence[str], key: str | None = None) -> int:
    """Run a command line; the exit code. Ctrl-C and a closed pipe pass through. With a `key` it is run again, as
    `kept.cli.main` has it."""
    surface = surface_of(argv)
    if is_private(argv):
        from .guarded import guard  # noqa: PLC0415 - only for what is secret

        guard()
    draws = sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb") and not surface.json
    process = Process(
        _environment(argv),
        _may_start(argv),
        surface.err if draws else None,
        of_daemon=in_order(argv)[:1] == ["daemon"],
        again=None if key is None else Keys(key),
    )
    try:
        code = run(argv, process, surface.at_home(process))
    except BadPlace as fault:
        tell(surface, str(fault), "", {"type": "usage"})
        return USAGE
    except BadAgent as fault:
        tell(surface, str(fault), fault.step, {"type": "usage"})
        return USAGE
    except Refusal as refusal:
        tell(surface, str(refusal), "", {"type": "output"})
        return refusal.code
    except (Fault, Untrusted) as fault:
        step = _step(fault, process)
        if key is not None or (isinstance(fault, Fault) and fault.may_be_done):
            step = " ".join(filter(None, (step, f"{UNKNOWN.capitalize()}.")))
        tell(surface, str(fault), step, {"type": "no_daemon"})
        return NO_DAEMON
    else:
        if key is not None and code == REFUSED:
            # It may have met what the first try has left: what is to be deleted is gone.
            surface.note(f"note: this was a second try, as the first got no answer: {UNKNOWN}")
        return code
    finally:
        process.close()


def is_private(argv: Sequence[str]) -> bool:
    """Whether the command is about secrets."""
    words = in_order(argv)
    return words[:1] == ["vault"] or (words[:1] == ["rpc"] and any("vault" in word for word in words))


def refused(argv: Sequence[str], error: dict[str, Any]) -> int:
    """Tell the error object with which the daemon answered a whole command line; the exit code."""
    return tell_refusal(surface_of(argv), from_wire(error), in_order(argv))


class Process:
    """This process, as a command's `Caller` and its `Here`. Connects when it is first asked; whatever needs a place
    raises `BadPlace` where the environment names none that can be used."""

    def __init__(
        self,
        environ: Mapping[str, str],
        start: bool,
        draw: Callable[[str], object] | None = None,
        *,
        of_daemon: bool = False,
        again: Keys | None = None,
    ) -> None:
        """A daemon that is started gets `environ`. `draw` writes to the terminal that progress is shown on; None where
        there is none. On it the first call says where the daemon is of another version, unless the command is
        `of_daemon`: such a one asks for nothing that takes its time, and is no cure if it waits. `again` has the keys
        under which the command was sent before."""
        self._draw = draw
        self._again = again
        self._tells_version = not of_daemon
        self._reply_seconds = OF_DAEMON_SECONDS if of_daemon else REPLY_SECONDS
        # What is asked of a daemon that runs is not asked of the next.
        self._patience = 0.0 if of_daemon and not start else PATIENCE_SECONDS
        self._environ = environ
        self._start = start
        # Where no daemon may be started, none is waited for.
        self._opened = start

    @cached_property
    def _paths(self) -> Paths:
        return find(self._environ)

    @cached_property
    def _client(self) -> Client:
        settings = Settings(
            environ=self._environ, start=self._start, patience=self._patience, reply_seconds=self._reply_seconds
        )
        return Client(self._paths, self._hello(), settings)

    def _hello(self, name: str | None = None) -> Hello | None:
        """What its connections say first: that they are an agent's, where this runs for one."""
        agent = hello_of(self._environ)
        if agent is not None:
            return agent
        return None if name is None else Hello(client=name)

    def __call__(self, call: Call[R], /) -> R:
        """Ask the daemon. Raises `ConnectionLost` for what may have been done before and can't be repeated."""
        if self._again is not None:
            if not plan(type(call)).repeatable:
                raise ConnectionLost(f"the connection ended before the answer, and {call.method} can't be repeated")
            call = self._again.put_on(call)
        with _reaching(), introducing(self._environ):
            self._open()
            if self._draw is None:
                return self._client.call(call)
            if self._tells_version:
                self._tells_version = False
                self._draw(clean(differing(self._client.call(Status()).version)))
            with self.drawing() as show:
                return self._client.call(call, progress=lambda told: show(told.done, told.total, told.text))

    @contextmanager
    def drawing(self) -> Iterator[Callable[[int, int, str], object]]:
        """Takes how far long work is, and draws it."""
        if self._draw is None:
            yield lambda _done, _total, _text: None
            return
        from ..bar import Bar  # noqa: PLC0415 - only for people

        bar = Bar(self._draw, error_columns)
        try:
            yield bar.show
        finally:
            bar.clear()

    @contextmanager
    def paged(self) -> Iterator[Callable[[str], object]]:
        """As `Here` has it; nothing else is drawn meanwhile."""
        from .pager import paged, words_of  # noqa: PLC0415 - only for long text

        words = words_of(self._environ) if sys.stdout.isatty() else []
        if not words:
            yield writer(sys.stdout)
            return
        draw, self._draw = self._draw, None
        try:
            with paged(words, self._environ) as show:
                yield show
        finally:
            self._draw = draw

    def follow(
        self,
        topics: tuple[str, ...] | None,
        since: int | None,
        begun: Callable[[int], object],
        first: tuple[Call[Any], ...] = (),
    ) -> Iterator[Event | Lost]:
        """The changes as they come, across restarts of the daemon."""
        with _reaching():
            self._open()
        with self._client.subscribe(topics, since, first) as changes:
            begun(changes.seq)
            yield from changes

    def start(self) -> bool:
        """Start the daemon unless it runs; whether it had to be started."""
        from ..start import is_served, start  # noqa: PLC0415 - only for `kept daemon start`

        if is_served(self._paths, self._environ):
            return False
        with _reaching():
            start(self._paths, environ=self._environ)
        return True

    def await_end(self, home: str, pid: int) -> bool:
        """Wait until the daemon `pid` no longer has `home`; whether it let go in time."""
        end = time.monotonic() + END_SECONDS
        while has_home(home, pid):
            if time.monotonic() >= end:
                return False
            time.sleep(_LOOK_SECONDS)
        return True

    def await_restart(self, pid: int | None, before: DaemonStatus | None) -> DaemonStatus | None:
        """As `Here` has it."""
        end = time.monotonic() + RESTART_SECONDS
        # Not the connection of before, which the daemon is about to end; nor one that a daemon which hangs may have.
        settings = Settings(environ=self._environ, start=self._start, reply_seconds=READY_ANSWER_SECONDS)
        while time.monotonic() < end:
            with suppress(Fault, KeptError), Client(self._paths, settings=settings) as client:
                now = client.call(Status())
                if (now.started_at != before.started_at) if before and now.pid == before.pid else now.pid != pid:
                    return now
            time.sleep(_LOOK_SECONDS)
        return None

    def service(self) -> Service:
        """As `Here` has it."""
        from ..service import Service as TheService  # noqa: PLC0415 - only for `kept daemon`

        return TheService(self._paths, self._environ)

    def observe(self) -> Caller:
        """As `Here` has it."""
        self._client.close()
        # Left open to the end of the process: closing it would wait for a call that is under way.
        return Client(self._paths, self._hello("kept top"), self._observing(OBSERVE_SECONDS)).call

    def ask_within(self, seconds: float, call: Call[R]) -> R:
        """As `Here` has it."""
        with introducing(self._environ), Client(self._paths, self._hello(), self._observing(seconds)) as client:
            return client.call(call)

    def _observing(self, seconds: float) -> Settings:
        return Settings(environ=self._environ, start=False, patience=0, reply_seconds=seconds)

    def terminal(self) -> tuple[int, int] | None:
        """As `Here` has it: standard input and output, unless the terminal can't move its cursor."""
        if not (sys.stdin and sys.stdin.isatty() and sys.stdout.isatty()):
            return None
        if self._environ.get("TERM", "dumb") in ("", "dumb"):
            return None
        return sys.stdin.fileno(), sys.stdout.fileno()

    def ask(self, question: str) -> str | None:
        """What a person types at the terminal; None where standard input or error is none."""
        if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
            return None
        sys.stderr.write(question)
        sys.stderr.flush()
        return sys.stdin.readline().rstrip("\n")

    def secret(self, asked: Asked) -> str:
        """As `Here` has it."""
        from .secret_input import secret  # noqa: PLC0415 - only for what is secret

        return secret(asked, self._environ)

    def attended(self) -> bool:
        """As `Here` has it: standard input and error are a terminal."""
        return bool(sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()) and named(self._environ) is None

    def await_consent(self, request: RetrieveSecret, told: Callable[[str], object]) -> OpenEntry:
        """As `Here` has it."""
        seconds = request.wait_seconds + CONSENT_SPARE_SECONDS
        settings = Settings(environ=self._environ, start=self._start, reply_seconds=seconds)
        with Client(self._paths, self._hello(), settings) as waiting:
            return waiting.call(request, progress=lambda progress: told(progress.text))

    def launch(self, launch: Launch) -> int:
        """As `Here` has it."""
        from ..vault_run.child import NotStarted  # noqa: PLC0415 - only for `kept vault run`
        from ..vault_run.relay import run as run_command  # noqa: PLC0415 - as above
        from ..vault_run.scrub import CannotHide  # noqa: PLC0415 - as above

        # The command's life is its own; what listens to it may take as long.
        self.close()
        try:
            return run_command(launch, self._environ)
        except NotStarted as fault:
            sys.stderr.write(f"kept: {clean(str(fault))}\n")
            return fault.code
        except CannotHide:
            raise UsageError(
                "these secrets can't be hidden in an output", "--no-scrub runs the command as it is."
            ) from None

    def input(self) -> BinaryIO:
        """The standard input, to be read piece by piece."""
        # The type has no None, yet that is what Python sets where the descriptor is closed.
        if not sys.stdin:
            raise UsageError("there is no standard input to read")
        return sys.stdin.buffer

    def examine(self) -> Examination:
        """Look at the home and its daemon from outside."""
        from ..checkup import examine, nowhere  # noqa: PLC0415 - only for `kept doctor`

        try:
            paths = self._paths
        except BadPlace as fault:
            return nowhere(fault)
        return examine(paths, self._environ, VERSION)

    def shell_lines(self, shell: str, banner: bool, log_commands: bool) -> str:
        """As `Here` has it."""
        from ..shells import start_up  # noqa: PLC0415 - only for `kept shell-init`

        state_file = self._paths.state_file
        return start_up(shell, state_file, banner=banner, log_commands=log_commands, may_start=self._start)

    def close(self) -> None:
        """End the connection, if there is one."""
        if "_client" in vars(self):
            self._client.close()

    def _open(self) -> None:
        if not self._opened:
            self._client.open()
            self._opened = True


@contextmanager
def _reaching() -> Iterator[None]:
    """Makes a folder or a log that can't be made into the plain `NoDaemon` that it means."""
    try:
        yield
    except OSError as fault:
        raise NoDaemon(f"the daemon can't be started: {fault}") from None


def _step(fault: Exception, process: Process) -> str:
    """What to do where the daemon was not reached, as far as that is not said yet."""
    if isinstance(fault, NoReply):
        return "kept daemon status says what it does."
    if type(fault) is not NoDaemon:
        return ""
    said = process.service().refusal()
    return f"The service manager could not start keptd: {said}" if said else ""


def _may_start(argv: Sequence[str]) -> bool:
    if "--no-start" in before_arguments(argv):
        return False
    try:
        command, _ = find_command(in_order(argv))
    except UsageError:
        return False
    return command.starts


def _environment(argv: Sequence[str]) -> dict[str, str]:
    """The environment, with the socket that `--socket` names."""
    environment = dict(os.environ)
    options = list(before_arguments(argv))
    for at, word in enumerate(options):
        name, has_value, value = word.partition("=")
        if name == "--socket" and (has_value or options[at + 1 :]):
            environment["KEPT_SOCKET"] = os.path.abspath(value if has_value else options[at + 1])
    return environment
