"""What is particular to WSL2, for `kept doctor`: its runtime folder, systemd, when it stops by itself, and its clock.

Only looks, below one root: /proc, /etc, /run, /sys and, where Windows' drives are mounted, `.wslconfig` on one of them.
Says nothing on other systems. Each remedy is one that microsoft/WSL documents or that its issues tell of; none of them
has been tried here on Windows, which is what the guide in `systemd/wsl2` says too.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from configparser import Error as NoIni
from shlex import quote
from stat import S_IMODE
from threading import Thread

from ..cli.text import duration, one_line
from ..paths import Paths
from ..wire.maintenance import Finding
from .findings import ok, warning

GUIDE = "systemd/wsl2/README.md in kept's source"
DRIVE_SECONDS = 2.0
"""How long a Windows drive may take to answer; one whose other end is gone never does."""

CLOCK_SECONDS = 60
"""A difference from the machine's own clock that is worth a word."""

_FILE_BYTES = 64 * 1024
_MOST_PROFILES = 50
_OTHERS = 0o077
_OTHERS_WRITE = 0o022


def look(paths: Paths, environ: Mapping[str, str], root: str = "/", now: float | None = None) -> list[Finding]:
    """All of it; nothing where this is no WSL. `root` and `now` (seconds since 1970) are the machine's own by
    default."""
    here = _Machine(root)
    kernel = here.text("proc/sys/kernel/osrelease").strip()
    if not _is_wsl(here, kernel, environ):
        return []
    return [
        _which(kernel, environ),
        *_runtime(here, paths, environ),
        _systemd(here, environ),
        _idle(here, environ),
        *_clock(here, time.time() if now is None else now),
    ]


class _Machine:
    """A tree of files, and what is in it."""

    def __init__(self, root: str) -> None:
        self._root = root

    def path(self, path: str) -> str:
        """Where a path of the machine is."""
        return os.path.join(self._root, path.lstrip("/"))

    def has(self, path: str) -> bool:
        """Whether there is such a file or folder."""
        return os.path.exists(self.path(path))

    def text(self, path: str) -> str:
        """The beginning of a file; empty where it can't be read."""
        try:
            with open(self.path(path), "rb") as file:
                return file.read(_FILE_BYTES).decode("utf-8-sig", "replace")
        except OSError:
            return ""

    def settings(self, path: str) -> ConfigParser | None:
        """A file of sections and settings; None where it has another form. One that is missing has none."""
        return _parsed(self.text(path))


def _parsed(text: str) -> ConfigParser | None:
    found = ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    try:
        found.read_string(text)
    except NoIni:
        return None
    return found


def _is_wsl(here: _Machine, kernel: str, environ: Mapping[str, str]) -> bool:
    """Not a container on WSL's kernel, which has none of the rest."""
    if "microsoft" not in kernel.lower():
        return False
    named = bool(environ.get("WSL_DISTRO_NAME") or environ.get("WSL_INTEROP"))
    # A service, cron and ssh have neither variable.
    return named or here.has("run/WSL") or here.has("etc/wsl.conf") or here.has("proc/sys/fs/binfmt_misc/WSLInterop")


def _which(kernel: str, environ: Mapping[str, str]) -> Finding:
    name = environ.get("WSL_DISTRO_NAME", "")
    distribution = f", distribution {one_line(name)}" if name else ""
    # The kernel that WSL 1 pretends to be ends so; that of WSL 2, also one built by its user, is newer.
    if kernel.endswith("-Microsoft"):
        step = f"In Windows: wsl.exe --set-version {one_line(name) or 'DISTRIBUTION'} 2"
        return warning("WSL", f"WSL 1{distribution}, on which kept was never tried", step)
    return ok("WSL", f"WSL 2{distribution}; it stops without notice, as in a power cut, and kept is made for that")


def _runtime(here: _Machine, paths: Paths, environ: Mapping[str, str]) -> Iterator[Finding]:
    """On the folder for sockets, which WSL2 makes in many ways."""
    if environ.get("KEPT_SOCKET") or environ.get("KEPT_HOME"):
        return
    what, folder = "runtime folder", environ.get("XDG_RUNTIME_DIR", "").rstrip("/")
    instead = f"so kept's socket is {paths.socket}, where every command finds it"
    if not os.path.isabs(folder):
        yield ok(what, f"XDG_RUNTIME_DIR is not set, {instead}")
        return
    try:
        found = os.stat(here.path(folder))
    except OSError:
        step = f"Where systemd runs: sudo systemctl restart user-runtime-dir@{os.geteuid()}. Else open a new terminal."
        yield warning(what, f"{folder} is not there (microsoft/WSL#13562), {instead}", step)
        return
    mode = S_IMODE(found.st_mode)
    if found.st_uid != os.geteuid():
        told = f"{folder} belongs to another user (uid {found.st_uid}; microsoft/WSL#10846), {instead}"
        yield warning(what, told, f"sudo chown {os.geteuid()}:{os.getegid()} {quote(folder)}")
    elif mode & _OTHERS_WRITE:
        told = f"others can write to {folder} (mode {mode:03o}; microsoft/wslg#1333), {instead}"
        yield warning(what, told, f"chmod 700 {quote(folder)}")
    elif not paths.socket.startswith(folder + "/"):
        yield ok(what, f"{folder} is shared by all distributions, {instead}")
    elif mode & _OTHERS:
        told = f"others can look into {folder} (mode {mode:03o}; microsoft/WSL#10896), and not into kept's folder in it"
        yield ok(what, told, f"chmod 700 {quote(folder)}")
    else:
        yield ok(what, f"{folder} is there, and yours alone")


