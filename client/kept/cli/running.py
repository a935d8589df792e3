"""`kept daemon start`, `stop`, `restart` and `status`: the daemon that runs, or is to.

The service manager is asked first, the daemon then, and for no longer than a moment: a daemon that hangs must not hold
up the very command that cures it. Where no manager has it, a daemon that doesn't answer is ended only by `--kill`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, NamedTuple

from msgspec import Meta, Struct
from msgspec.structs import asdict

from ..faults import Fault, NoDaemon, NoReply
from ..wire.daemon import DaemonStatus, Restart, Status, Stop
from ..wire.errors import Conflict, KeptError
from .changes import DryRun, tell_change, would
from .parse import Command
from .render import render, show_json
from .surface import FINE, NO_DAEMON, REFUSED, Caller, Here, Surface, the_caller
from .text import as_json, clean, duration, one_line

if TYPE_CHECKING:
    from ..service import Service, State

ANSWER_SECONDS = 2.0
"""How long the daemon may take to say how it is."""

START_SECONDS = 10.0
"""How long one may take that has just been started."""

_WAIT = "Wait a little, and look again: a large database takes its time, and nothing is lost meanwhile."

Kill = Annotated[
    bool,
    Meta(description="End also a daemon that does not answer, at last by SIGKILL. Nothing acknowledged is lost."),
]


class StartDaemon(Struct, frozen=True, kw_only=True):
    """Start the daemon, unless it runs. Where its unit is installed, the service manager starts it."""

    dry_run: DryRun = False


class StopDaemon(Struct, frozen=True, kw_only=True):
    """End the daemon: what is in flight is finished, and everything is on disk.

    Waits until it has let go of its home. The next call starts another: by itself, or through the socket of the unit.
    """

    wait: Annotated[bool, Meta(description="Wait for the end.")] = True
    both: Annotated[bool, Meta(description="End the unit of the socket as well, which would start it again.")] = False
    kill: Kill = False
    dry_run: DryRun = False


class RestartDaemon(Struct, frozen=True, kw_only=True):
    """Start the daemon anew, of the version that is installed by now. No client is refused: who connects waits."""

    kill: Kill = False
    dry_run: DryRun = False


class ShowDaemon(Struct, frozen=True, kw_only=True):
    """How the daemon is, and its service. Answers within a few seconds, whatever the daemon does.

    With --json what `daemon.status` says, and the service beside it; of a daemon that does not answer what is seen
    from outside, as `unanswered`. Exit code 69 where no daemon answers.
    """


class Unanswered(Struct, frozen=True, kw_only=True):
    """A daemon that is there and has not answered: what the kernel says that it `does`, and the next step."""

    pid: int
    seconds: float
    """How long an answer was waited for; 0 where it takes no connection."""
    does: str
    step: str = ""
    starts: bool = False
    """Whether it may only need its time, so that to end it is no good advice."""

    def __str__(self) -> str:
        if self.seconds:
            return f"keptd (pid {self.pid}) has not answered for {self.seconds:g} s: it {self.does}"
        return f"keptd (pid {self.pid}) has the home, and takes no connection: it {self.does}"


class _Seen(NamedTuple):
    """What was seen before anything is done: the manager's state, and the daemon's, or why that was not had."""

    state: State
    pid: int | None
    daemon: DaemonStatus | None = None
    silent: Unanswered | None = None
    fault: Fault | KeptError | None = None


def _look(service: Service, here: Here, seconds: float) -> _Seen:
    """Ask the manager, then the daemon; but none that the question would start."""
    state = service.state()
    pid = state.pid or service.holding()
    if pid is None and state.starts_on_call:
        return _Seen(state, None)
    try:
        daemon = here.ask_within(seconds, Status())
    except KeptError as refusal:
        return _Seen(state, pid, fault=refusal)
    except Fault as fault:
        # Asked for again, as it may have ended meanwhile.
        state = service.state()
        pid = state.pid or service.holding()
        silent = _unanswered(state, pid, fault, seconds)
        if pid is None and state.is_silent and isinstance(fault, NoReply):
            return _Seen(state, None, fault=_waiting(state))
        return _Seen(state, pid, silent=silent, fault=fault)
    return _Seen(state, daemon.pid, daemon)


def _waiting(state: State) -> NoReply:
    """Somebody listens, no daemon has the home, and the manager, whose socket that will be, hangs."""
    return NoReply(
        f"no daemon runs, and who connects waits for the service manager: {one_line(state.manager)}.\n"
        "systemctl --user is-system-running says whether it does again; the calls that wait are answered then."
    )


def _unanswered(state: State, pid: int | None, fault: Fault, seconds: float) -> Unanswered | None:
    """What is seen of the daemon `pid` of which only this fault was had; None where there is none."""
    from ..holding import condition  # noqa: PLC0415 - only in the caller's process, and where it doesn't answer

    if pid is None:
        return None
    found = condition(pid)
    if state.active == "activating" and not found.step:
        does = f"is being started ({one_line(state.told)})"
        return Unanswered(pid=pid, seconds=seconds, does=does, step=_WAIT, starts=True)
    if isinstance(fault, NoDaemon) and not found.step:
        does = "is starting, recovering a database, or ending"
        return Unanswered(pid=pid, seconds=0, does=does, step=_WAIT, starts=True)
    return Unanswered(pid=pid, seconds=seconds, does=found.does, step=found.step)


def _refusal(silent: Unanswered, command: str) -> Conflict:
    if silent.starts:
        return Conflict(str(silent), hint=silent.step)
    ends = "ends it and starts another" if command == "restart" else "ends it"
    kill = f"kept daemon {command} --kill {ends}: nothing acknowledged is lost."
    return Conflict(str(silent), hint=f"{silent.step} {kill}".strip())


def _note(seen: _Seen, surface: Surface, *, kill: bool) -> None:
    """Where the manager ends one that does not answer, that may take its time."""
    if seen.silent is not None and seen.state.runs:
        how = "ends it at once" if kill else "ends it, which may take a minute (--kill: at once)"
        surface.note(f"kept: {clean(str(seen.silent))}; the service manager {how}")


def note_silence(pid: int, surface: Surface) -> None:
    """Say of the daemon `pid` that it doesn't answer, where that is so, and what to do."""
    here = the_caller(surface)
    seen = _look(here.service(), here, ANSWER_SECONDS)
    if seen.silent is not None and seen.pid == pid and not seen.silent.starts:
        surface.note(f"kept: {clean(str(seen.silent))}\nhint: {clean(_refusal(seen.silent, 'restart').hint)}")


