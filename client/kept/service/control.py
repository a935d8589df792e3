"""What becomes of the service: installed, removed, started, ended, looked at. Each change can be told and not made.

The order is what keeps clients from being refused: the manager's socket takes the path first, so that who connects
waits there; then a daemon that a client had started is asked to end, and the manager's own, which waits for the home,
goes on.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from shutil import which

from msgspec import Struct

from ..holder import has_home, holder
from ..paths import Paths
from ..wire.errors import Conflict
from . import changes
from .changes import Change, FileChange
from .systemctl import Systemctl, lingers, told, user
from .units import CARRIED, name_of, rendered

END_SECONDS = 30.0
"""How long a daemon that a client had started may take to let the home go."""

_LOOK_SECONDS = 0.02
_EDITED = "See it with --dry-run. Put your own lines into `systemctl --user edit {unit}`, which stays; --force goes on."


_NO_LOGIND = "Without it a daemon that a client starts stays until the machine ends; nothing needs to be enabled."


class State(Struct, frozen=True, kw_only=True):
    """How the service is. `manager` is the manager's own state, or why none can be reached; `active` and `enabled` are
    of the service and its socket, in systemd's words; `result` is how the last run ended."""

    service: str
    supervised: bool
    manager: str
    installed: bool
    path: str = ""
    active: str = ""
    enabled: str = ""
    socket_active: str = ""
    socket_enabled: str = ""
    pid: int | None = None
    result: str = ""
    restarts: int = 0
    lingers: bool = False
    told: str = ""
    """What the daemon said of itself last."""

    @property
    def is_active(self) -> bool:
        """Whether the manager has the daemon or its socket."""
        return self.socket_active == "active" or self.active in ("active", "activating", "reloading", "deactivating")