def _systemd(here: _Machine, environ: Mapping[str, str]) -> Finding:
    conf = here.settings("etc/wsl.conf")
    if conf is None:
        return warning("systemd", "/etc/wsl.conf has another form than WSL reads", f"Correct it; see {GUIDE}.")
    is_wanted = (conf.get("boot", "systemd", fallback="") or "").strip().lower() == "true"
    if here.has("run/systemd/system"):
        user = environ.get("USER") or environ.get("LOGNAME") or ""
        if user and os.path.basename(user) == user and here.has(f"var/lib/systemd/linger/{user}"):
            return ok("systemd", "it runs, and starts your services with the distribution")
        return ok(
            "systemd",
            "it runs, and starts your services at your first login",
            "loginctl enable-linger starts them before.",
        )
    if is_wanted:
        step = "Save your work, run wsl.exe --shutdown in Windows, and open the distribution again."
        return warning("systemd", "/etc/wsl.conf asks for it, and it does not run", step)
    step = f"Nothing has to be done. For a start at login, with systemd or without: {GUIDE}."
    return ok("systemd", "it does not run, so the first command starts keptd", step)


def _idle(here: _Machine, environ: Mapping[str, str]) -> Finding:
    """On whether WSL stops the distribution when no terminal is open; services don't keep it (microsoft/WSL#9667)."""
    what = "idle shutdown"
    step = f"To keep it: in .wslconfig, [general] instanceIdleTimeout=-1 and [wsl2] vmIdleTimeout=-1. See {GUIDE}."
    seen: list[tuple[str, str] | None] = []
    # A drive whose other end is gone holds up whoever touches it.
    looking = Thread(target=lambda: seen.append(_wslconfig(here, environ)), name="kept-wslconfig", daemon=True)
    looking.start()
    looking.join(DRIVE_SECONDS)
    if not seen:
        return warning(what, "the Windows drive does not answer", "wsl.exe --shutdown in Windows mounts it anew.")
    [profile] = seen
    if profile is None:
        told = "WSL stops the distribution soon after its last terminal is closed, unless .wslconfig in your Windows "
        return ok(what, told + "profile says otherwise, which can't be read from here; jobs wait until it runs", step)
    file, text = profile
    conf = _parsed(text)
    if conf is None:
        return warning(what, f"{file} has another form than WSL reads", f"Correct it; see {GUIDE}.")
    instance = (conf.get("general", "instanceIdleTimeout", fallback="") or "").strip()
    machine = (conf.get("wsl2", "vmIdleTimeout", fallback="") or "").strip()
    if (instance, machine) == ("-1", "-1"):
        return ok(what, f"{file} lets the distribution run on without a terminal")
    told = f"{file} has instanceIdleTimeout {one_line(instance) or 'unset'} and vmIdleTimeout "
    told += f"{one_line(machine) or 'unset'}: WSL stops the distribution when it is idle, and jobs wait until it runs"
    return ok(what, told, step)


def _wslconfig(here: _Machine, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Windows' settings for WSL, where they are and what they say; None where that can't be told."""
    conf = here.settings("etc/wsl.conf")
    mounts = (conf.get("automount", "root", fallback="") or "" if conf else "").strip() or "/mnt"
    profile = environ.get("USERPROFILE", "").replace("\\", "/")
    if profile[1:3] == ":/":
        file = os.path.join(mounts, profile[0].lower(), profile[3:], ".wslconfig")
        return file, here.text(file)
    users = os.path.join(mounts, "c", "Users")
    try:
        with os.scandir(here.path(users)) as entries:
            names = [entry.name for entry, _ in zip(entries, range(_MOST_PROFILES), strict=False)]
    except OSError:
        return None
    found = [file for name in names if here.has(file := os.path.join(users, name, ".wslconfig"))]
    return (found[0], here.text(found[0])) if len(found) == 1 else None


def _clock(here: _Machine, now: float) -> Iterator[Finding]:
    """The clock can stay behind for as long as Windows slept (microsoft/WSL#4179, #5324, #8204); the machine's does
    not. Where that is in local time, as after `timedatectl set-local-rtc`, nothing can be told."""
    told = here.text("sys/class/rtc/rtc0/since_epoch").strip()
    if not (told.isascii() and told.isdigit()) or "LOCAL" in here.text("etc/adjtime"):
        return
    behind = int(told) - now
    if abs(behind) < CLOCK_SECONDS:
        yield ok("WSL clock", "the clock is that of the machine")
        return
    way = "behind" if behind > 0 else "ahead of"
    step = "sudo hwclock -s sets it; so does wsl.exe --shutdown in Windows. What is kept stays in its order."
    yield warning("WSL clock", f"the clock is {duration(abs(behind))} {way} the machine's, as after a sleep", step)
