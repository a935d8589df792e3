"""Commands that run in the caller's process only: they stream to its terminal, or start programs."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from ..wire.daemon import Status, Stop
from ..wire.event import Change, Event, Lost, Subscribe, Topic
from .methods import run_method
from .parse import Command
from .surface import FINE, REFUSED, Caller, Surface, the_caller
from .text import as_json, clean, duration, one_line, stamp


class Watch(Struct, frozen=True, kw_only=True):
    """Follow what changes, until Ctrl-C."""

    topics: Annotated[
        tuple[Topic, ...], Meta(max_length=32, description="Only these: `memory`, or one method: `memory.set`.")
    ] = ()
    since: Annotated[int, Meta(ge=0, description="Begin after this place in the change log.")] | None = None


class StartDaemon(Struct, frozen=True, kw_only=True):
    """Start the daemon, unless it runs."""


class StopDaemon(Struct, frozen=True, kw_only=True):
    """End the daemon: what is in flight is finished, and everything is on disk.

    Waits until it has let go of its home. A program that is connected with leave to start one starts the next.
    """

    wait: Annotated[bool, Meta(description="Wait for the end.")] = True


class Tour(Struct, frozen=True, kw_only=True):
    """Show what kept does, on a folder's own git history.

    In a home of its own, which is removed at the end: four writers record the history at once, the daemon is killed
    in the middle and started again, and every acknowledged write is looked up.
    """

    folder: Annotated[str, Meta(min_length=1, max_length=4096, description="A folder with a git history.")] = "."
    commits: Annotated[int, Meta(ge=1, le=10_000, description="How many commits to record at most.")] = 400


def watch(wanted: Watch, _: Caller, surface: Surface) -> int:
    """Print changes as they come, one line each."""

    def begun(seq: int) -> None:
        surface.note(f"following from change {seq}; Ctrl-C ends")

    for event in the_caller(surface).follow(wanted.topics or None, wanted.since, begun):
        _show(event, surface)
    return FINE


def subscribe(wanted: Subscribe, call: Caller, surface: Surface) -> int:
    """`kept event subscribe` follows, as `kept watch` does: a subscription ends with its connection."""
    return watch(Watch(topics=wanted.topics or (), since=wanted.since), call, surface)


def _show(event: Event | Lost, surface: Surface) -> None:
    if surface.json:
        surface.line(as_json(event, 0))
    elif isinstance(event, Lost):
        passed_over = f"changes {event.resume_from + 1} to {event.until}"
        surface.err(f"passed over {passed_over}: kept event list --since {event.resume_from}\n")
    else:
        surface.line(_told(event.change, surface))


def _told(change: Change, surface: Surface) -> str:
    when = change.at.astimezone().strftime("%H:%M:%S") if surface.terminal else stamp(change.at)
    what = one_line(change.label or change.entity_id)
    return f"{when}  {clean(change.method):<18}  {what}  ({one_line(change.actor.client)})"


def start(_: StartDaemon, call: Caller, surface: Surface) -> int:
    """Start the daemon, and say whether that was needed."""
    started = the_caller(surface).start()
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
    if not wanted.wait:
        return run_method(Stop(), call, surface)
    here = the_caller(surface)
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


def tour(wanted: Tour, _: Caller, surface: Surface) -> int:
    """Run the tour; its parts are loaded only now."""
    the_caller(surface)
    from .tour import run  # noqa: PLC0415 - nothing else needs processes and threads

    return run(wanted.folder, wanted.commits, surface)


LOCAL = (
    Command(
        ("watch",),
        Watch,
        watch,
        by_position=("topics",),
        examples=("kept watch", "kept watch memory decision.add", "kept watch --since 0 --json"),
    ),
    Command(("tour",), Tour, tour, by_position=("folder",), examples=("kept tour .",), starts=False),
    Command(("daemon", "start"), StartDaemon, start),
    Command(("daemon", "stop"), StopDaemon, stop, examples=("kept daemon stop",), starts=False),
    Command(("event", "subscribe"), Subscribe, subscribe),
)
