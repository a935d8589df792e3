"""What becomes of the service: installed, removed, started, ended, looked at. Each change can be told and not made.

The order is what keeps clients from being refused: the manager's socket takes the path first, so that who connects
waits there; then a daemon that a client had started is asked to end, and the manager's own, which waits for the home,
goes on.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from shutil import which

from msgspec import Struct

from ..holding import ask_to_end, end, holding
from ..paths import BadPlace, Paths, find
from ..wire.errors import Conflict
from . import changes, linger
from .changes import Change, FileChange
from .systemctl import LOOK_SECONDS, SILENT, Systemctl, told
from .units import CARRIED, name_of, rendered

END_SECONDS = 30.0
"""How long a daemon that a client had started may take to let the home go."""

_TOO_OFTEN = "it was started too often within minutes, so the manager has given it up (kept daemon start begins anew)"
_EDITED = "See it with --dry-run. Put your own lines into `systemctl --user edit {unit}`, which stays; --force goes on."
_ITS_OWN = "Keep what you need of it elsewhere; --force then removes it."

_EXITED = "1"
"""CLD_EXITED of waitid(2): it ended by itself, and by no signal."""

_NO_REFUSAL = ("", "success", "signal", "core-dump", "watchdog")
"""Results of a run that did not end by itself, and whose last words are no reason."""

_WITH_MANAGER = ("active", "activating", "reloading", "deactivating")
"""States of a service that the manager has a process of, or is about to."""


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
    """What the daemon said of itself last, while it runs or where it refused to."""
    masked: tuple[str, ...] = ()
    """Those of the two units that somebody has turned off (`systemctl mask`)."""

    @property
    def is_silent(self) -> bool:
        """Whether there is a manager, which doesn't answer."""
        return not self.supervised and self.manager == SILENT

    @property
    def is_active(self) -> bool:
        """Whether the manager has the daemon or its socket."""
        return self.socket_active == "active" or self.runs

    @property
    def runs(self) -> bool:
        """Whether the manager has the daemon."""
        return self.active in _WITH_MANAGER

    @property
    def starts_on_call(self) -> bool:
        """Whether the manager has the socket alone, so that whoever connects starts the daemon."""
        return self.socket_active == "active" and not self.runs


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
        """Whether there is a unit file of this home, of whoever's. Who has no home folder has none."""
        try:
            folder = changes.folder(self._environ)
        except BadPlace:
            return False
        return os.path.exists(os.path.join(folder, f"{self.name}.service"))

    def state(self) -> State:
        """How it is."""
        place = changes.folder(self._environ)
        obstacle = self._manager.obstacle()
        if obstacle:
            return State(service=self.name, supervised=False, manager=obstacle, installed=self.is_installed())
        socket, service = self._names
        wanted = ("ActiveState", "UnitFileState", "LoadState", "MainPID", "Result", "NRestarts", "StatusText")
        of_service = self._manager.show(service, *wanted, "FragmentPath", "ExecMainCode", "ExecMainStatus")
        of_socket = self._manager.show(socket, *wanted)
        active, result = of_service.get("ActiveState", ""), of_service.get("Result", "")
        refused = of_service.get("ExecMainCode") == _EXITED and of_service.get("ExecMainStatus") != "0"
        shown = ((service, of_service), (socket, of_socket))
        path = of_service.get("FragmentPath", "") or (os.path.join(place, service) if self.is_installed() else "")
        return State(
            service=self.name,
            supervised=True,
            manager=self._manager.state(),
            installed=bool(path),
            path=path,
            active=active,
            enabled=of_service.get("UnitFileState", ""),
            socket_active=of_socket.get("ActiveState", ""),
            socket_enabled=of_socket.get("UnitFileState", ""),
            pid=_number(of_service.get("MainPID", "")) or None,
            result=result,
            restarts=_number(of_service.get("NRestarts", "")),
            lingers=linger.lingers(),
            # Of one that ended in order, or was ended, it is out of date.
            told=of_service.get("StatusText", "") if active in _WITH_MANAGER or refused else "",
            masked=tuple(name for name, found in shown if found.get("LoadState") == "masked"),
        )

    def holding(self) -> int | None:
        """The process id of the daemon that has the home now, whoever started it."""
        return holding(self._paths.data_dir)

    def install(self, *, force: bool, dry_run: bool) -> Change:
        """Write the units, and have the manager start them now and at each login.

        Raises `Conflict` where a unit was edited by hand and `force` is not set, or the manager refuses; `BadPlace`;
        and `OSError`.
        """
        units = rendered(self._paths, self._environ, self._executable)
        obstacle = self._obstacle()
        if obstacle:
            note = f"{obstacle}, so kept goes on as it does without: the first call starts the daemon"
            return Change(service=self.name, supervised=False, dry_run=dry_run, notes=(note,))
        place = changes.folder(self._environ)
        files = changes.writing(units, place)
        before = self.state()
        self._refuse_masked(files, before)
        if not dry_run:
            _refuse_edited(files, _EDITED, force=force)
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
            return [*commands, ("stop", socket), ("stop", service), ("start", socket), ("start", service)]
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
            if words[0] == "reset-failed":
                self._manager.forget(*words[1:])
                continue
            try:
                self._manager.do(*words)
            except Conflict as refusal:
                state = self.state()
                if words[0] not in ("start", "restart") or not state.told or state.runs:
                    raise
                raise Conflict(
                    f"{self._names[1]} did not start: {state.told}",
                    hint="Mend that, then: kept daemon start. kept daemon logs -n 20 shows what was said last.",
                ) from refusal

    def uninstall(self, *, force: bool, dry_run: bool) -> Change:
        """End the service and remove its units. Raises as `install` does."""
        place = changes.folder(self._environ)
        units = rendered(self._paths, self._environ, self._executable)
        found = changes.removing(units, place)
        files = tuple(one for one in found if not one.masked)
        masks = tuple(one.path for one in found if one.masked)
        going = [unit for unit in units if os.path.join(place, unit.name) not in masks]
        obstacle = self._obstacle()
        commands: list[tuple[str, ...]] = []
        if files and not obstacle:
            names = [os.path.basename(one.path) for one in files]
            # First, so that those who wait at the socket are answered by the daemon, which has it as well.
            commands = [("stop", self._names[0])] if self._names[0] in names else []
            commands += [("disable", "--now", *names), ("daemon-reload",)]
        if not dry_run and files:
            _refuse_edited(files, _ITS_OWN, force=force)
            self._carry_out(commands[:-1], None)
            changes.remove(going, place)
            self._carry_out(commands[-1:], None)
        notes = [f"{obstacle}, so only files were looked for"] if obstacle and files else []
        notes += [
            f"{path} turns the unit off (masked), and is left: {_unmask(os.path.basename(path))}" for path in masks
        ]
        own = [path for unit in units if files and os.path.isdir(path := os.path.join(place, f"{unit.name}.d"))]
        notes += [f"{path} holds settings of yours (systemctl --user edit), and is left" for path in own]
        if files and linger.lingers():
            # Other services may need it, and kept may not have been who enabled it.
            notes.append(f"your services still run from boot on; {linger.UNDO} ends that")
        return Change(
            service=self.name,
            supervised=not obstacle,
            dry_run=dry_run,
            files=files,
            commands=tuple(map(told, commands)),
            notes=tuple(notes),
        )

    def start(self, *, dry_run: bool) -> Change | None:
        """Have the manager start it; None where no unit is installed that it could start."""
        state = self.state()
        if not (state.supervised and state.installed):
            return None
        self._refuse_masked((), state)
        commands: list[tuple[str, ...]] = []
        if state.socket_active != "active":
            commands.append(("start", self._names[0]))
        if state.active != "active":
            commands.append(("start", self._names[1]))
        if commands:
            # It may have been given up, or be at the limit of its starts, which is meant for those by itself.
            commands.insert(0, ("reset-failed", *self._names))
        other = self._other(state.pid)
        if not dry_run:
            self._carry_out(commands, other)
        return self._done(commands, dry_run=dry_run)

    def stop(self, *, socket: bool, dry_run: bool, wait: bool = True, kill: bool = False) -> Change | None:
        """Have the manager end it, and the socket as well where that is wanted; None where it has neither. Where it is
        to `kill` it, it gets no time to end by itself."""
        state = self.state()
        if not (state.supervised and state.is_active):
            return None
        if not (socket or state.runs):
            return self._done([], dry_run=dry_run, ends=True)
        commands = self._killing(state, wanted=kill)
        # The socket first, so that those who wait at it are answered by the daemon, which has it as well.
        names = self._names if socket else self._names[1:]
        commands += [("stop", *(() if wait else ("--no-block",)), name) for name in names]
        if not dry_run:
            self._carry_out(commands, None)
            # The next call's start is no sign of a daemon that fails again and again.
            self._manager.forget(self._names[1])
        return self._done(commands, dry_run=dry_run, keeps_socket=not socket, ends=True)

    def restart(self, *, dry_run: bool, kill: bool = False) -> Change | None:
        """Have the manager start it anew behind its socket, which stays; None where it has no daemon of this home."""
        state = self.state()
        if not (state.supervised and state.is_active):
            return None
        self._refuse_masked((), state)
        # A person who starts it anew again and again is not what the limit of starts is for.
        commands = [*self._killing(state, wanted=kill), ("reset-failed", self._names[1]), ("restart", self._names[1])]
        if not dry_run:
            self._carry_out(commands, None)
        return self._done(commands, dry_run=dry_run)

    def _killing(self, state: State, *, wanted: bool) -> list[tuple[str, ...]]:
        return [("kill", "--signal=SIGKILL", self._names[1])] if wanted and state.pid else []

    def hindrance(self) -> str:
        """Why nobody answers who connects to the manager's socket: it hangs, or the daemon refuses to start. Nothing
        where neither is so."""
        if self.is_installed() and self._manager.obstacle() == SILENT:
            return SILENT
        said = self.refusal()
        return f"{self._names[1]} did not start: {said}" if said else ""

    def refusal(self) -> str:
        """What keeps the daemon from starting under the manager, in the daemon's own words; nothing where it has said
        none, and where no unit is installed or no manager answers."""
        try:
            state = self.state() if self.is_installed() else None
        except (BadPlace, Conflict):
            return ""
        if state is None or state.result in _NO_REFUSAL:
            return ""
        return state.told or (_TOO_OFTEN if state.result == "start-limit-hit" else "")

    def enable_linger(self, *, dry_run: bool) -> Change:
        """Have logind keep the user's manager from boot on. Raises `Conflict` where it refuses, or there is none."""
        return linger.enable(self.name, self._environ, dry_run=dry_run)

    def disable_linger(self, *, dry_run: bool) -> Change:
        """Have logind keep the user's manager no longer than a session. Raises as `enable_linger` does."""
        return linger.disable(self.name, self._environ, dry_run=dry_run)

    def end(self, pid: int) -> str:
        """End the daemon `pid` of the home, which does not answer, as `kept.holding.end` does."""
        return end(self._paths.data_dir, pid)

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

    def _done(
        self, commands: Sequence[tuple[str, ...]], *, dry_run: bool, keeps_socket: bool = False, ends: bool = False
    ) -> Change:
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
            pid=None if dry_run or ends else state.pid,
        )

    def _other(self, managed: int | None) -> int | None:
        """The daemon of the home that the manager did not start."""
        found = self.holding()
        return None if found == managed else found

    def _hand_over(self, pid: int) -> None:
        """Ask a daemon to end, and wait until it has let the home go."""
        if not ask_to_end(self._paths.data_dir, pid, END_SECONDS):
            raise Conflict(
                f"keptd (pid {pid}), which a client started, has not ended after {END_SECONDS:.0f} s",
                hint="kept doctor says what it does. kept daemon stop --kill ends it; then run this again.",
            )

    def _obstacle(self) -> str:
        """Why there is no manager. Raises `Conflict` where there is one that doesn't answer: what it runs, and what it
        would make of other files, can't be told."""
        obstacle = self._manager.obstacle()
        if obstacle == SILENT:
            raise Conflict(obstacle, hint="Run this again when it does: systemctl --user is-system-running says so.")
        return obstacle

    def _refuse_masked(self, files: Sequence[FileChange], state: State) -> None:
        """Somebody has turned a unit off: whoever that was turns it on again."""
        masked = [os.path.basename(one.path) for one in files if one.masked]
        for_now = [name for name in state.masked if name not in masked and self._runtime_mask(name)]
        masked += [name for name in state.masked if name not in masked and name not in for_now]
        if masked or for_now:
            names = [*masked, *for_now]
            steps = [_unmask(*masked)] if masked else []
            steps += [_unmask("--runtime", *for_now)] if for_now else []
            raise Conflict(
                f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} masked: somebody has turned "
                f"{'it' if len(names) == 1 else 'them'} off",
                hint=f"{'; '.join(steps)}. Then run this again.",
            )

    def _runtime_mask(self, name: str) -> bool:
        return changes.is_mask(os.path.join(self._environ.get("XDG_RUNTIME_DIR", ""), "systemd", "user", name))

    def _notes(self) -> tuple[str, ...]:
        """What of this shell's environment the service will not have."""
        apart = {*CARRIED, "KEPT_DEBUG", "KEPT_STATE_FILE"}
        names = sorted(name for name in self._environ if name.startswith("KEPT_") and name not in apart)
        if not names:
            return ()
        are, them = ("is", "it") if len(names) == 1 else ("are", "them")
        told_of = f"{', '.join(names)} {are} set here, and not in the service"
        return (f"{told_of}: put {them} into {self._paths.config_file}",)


def refusal(environ: Mapping[str, str]) -> str:
    """As `Service.refusal`, of the home that `environ` leads to."""
    try:
        return Service(find(environ), environ).refusal()
    except BadPlace:
        return ""


def _says_anything(command: Sequence[str], environ: Mapping[str, str]) -> bool:
    try:
        said = subprocess.run(  # noqa: S603 - the words are kept's own
            command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=LOOK_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return said.returncode == 0 and bool(said.stdout.strip())


def _altered(files: Sequence[FileChange]) -> bool:
    return any(one.action != "keep" for one in files)


def _refuse_edited(files: Sequence[FileChange], hint: str, *, force: bool) -> None:
    edited = [one for one in files if one.edited]
    if edited and not force:
        unit = os.path.basename(edited[0].path)
        raise Conflict("; ".join(map(by_hand, edited)), hint=hint.format(unit=unit))


def by_hand(file: FileChange) -> str:
    """What somebody has done to a unit file."""
    if file.link:
        return f"{file.path} is a symbolic link to {file.link}, which kept did not make"
    return f"{file.path} was edited by hand"


def _unmask(*names: str) -> str:
    return f"`systemctl --user unmask {' '.join(names)}` turns it on"


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