def start(wanted: StartDaemon, _: Caller, surface: Surface) -> int:
    """Start the daemon, and say whether that was needed."""
    here = the_caller(surface)
    service = here.service()
    if wanted.dry_run:
        change = service.start(dry_run=True)
        if change is None:
            return would("start keptd unless it runs", surface)
        return tell_change(change, surface, "it runs already")
    started = _start(service, here)
    seen = _look(service, here, START_SECONDS if started else ANSWER_SECONDS)
    if seen.silent is not None:
        raise _refusal(seen.silent, "restart")
    if seen.daemon is None:
        raise seen.fault or NoDaemon("keptd was started, and has ended again; kept daemon status says how")
    if surface.json:
        _tell_json({"started": started, "daemon": seen.daemon}, surface)
    elif started:
        surface.line(f"keptd is running (pid {seen.daemon.pid})")
    else:
        surface.line(f"keptd runs already (pid {seen.daemon.pid}, for {duration(seen.daemon.uptime_seconds)})")
    return FINE


def stop(wanted: StopDaemon, _: Caller, surface: Surface) -> int:
    """End the daemon, and wait until it has ended."""
    here = the_caller(surface)
    service = here.service()
    if wanted.dry_run:
        kill = wanted.kill and _look(service, here, ANSWER_SECONDS).silent is not None
        change = service.stop(socket=wanted.both, dry_run=True, wait=wanted.wait, kill=kill)
        return would("ask keptd to end", surface) if change is None else tell_change(change, surface, "not running")
    seen = _look(service, here, ANSWER_SECONDS)
    _note(seen, surface, kill=wanted.kill)
    if seen.silent is not None and not seen.state.runs:
        return _tell_killed(seen.silent.pid, _end_alone(seen.silent, service, "stop", kill=wanted.kill), surface)
    kill = wanted.kill and seen.silent is not None
    change = service.stop(socket=wanted.both, dry_run=False, wait=wanted.wait, kill=kill)
    if change is not None:
        return tell_change(change, surface, "not running")
    if seen.daemon is None:
        raise seen.fault or NoDaemon("no daemon runs")
    stopping = here.ask_within(ANSWER_SECONDS, Stop())
    if not wanted.wait:
        render(Stop(), stopping, surface)
        return FINE
    pid = stopping.pid
    ended = here.await_end(seen.daemon.home, pid)
    if surface.json:
        _tell_json({"pid": pid, "ended": ended}, surface)
    elif ended:
        surface.line(f"keptd (pid {pid}) has ended")
    else:
        surface.err(f"kept: keptd (pid {pid}) was told to stop, and has not ended yet\n")
    return FINE if ended else REFUSED


def _end_alone(silent: Unanswered, service: Service, command: str, *, kill: bool) -> str:
    """End a daemon that no manager has, where that is wanted; gives the signal."""
    if not kill:
        raise _refusal(silent, command)
    return service.end(silent.pid)


def _tell_killed(pid: int, by: str, surface: Surface) -> int:
    if surface.json:
        _tell_json({"pid": pid, "ended": True, "signal": by or None}, surface)
    else:
        surface.line(f"keptd (pid {pid}) did not answer, and has ended{f' by {by}' if by else ''}")
    return FINE