class Service:
    """The service of one home."""

    def __init__(self, paths: Paths, environ: Mapping[str, str], executable: str = sys.executable) -> None:
        self._paths = paths
        self._environ = environ
        self._executable = executable
        self._manager = Systemctl(environ)
        self.name = name_of(paths, environ)

    @property
    def _names(self) -> tuple[str, str]:
        return f"{self.name}.socket", f"{self.name}.service"

    def is_installed(self) -> bool:
        """Whether there is a unit file of this home, of whoever's."""
        return os.path.exists(os.path.join(changes.folder(self._environ), f"{self.name}.service"))

    def state(self) -> State:
        """How it is."""
        place = changes.folder(self._environ)
        obstacle = self._manager.obstacle()
        if obstacle:
            return State(service=self.name, supervised=False, manager=obstacle, installed=self.is_installed())
        socket, service = self._names
        wanted = ("ActiveState", "UnitFileState", "MainPID", "Result", "NRestarts", "StatusText", "FragmentPath")
        of_service = self._manager.show(service, *wanted)
        of_socket = self._manager.show(socket, *wanted)
        path = of_service.get("FragmentPath", "") or (os.path.join(place, service) if self.is_installed() else "")
        return State(
            service=self.name,
            supervised=True,
            manager=self._manager.state(),
            installed=bool(path),
            path=path,
            active=of_service.get("ActiveState", ""),
            enabled=of_service.get("UnitFileState", ""),
            socket_active=of_socket.get("ActiveState", ""),
            socket_enabled=of_socket.get("UnitFileState", ""),
            pid=_number(of_service.get("MainPID", "")) or None,
            result=of_service.get("Result", ""),
            restarts=_number(of_service.get("NRestarts", "")),
            lingers=lingers(),
            told=of_service.get("StatusText", ""),
        )

    def install(self, *, force: bool, dry_run: bool) -> Change:
        """Write the units, and have the manager start them now and at each login.

        Raises `Conflict` where a unit was edited by hand and `force` is not set, or the manager refuses; `BadPlace`;
        and `OSError`.
        """
        units = rendered(self._paths, self._environ, self._executable)
        obstacle = self._manager.obstacle()
        if obstacle:
            note = f"{obstacle}, so kept goes on as it does without: the first call starts the daemon"
            return Change(service=self.name, supervised=False, dry_run=dry_run, notes=(note,))
        place = changes.folder(self._environ)
        files = changes.writing(units, place)
        if not dry_run:
            _refuse_edited(files, force=force)
        before = self.state()
        commands = self._installing(files, before)
        other = self._other(before.pid)
        notes = self._notes()
        if not dry_run:
            if _altered(files):
                changes.write(units, place)
            self._carry_out(commands, other)
        elif other is not None:
            notes = (*notes, f"keptd (pid {other}), which a client started, would be asked to end before the last")
        return Change(
            service=self.name,
            supervised=True,
            dry_run=dry_run,
            files=files,
            commands=tuple(map(told, commands)),
            notes=notes,
            pid=None if dry_run else self.state().pid,
        )

    def _installing(self, files: Sequence[FileChange], before: State) -> list[tuple[str, ...]]:
        """What the manager has to be told once the files are there."""
        socket, service = self._names
        replaced = {os.path.basename(one.path) for one in files if one.action == "replace"}
        commands: list[tuple[str, ...]] = []
        if _altered(files):
            commands.append(("daemon-reload",))
        if _altered(files) or (before.enabled, before.socket_enabled) != ("enabled", "enabled"):
            commands.append(("enable", socket, service))
        if socket in replaced and before.is_active:
            # A socket's path can't be changed while it listens; this is the one change that who connects can notice.
            commands.append(("stop", socket, service))
            return [*commands, ("start", socket), ("start", service)]
        if "failed" in (before.active, before.socket_active):
            commands.append(("reset-failed", socket, service))
        if before.socket_active != "active":
            commands.append(("start", socket))
        if before.active != "active":
            commands.append(("start", service))
        elif service in replaced:
            commands.append(("restart", service))
        return commands

    def _carry_out(self, commands: Sequence[tuple[str, ...]], other: int | None) -> None:
        """Tell the manager; before it starts the service, the daemon `other` is asked to let the home go."""
        for words in commands:
            if words == ("start", self._names[1]) and other is not None:
                self._hand_over(other)
            self._manager.do(*words)

    def uninstall(self, *, force: bool, dry_run: bool) -> Change:
        """End the service and remove its units. Raises as `install` does."""
        place = changes.folder(self._environ)
        units = rendered(self._paths, self._environ, self._executable)
        files = changes.removing(units, place)
        obstacle = self._manager.obstacle()
        commands: list[tuple[str, ...]] = []
        if files and not obstacle:
            commands = [("disable", "--now", *self._names), ("daemon-reload",)]
        if not dry_run and files:
            _refuse_edited(files, force=force)
            if commands:
                self._manager.do(*commands[0])
            changes.remove(units, place)
            for words in commands[1:]:
                self._manager.do(*words)
        return Change(
            service=self.name,
            supervised=not obstacle,
            dry_run=dry_run,
            files=files,
            commands=tuple(map(told, commands)),
            notes=(f"{obstacle}, so only files were looked for",) if obstacle and files else (),
        )

    def start(self, *, dry_run: bool) -> Change | None:
        """Have the manager start it; None where no unit is installed that it could start."""
        state = self.state()
        if not (state.supervised and state.installed):
            return None
        commands: list[tuple[str, ...]] = []
        if "failed" in (state.active, state.socket_active):
            # The manager has given it up, and starts it again only where it is told to forget that.
            commands.append(("reset-failed", *self._names))
        if state.socket_active != "active":
            commands.append(("start", self._names[0]))
        if state.active != "active":
            commands.append(("start", self._names[1]))
        other = self._other(state.pid)
        if not dry_run:
            self._carry_out(commands, other)
        return self._done(commands, dry_run=dry_run)

    def stop(self, *, socket: bool, dry_run: bool) -> Change | None:
        """Have the manager end it, and the socket as well where that is wanted; None where it has neither."""
        state = self.state()
        if not (state.supervised and state.is_active):
            return None
        names = [self._names[1]]
        if socket:
            names.insert(0, self._names[0])
        elif state.active in ("inactive", "failed"):
            return self._done([], dry_run=dry_run)
        if not dry_run:
            self._manager.do("stop", *names)
        return self._done([("stop", *names)], dry_run=dry_run, keeps_socket=not socket)

    def restart(self, *, dry_run: bool) -> Change | None:
        """Have the manager start it anew behind its socket, which stays; None where it has no daemon of this home."""
        state = self.state()
        if not (state.supervised and state.is_active):
            return None
        if not dry_run:
            self._manager.do("restart", self._names[1])
        return self._done([("restart", self._names[1])], dry_run=dry_run)

    def enable_linger(self, *, dry_run: bool) -> Change:
        """Have logind keep the user's manager from boot on. Raises `Conflict` with its own words where it refuses."""
        command = ["loginctl", "enable-linger", user()]
        done = lingers()
        if not done and not dry_run:
            try:
                said = subprocess.run(  # noqa: S603 - the name is the system's own
                    command, env=self._environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
                )
            except FileNotFoundError:
                raise Conflict("loginctl is not there, so this system has no logind", hint=_NO_LOGIND) from None
            if said.returncode != 0:
                raise Conflict(
                    f"`{' '.join(command)}` failed: {' '.join(said.stderr.split())}",
                    hint=f"An administrator may: sudo {' '.join(command)}",
                )
        means = "your user manager, and keptd with it, runs from boot on and after you have logged out"
        return Change(
            service=self.name,
            supervised=True,
            dry_run=dry_run,
            commands=() if done else (" ".join(command),),
            notes=() if done else (f"{means}; loginctl disable-linger {user()} undoes it",),
        )

    @property
    def log(self) -> str:
        """The log file, which the daemon writes where it is not under the journal."""
        return self._paths.log

    def journal(self, lines: int, *, follow: bool, json: bool) -> list[str]:
        """The command that shows what the unit has said; empty where the journal has nothing of it."""
        program = which("journalctl", path=self._environ.get("PATH", os.defpath))
        if program is None or not self.is_installed():
            return []
        command = [program, "--user", f"--user-unit={self.name}.service", "--quiet", "--no-pager"]
        if not _says_anything([*command, "--lines=1", "--output=cat"], self._environ):
            return []
        command += [f"--lines={lines}", f"--output={'json' if json else 'short-iso'}"]
        return [*command, "--follow"] if follow else command

    def _done(self, commands: Sequence[tuple[str, ...]], *, dry_run: bool, keeps_socket: bool = False) -> Change:
        state = self.state()
        notes: tuple[str, ...] = ()
        if keeps_socket and state.socket_active == "active":
            again = f"the next call starts it again, since {self._names[0]} listens"
            notes = (f"{again}; kept daemon stop --both ends the two",)
        return Change(
            service=self.name,
            supervised=True,
            dry_run=dry_run,
            commands=tuple(map(told, commands)),
            notes=notes,
            pid=None if dry_run else state.pid,
        )

    def _other(self, managed: int | None) -> int | None:
        """The daemon of the home that the manager did not start."""
        found = holder(self._paths.data_dir)
        if found is None or found[0] == managed or not has_home(self._paths.data_dir, found[0]):
            return None
        return found[0]

    def _hand_over(self, pid: int) -> None:
        """Ask a daemon to end, and wait until it has let the home go."""
        with suppress(ProcessLookupError):
            process = os.pidfd_open(pid)
            try:
                # Looked at again while the process is held: no other can have its number by now.
                if has_home(self._paths.data_dir, pid):
                    signal.pidfd_send_signal(process, signal.SIGTERM)
            finally:
                os.close(process)
        end = time.monotonic() + END_SECONDS
        while has_home(self._paths.data_dir, pid):
            if time.monotonic() >= end:
                raise Conflict(
                    f"keptd (pid {pid}), which a client started, has not ended after {END_SECONDS:.0f} s",
                    hint="kept doctor says what it does. Then run this again.",
                )
            time.sleep(_LOOK_SECONDS)

    def _notes(self) -> tuple[str, ...]:
        """What of this shell's environment the service will not have."""
        apart = {*CARRIED, "KEPT_DEBUG", "KEPT_STATE_FILE"}
        names = sorted(name for name in self._environ if name.startswith("KEPT_") and name not in apart)
        if not names:
            return ()
        return (f"{', '.join(names)} are set here, and not in the service: put them into {self._paths.config_file}",)


def _says_anything(command: Sequence[str], environ: Mapping[str, str]) -> bool:
    said = subprocess.run(  # noqa: S603 - the words are kept's own
        command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    return said.returncode == 0 and bool(said.stdout.strip())


def _altered(files: Sequence[FileChange]) -> bool:
    return any(one.action != "keep" for one in files)


def _refuse_edited(files: Sequence[FileChange], *, force: bool) -> None:
    edited = [one.path for one in files if one.edited]
    if edited and not force:
        unit = os.path.basename(edited[0])
        raise Conflict(f"{', '.join(edited)} was edited by hand", hint=_EDITED.format(unit=unit))


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
