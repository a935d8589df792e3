"""What a command stands on: where its words go, how wide the paper is, and whose process it runs in.

A command is a function of its parameters, a `Caller` and a `Surface`. It never touches `sys`, so that the same
command runs in the daemon for the thin script and in the client by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Protocol, TypeVar

from ..wire import Call
from ..wire.daemon import DaemonStatus
from .text import age, clean, duration, roughly, stamp

if TYPE_CHECKING:
    from ..checkup import Examination
    from ..service import Service
    from ..vault_run import Launch
    from ..wire.vault import OpenEntry, RetrieveSecret

R = TypeVar("R")

FINE = 0
REFUSED = 1
USAGE = 2
NO_DAEMON = 69
"""EX_UNAVAILABLE of sysexits.h."""

WITHOUT_END = 10_000
"""Columns where the output goes to a file or a program: lines are as long as they are."""


class Caller(Protocol):
    """Asks the daemon: gives the call's result, or raises `kept.wire.errors.KeptError`."""

    def __call__(self, call: Call[R], /) -> R:
        """The result of `call`."""
        ...


class Asked(NamedTuple):
    """A secret that a command needs: the question, the option that names a descriptor for it, the sentence that tells
    how else it is given, whether it is a new password, which is typed twice, the descriptor that was named, what raises
    `UsageError` for a text that can't be taken, how an empty one is given where there may be one, and whether it may be
    a file, whose lines all end in a line feed."""

    prompt: str
    option: str
    ways: str
    is_new: bool = False
    descriptor: int | None = None
    check: Callable[[str], object] | None = None
    empty: str = ""
    is_file: bool = False


class Here(Protocol):
    """The client's own process, for commands that stream or start things."""

    def follow(
        self,
        topics: tuple[str, ...] | None,
        since: int | None,
        begun: Callable[[int], object],
        first: tuple[Call[Any], ...] = (),
    ) -> Iterator[Any]:
        """`Event` and `Lost` as they come, without end; `begun` is told the place in the log that they come after.
        The calls of `first` are made on the connection that the events come from, and on each that takes its place."""
        ...

    def start(self) -> bool:
        """Start the daemon unless it runs; whether it had to be started."""
        ...

    def drawing(self) -> AbstractContextManager[Callable[[int, int, str], object]]:
        """A function that takes how much is done, of how much (0 where that isn't known), and what is being done. It
        draws a line on the terminal that is gone at the end; where there is no terminal, nothing."""
        ...

    def paged(self) -> AbstractContextManager[Callable[[str], object]]:
        """A function that takes text for the output: on a terminal it goes through the pager that the person has
        chosen, and ends where they leave it."""
        ...

    def ask(self, question: str) -> str | None:
        """What a person types at the terminal; None where there is none."""
        ...

    def secret(self, asked: Asked) -> str:
        """A secret, which nobody sees. Raises `UsageError` where nobody is there to be asked."""
        ...

    def attended(self) -> bool:
        """Whether a person is at this process's terminal, and this doesn't run for an agent."""
        ...

    def await_consent(self, request: RetrieveSecret, told: Callable[[str], object]) -> OpenEntry:
        """Ask for a secret that an agent may not read, and wait for a person's consent; `told` gets what the person
        has to do, once the daemon says it. Raises what the daemon refuses."""
        ...

    def launch(self, launch: Launch) -> int:
        """Run a command that is lent secrets to its end; its exit code. Raises `UsageError` where its output can't be
        freed of them."""
        ...

    def input(self) -> BinaryIO:
        """The standard input, to be read piece by piece. Raises `UsageError` where there is none."""
        ...

    def observe(self) -> Caller:
        """Asks the daemon that runs, on a connection of its own, which takes the place of the one before: it starts
        none, and waits for none. Raises `kept.faults.Fault` and `kept.trust.Untrusted` besides refusals."""
        ...

    def ask_within(self, seconds: float, call: Call[R]) -> R:
        """Ask the daemon that runs, and wait no longer than `seconds` for the reply; raises as `observe` does."""
        ...

    def terminal(self) -> tuple[int, int] | None:
        """The descriptors of a terminal's keys and screen; None where there is none that can be drawn on."""
        ...

    def examine(self) -> Examination:
        """Look at the home and its daemon from outside; starts none."""
        ...

    def shell_lines(self, shell: str, banner: bool, log_commands: bool) -> str:
        """What a shell evaluates when it starts (`kept.shells`), for this home. Raises `kept.paths.BadPlace`."""
        ...

    def service(self) -> Service:
        """The home's service of the systemd user manager, whether it is installed or not."""
        ...

    def await_restart(self, pid: int | None, before: DaemonStatus | None) -> DaemonStatus | None:
        """Wait until another run of the daemon than `before` answers, or where that isn't known, another process than
        `pid`; None where none does in time."""
        ...

    def await_end(self, home: str, pid: int) -> bool:
        """Wait until the daemon `pid` no longer has `home` (its data folder); whether it let go in time."""
        ...


class UsageError(Exception):
    """The words are not a command. `hint` is the next step. Never holds a value that was typed."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class NeedsCaller(Exception):
    """The command needs the caller's terminal, files or standard input, and runs in the daemon. Raised before any
    effect."""


def _no_input() -> str:
    raise NeedsCaller


@dataclass(frozen=True)
class Surface:
    """Where a command's words go.

    `out` and `err` take text; `columns` is the width in cells; `terminal` whether people read it as it comes, `colour`
    whether escape sequences are welcome; `stdin` reads all of the standard input, once; `here` is the client's
    process, None in the daemon; `now` is the time that ages are told from; `json` asks for one JSON document.
    """

    out: Callable[[str], object]
    err: Callable[[str], object]
    columns: int = 80
    terminal: bool = False
    colour: bool = False
    stdin: Callable[[], str] = _no_input
    here: Here | None = None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    json: bool = False

    @property
    def inside(self) -> bool:
        """Whether this runs in the daemon."""
        return self.here is None

    def reading(self, text: str) -> Surface:
        """The same, with `text` as the standard input."""
        return replace(self, stdin=lambda: text)

    def at_home(self, here: Here) -> Surface:
        """The same, in the client's own process."""
        return replace(self, here=here)

    def line(self, text: str) -> None:
        """One line out."""
        self.out(text + "\n")

    def note(self, text: str) -> None:
        """One line beside the output; programs that read JSON are spared it."""
        if not self.json:
            self.err(text + "\n")

    def when(self, moment: datetime) -> str:
        """A time, as people tell it: `3 min ago`. Programs get RFC 3339."""
        return age(moment, self.now) if self.terminal else stamp(moment)

    def how_far(self, moment: datetime) -> str:
        """The same, in a column that tells in which direction."""
        if not self.terminal:
            return stamp(moment)
        passed = (self.now - moment).total_seconds()
        return roughly(passed) if passed > 0 else duration(-passed)

    def more(self, cursor: str | None) -> None:
        """Beside the output how to get at the next page, where there is one."""
        if cursor:
            self.note(f"more: repeat with --cursor {clean(cursor)}")


def the_caller(surface: Surface) -> Here:
    """The caller's process; raises `NeedsCaller` in the daemon."""
    if surface.here is None:
        raise NeedsCaller
    return surface.here
