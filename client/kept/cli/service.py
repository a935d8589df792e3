"""`kept daemon ...`: the daemon as something that is always there. Started, ended, started anew, and made a service of
the systemd user manager.

They run in the caller's process, since the daemon starts no program and can't speak of its own end. Where a unit is
installed they go through the manager; where none is, they do what a client can do by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct
from msgspec.structs import asdict

from ..faults import Fault
from ..wire.daemon import Restart, Status, Stop
from ..wire.errors import Conflict
from .methods import run_method
from .parse import Command
from .render import show_json
from .surface import FINE, NO_DAEMON, REFUSED, Caller, Surface, the_caller
from .text import as_json, clean, duration, one_line

if TYPE_CHECKING:
    from ..service import Change, State

DryRun = Annotated[bool, Meta(description="Only say what would be done.")]
Force = Annotated[bool, Meta(description="Also where somebody has edited a unit by hand; the edit is lost.")]

_DONE = {"write": "wrote", "replace": "replaced", "keep": "left as it is", "remove": "removed"}
_WOULD = {"write": "would write", "replace": "would replace", "keep": "is already", "remove": "would remove"}


class Install(Struct, frozen=True, kw_only=True):
    """Make kept a service of your systemd user manager: there from login on, and started again whatever happens.

    Writes keptd.service and keptd.socket to ~/.config/systemd/user, with the place where kept is installed, enables
    and starts them, and takes over from a daemon that a client had started, without refusing a client. Where KEPT_HOME
    or KEPT_SOCKET is set, that home gets units of its own. Without systemd nothing is written: the first call starts
    the daemon, as ever.
    """

    dry_run: DryRun = False
    force: Force = False


class Uninstall(Struct, frozen=True, kw_only=True):
    """End the service and remove what `kept daemon install` wrote. Everything that is kept stays where it is."""

    dry_run: DryRun = False
    force: Force = False


class StartDaemon(Struct, frozen=True, kw_only=True):
    """Start the daemon, unless it runs. Where its unit is installed, the service manager starts it."""

    dry_run: DryRun = False


class StopDaemon(Struct, frozen=True, kw_only=True):
    """End the daemon: what is in flight is finished, and everything is on disk.

    Waits until it has let go of its home. The next call starts another: by itself, or through the socket of the unit.
    """

    wait: Annotated[bool, Meta(description="Wait for the end.")] = True
    both: Annotated[bool, Meta(description="End the unit of the socket as well, which would start it again.")] = False
    dry_run: DryRun = False


class RestartDaemon(Struct, frozen=True, kw_only=True):
    """Start the daemon anew, of the version that is installed by now. No client is refused: who connects waits."""

    dry_run: DryRun = False


class ShowDaemon(Struct, frozen=True, kw_only=True):
    """How the daemon is, and its service.

    With --json what `daemon.status` says, and the service beside it. Exit code 69 where no daemon answers.
    """


class ShowLogs(Struct, frozen=True, kw_only=True):
    """What the daemon has said: the journal of its unit, or where there is none its log file."""

    lines: Annotated[int, Meta(ge=0, le=10_000, description="How many of the last lines.")] = 50
    follow: Annotated[bool, Meta(description="Go on with what comes, until Ctrl-C.")] = False


class EnableLinger(Struct, frozen=True, kw_only=True):
    """Have your services run from boot on, and after you have logged out.

    Without it your user manager, and the daemon with it, ends with your last session and begins with the next. Nothing
    is lost by that; agents that work on without you would be without a daemon.
    """

    dry_run: DryRun = False


@contextmanager
def _files() -> Iterator[None]:
    """Tell what the disk refuses as a person needs it."""
    try:
        yield
    except OSError as fault:
        raise Conflict(
            f"{fault.filename or 'the unit files'}: {fault.strerror}", hint="Mend that, and run the same again."
        ) from None


def install(wanted: Install, _: Caller, surface: Surface) -> int:
    """Write the units and have them started."""
    with _files():
        change = the_caller(surface).service().install(force=wanted.force, dry_run=wanted.dry_run)
    return _tell(change, surface, "installed already, and as it should be")


def uninstall(wanted: Uninstall, _: Caller, surface: Surface) -> int:
    """Remove the units."""
    change = the_caller(surface).service().uninstall(force=wanted.force, dry_run=wanted.dry_run)
    code = _tell(change, surface, "not installed")
    if not surface.json and not change.is_nothing:
        surface.line("what is kept is not touched; the next call starts a daemon by itself")
    return code


def start(wanted: StartDaemon, call: Caller, surface: Surface) -> int:
    """Start the daemon, and say whether that was needed."""
    here = the_caller(surface)
    change = here.service().start(dry_run=wanted.dry_run)
    if wanted.dry_run:
        return _tell(change, surface, "it runs already") if change else _would("start keptd unless it runs", surface)
    started = here.start() if change is None else bool(change.commands)
    daemon = call(Status())
    if surface.json:
        surface.line(as_json({"started": started, "daemon": daemon}, 2 if surface.terminal else 0))
    elif started:
        surface.line(f"keptd is running (pid {daemon.pid})")
    else:
        surface.line(f"keptd runs already (pid {daemon.pid}, for {duration(daemon.uptime_seconds)})")
    return FINE


def stop(wanted: StopDaemon, call: Caller, surface: Surface) -> int:
    """End the daemon, and wait until it has ended."""
    if not wanted.wait and not wanted.dry_run:
        return run_method(Stop(), call, surface)
    here = the_caller(surface)
    change = here.service().stop(socket=wanted.both, dry_run=wanted.dry_run)
    if change is not None:
        return _tell(change, surface, "not running")
    if wanted.dry_run:
        return _would("ask keptd to end", surface)
    home = call(Status()).home
    stopping = call(Stop())
    ended = here.await_end(home, stopping.pid)
    if surface.json:
        surface.line(as_json({"pid": stopping.pid, "ended": ended}, 2 if surface.terminal else 0))
    elif ended:
        surface.line(f"keptd (pid {stopping.pid}) has ended")
    else:
        surface.err(f"kept: keptd (pid {stopping.pid}) was told to stop, and has not ended yet\n")
    return FINE if ended else REFUSED


def restart(wanted: RestartDaemon, call: Caller, surface: Surface) -> int:
    """Start the daemon anew, and wait until it answers."""
    here = the_caller(surface)
    if wanted.dry_run:
        change = here.service().restart(dry_run=True)
        return _tell(change, surface, "") if change else _would("have keptd start anew behind its socket", surface)
    before = call(Status())
    if here.service().restart(dry_run=False) is None:
        with suppress(Fault):  # Somebody else's restart may have taken the connection: what counts is told below.
            call(Restart())
    now = here.await_restart(before)
    if now is None:
        raise Conflict(
            f"keptd (pid {before.pid}) was told to start anew, and does not answer yet",
            hint="kept doctor says what it does, kept daemon logs what it said.",
        )
    if surface.json:
        surface.line(as_json({"before": before.version, "daemon": now}, 2 if surface.terminal else 0))
    else:
        change_of = "" if now.version == before.version else f"; it was {clean(before.version)}"
        surface.line(f"keptd {clean(now.version)} is running (pid {now.pid}){change_of}")
    return FINE


def status(_: ShowDaemon, call: Caller, surface: Surface) -> int:
    """How the service and the daemon are. Without either, there is no daemon to tell of."""
    service = the_caller(surface).service().state()
    try:
        daemon = call(Status())
    except Fault:
        if not service.installed:
            raise
        daemon = None
    if surface.json:
        show_json({**(asdict(daemon) if daemon else {}), "service": service}, surface)
        return FINE if daemon else NO_DAEMON
    for line in _service_lines(service):
        surface.line(line)
    if daemon is None:
        surface.line("daemon: none answers")
        return NO_DAEMON
    surface.line(
        f"daemon: keptd {clean(daemon.version)}, pid {daemon.pid}, for {duration(daemon.uptime_seconds)}, "
        f"{daemon.connections} connected; storage {clean(daemon.storage.state)}"
    )
    surface.line(f"home: {clean(daemon.home)}")
    surface.line(f"socket: {clean(daemon.socket)}")
    return FINE


def _service_lines(state: State) -> list[str]:
    if not state.supervised:
        return [f"service: {one_line(state.manager)}, so the first call starts the daemon"]
    lines = [f"manager: {one_line(state.manager)}, {_lingering(lingers=state.lingers)}"]
    if not state.installed:
        return [*lines, "service: not installed (kept daemon install does that); the first call starts the daemon"]
    lines.append(f"unit: {clean(state.path)}")
    for kind, active, enabled in (
        ("service", state.active, state.enabled),
        ("socket", state.socket_active, state.socket_enabled),
    ):
        lines.append(f"{kind}: {one_line(active)}, {one_line(enabled) or 'not known to the manager'}")
    if state.result not in ("", "success") or state.restarts:
        lines.append(f"last end: {one_line(state.result)}; started again {state.restarts} times")
    if state.told:
        lines.append(f"it says: {one_line(state.told)}")
    return lines


def _lingering(*, lingers: bool) -> str:
    if lingers:
        return "from boot on (lingering)"
    return "while you are logged in (kept daemon enable-linger: from boot on)"


def logs(wanted: ShowLogs, _: Caller, surface: Surface) -> int:
    """Show what the daemon has said."""
    service = the_caller(surface).service()
    from .logs import of_file, of_journal  # noqa: PLC0415 - it opens files and starts programs, which the daemon must not

    command = service.journal(wanted.lines, follow=wanted.follow, json=surface.json)
    if command:
        return of_journal(command)
    return of_file(service.log, wanted.lines, follow=wanted.follow, surface=surface)


def enable_linger(wanted: EnableLinger, _: Caller, surface: Surface) -> int:
    """Have the user manager stay."""
    return _tell(
        the_caller(surface).service().enable_linger(dry_run=wanted.dry_run), surface, "your services run from boot on"
    )


def _would(what: str, surface: Surface) -> int:
    if surface.json:
        show_json({"dry_run": True, "would": what}, surface)
    else:
        surface.line(f"would {what}")
    return FINE


def _tell(change: Change, surface: Surface, already: str) -> int:
    """What was done to the service, or would be."""
    if surface.json:
        show_json(change, surface)
        return FINE
    words = _WOULD if change.dry_run else _DONE
    if change.supervised and change.is_nothing:
        surface.line(f"{change.service}: {already}")
    else:
        for file in change.files:
            edited = ", which was edited by hand" if file.edited else ""
            surface.line(f"{words[file.action]} {clean(file.path)}{edited}")
            if file.diff and (change.dry_run or file.edited):
                surface.out(clean(file.diff))
        for command in change.commands:
            surface.line(f"{'would run' if change.dry_run else 'ran'}: {clean(command)}")
    for note in change.notes:
        surface.line(clean(note))
    if change.pid is not None:
        surface.line(f"keptd is running (pid {change.pid})")
    return FINE


SERVICE = (
    Command(
        ("daemon", "install"),
        Install,
        install,
        examples=("kept daemon install --dry-run", "kept daemon install"),
        starts=False,
    ),
    Command(("daemon", "uninstall"), Uninstall, uninstall, examples=("kept daemon uninstall",), starts=False),
    Command(("daemon", "start"), StartDaemon, start),
    Command(
        ("daemon", "stop"), StopDaemon, stop, examples=("kept daemon stop", "kept daemon stop --both"), starts=False
    ),
    Command(("daemon", "restart"), RestartDaemon, restart, examples=("kept daemon restart",)),
    Command(("daemon", "status"), ShowDaemon, status, starts=False),
    Command(
        ("daemon", "logs"),
        ShowLogs,
        logs,
        examples=("kept daemon logs -n 100", "kept daemon logs -f"),
        short=(("-n", "lines"), ("-f", "follow")),
        starts=False,
    ),
    Command(("daemon", "enable-linger"), EnableLinger, enable_linger, starts=False),
)
