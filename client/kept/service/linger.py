"""logind, asked to keep a user's manager from boot on, or no longer. Refuses where there is none, also when it is only
to be told."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Mapping

from ..wire.errors import Conflict
from .changes import Change
from .systemctl import said_by

SECONDS = 60.0
"""How long it may take: who enables it may be asked for a password."""

BOOTED = "/run/systemd/system"
"""There where systemd is the system's manager (sd_booted(3))."""

UNDO = "kept daemon disable-linger"
"""What ends it."""

_LINGERING = "/var/lib/systemd/linger"
"""Where logind notes, by name, for whom it keeps a manager (systemd's `logind-user.c`)."""

_NO_LOGIND = "Without it a daemon that a client starts stays until the machine ends; nothing needs to be changed."


def enable(service: str, environ: Mapping[str, str], *, dry_run: bool) -> Change:
    """Have logind keep the user's manager, and `service` with it. Raises `Conflict` with its own words where it
    refuses, and where there is no logind."""
    if lingers():
        return Change(service=service, supervised=True, dry_run=dry_run)
    means = "your user manager, and keptd with it, runs from boot on and after you have logged out"
    return _have("enable-linger", f"{means}; {UNDO} undoes it", service, environ, dry_run=dry_run)


def disable(service: str, environ: Mapping[str, str], *, dry_run: bool) -> Change:
    """Have logind keep the user's manager, and `service` with it, no longer than a session. Raises as `enable` does."""
    if not lingers():
        return Change(service=service, supervised=True, dry_run=dry_run)
    means = "your user manager, and all services in it, ends with your last session and begins with the next"
    return _have("disable-linger", f"{means}; nothing that is kept is lost by that", service, environ, dry_run=dry_run)


def _have(verb: str, means: str, service: str, environ: Mapping[str, str], *, dry_run: bool) -> Change:
    """Have logind do it, or tell what it would be asked for."""
    if not os.path.isdir(BOOTED):
        raise Conflict("this system was not started by systemd, so it has no logind", hint=_NO_LOGIND)
    command = ["loginctl", verb, user()]
    if not dry_run:
        _run(command, environ)
    asks = ("logind decides whether you may; it may ask for a password",) if dry_run and os.geteuid() else ()
    return Change(
        service=service, supervised=True, dry_run=dry_run, commands=(" ".join(command),), notes=(means, *asks)
    )


def _run(command: list[str], environ: Mapping[str, str]) -> None:
    words = " ".join(command)
    try:
        said = subprocess.run(  # noqa: S603 - the name is the system's own
            command,
            env={**environ, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise Conflict("loginctl is not there, so this system has no logind", hint=_NO_LOGIND) from None
    except subprocess.TimeoutExpired:
        raise Conflict(f"`{words}` is not done after {SECONDS:.0f} s", hint="Run it yourself: it may ask.") from None
    if said.returncode != 0:
        may = f"An administrator may: sudo {words}" if os.geteuid() else "systemctl status systemd-logind may say why."
        raise Conflict(f"`{words}` failed: {said_by(said.stderr)}", hint=may)


def lingers() -> bool:
    """Whether the manager stays when the user has logged out."""
    return os.path.exists(os.path.join(_LINGERING, user()))


def user() -> str:
    """The name of the user whose process this is; the uid where it has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