def restart(wanted: RestartDaemon, _: Caller, surface: Surface) -> int:
    """Start the daemon anew, and wait until it answers."""
    here = the_caller(surface)
    service = here.service()
    if wanted.dry_run:
        kill = wanted.kill and _look(service, here, ANSWER_SECONDS).silent is not None
        change = service.restart(dry_run=True, kill=kill)
        return (
            would("have keptd start anew behind its socket", surface)
            if change is None
            else tell_change(change, surface, "")
        )
    seen = _look(service, here, ANSWER_SECONDS)
    _note(seen, surface, kill=wanted.kill)
    if seen.silent is not None and not seen.state.runs:
        _end_alone(seen.silent, service, "restart", kill=wanted.kill)
    if service.restart(dry_run=False, kill=wanted.kill and seen.silent is not None) is None:
        _restart_alone(seen, service, here)
    now = here.await_restart(seen.pid, seen.daemon)
    if now is None:
        raise Conflict(
            f"keptd{'' if seen.pid is None else f' (pid {seen.pid})'} was told to start anew, and does not answer yet",
            hint="kept doctor says what it does, kept daemon logs what it said.",
        )
    before = now.version if seen.daemon is None else seen.daemon.version
    if surface.json:
        _tell_json({"before": before, "daemon": now}, surface)
    else:
        change_of = "" if now.version == before else f"; it was {clean(before)}"
        surface.line(f"keptd {clean(now.version)} is running (pid {now.pid}){change_of}")
    return FINE


def _restart_alone(seen: _Seen, service: Service, here: Here) -> None:
    """Without a manager: the daemon's own restart; where none runs any more, a start."""
    if seen.daemon is not None:
        with suppress(Fault):  # Somebody else's restart may have taken the connection: what counts is told after.
            here.ask_within(ANSWER_SECONDS, Restart())
    elif seen.silent is not None or seen.fault is None or isinstance(seen.fault, NoDaemon):
        _start(service, here)
    else:
        raise seen.fault


def _start(service: Service, here: Here) -> bool:
    """Start the daemon, through the manager where it can; whether that was needed."""
    change = service.start(dry_run=False)
    return here.start() if change is None else bool(change.commands)


def status(_: ShowDaemon, __: Caller, surface: Surface) -> int:
    """How the service and the daemon are. Without either, there is no daemon to tell of."""
    here = the_caller(surface)
    seen = _look(here.service(), here, ANSWER_SECONDS)
    service, daemon = seen.state, seen.daemon
    if isinstance(seen.fault, KeptError) or (seen.fault and not service.installed and seen.silent is None):
        raise seen.fault
    if surface.json:
        silent = {} if seen.silent is None else {"unanswered": seen.silent}
        show_json({**(asdict(daemon) if daemon else {}), **silent, "service": service}, surface)
        return FINE if daemon else NO_DAEMON
    for line in _service_lines(service):
        surface.line(line)
    if daemon is None:
        surface.line(f"daemon: {clean(_absence(seen))}")
        if seen.silent is not None:
            surface.line(f"next: {clean(_refusal(seen.silent, 'restart').hint)}")
        return NO_DAEMON
    surface.line(
        f"daemon: keptd {clean(daemon.version)}, pid {daemon.pid}, for {duration(daemon.uptime_seconds)}, "
        f"{daemon.connections} connected; storage {clean(daemon.storage.state)}"
    )
    surface.line(f"home: {clean(daemon.home)}")
    surface.line(f"socket: {clean(daemon.socket)}")
    return FINE


def _absence(seen: _Seen) -> str:
    if seen.silent is not None:
        return str(seen.silent)
    if seen.fault is None:
        if seen.state.active == "failed":
            return "none runs, as the last start failed; the next call tries again"
        return "none runs; the next call starts it, since the socket listens"
    if seen.state.is_silent:
        return one_line(str(seen.fault))
    return "none answers"


def _service_lines(state: State) -> list[str]:
    if state.is_silent:
        return [f"service: {one_line(state.manager)}, so how it is can't be told"]
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
        lines.append(f"{'it says' if state.runs else 'it said'}: {one_line(state.told)}")
    return lines


def _lingering(*, lingers: bool) -> str:
    if lingers:
        return "from boot on (lingering; kept daemon disable-linger ends that)"
    return "while you are logged in (kept daemon enable-linger: from boot on)"


def _tell_json(told: dict[str, object], surface: Surface) -> None:
    surface.line(as_json(told, 2 if surface.terminal else 0))


RUNNING = (
    Command(("daemon", "start"), StartDaemon, start),
    Command(
        ("daemon", "stop"),
        StopDaemon,
        stop,
        examples=("kept daemon stop", "kept daemon stop --both", "kept daemon stop --kill"),
        starts=False,
    ),
    Command(
        ("daemon", "restart"), RestartDaemon, restart, examples=("kept daemon restart", "kept daemon restart --kill")
    ),
    Command(("daemon", "status"), ShowDaemon, status, starts=False),
)
