"""`kept daemon ...`: the daemon as something that is always there. Started, ended, started anew, and made a service of
the systemd user manager.

They run in the caller's process, since the daemon starts no program and can't speak of its own end. Where a unit is
installed they go through the manager; where none is, they do what a client can do by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from msgspec import Meta, Struct

from ..wire.errors import Conflict
from .changes import DryRun, tell_change
from .parse import Command
from .running import RUNNING, note_silence
from .surface import Caller, Surface, the_caller

Force = Annotated[bool, Meta(description="Also where somebody has edited a unit by hand; the edit is lost.")]


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


class ShowLogs(Struct, frozen=True, kw_only=True):
    """What the daemon has said: the journal of its unit, or where there is none its log file."""

    lines: Annotated[int, Meta(ge=0, le=10_000, description="How many of the last lines.")] = 50
    follow: Annotated[bool, Meta(description="Go on with what comes, until Ctrl-C.")] = False


class EnableLinger(Struct, frozen=True, kw_only=True):
    """Have your services run from boot on, and after you have logged out.

    Without it your user manager, and the daemon with it, ends with your last session and begins with the next. Nothing
    is lost by that; agents that work on without you would be without a daemon. `kept daemon disable-linger` undoes it.
    """

    dry_run: DryRun = False


class DisableLinger(Struct, frozen=True, kw_only=True):
    """Have your services end with your last session, and begin with the next: what is usual.

    It is about all services of your user manager, not kept's alone, which is why `kept daemon uninstall` leaves it.
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
    code = tell_change(change, surface, "installed already, and as it should be")
    if change.pid is not None and change.is_nothing:
        note_silence(change.pid, surface)
    return code


def uninstall(wanted: Uninstall, _: Caller, surface: Surface) -> int:
    """Remove the units."""
    with _files():
        change = the_caller(surface).service().uninstall(force=wanted.force, dry_run=wanted.dry_run)
    code = tell_change(change, surface, "not installed")
    if not surface.json and not change.is_nothing:
        is_not, starts = ("would not be", "would start") if change.dry_run else ("is not", "starts")
        surface.line(f"what is kept {is_not} touched; the next call {starts} a daemon by itself")
    return code


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
    return tell_change(
        the_caller(surface).service().enable_linger(dry_run=wanted.dry_run), surface, "your services run from boot on"
    )


def disable_linger(wanted: DisableLinger, _: Caller, surface: Surface) -> int:
    """Have the user manager end with its user's sessions."""
    change = the_caller(surface).service().disable_linger(dry_run=wanted.dry_run)
    return tell_change(change, surface, "your services end with your last session, as is usual")


SERVICE = (
    Command(
        ("daemon", "install"),
        Install,
        install,
        examples=("kept daemon install --dry-run", "kept daemon install"),
        starts=False,
    ),
    Command(("daemon", "uninstall"), Uninstall, uninstall, examples=("kept daemon uninstall",), starts=False),
    *RUNNING,
    Command(
        ("daemon", "logs"),
        ShowLogs,
        logs,
        examples=("kept daemon logs -n 100", "kept daemon logs -f"),
        short=(("-n", "lines"), ("-f", "follow")),
        starts=False,
    ),
    Command(("daemon", "enable-linger"), EnableLinger, enable_linger, starts=False),
    Command(("daemon", "disable-linger"), DisableLinger, disable_linger, starts=False),
)
