"""Starts a command that is lent secrets, and ends as it ends.

The command is started without a shell. What it is lent on descriptors are sealed files in memory (memfd_create(2)),
which it can read as often as it likes through `/dev/fd/N`. What a terminal sends goes to all that runs in it, the
command included; what somebody sends to this process is passed on. Where the command has a terminal of its own, it
stops and goes on with this process, whose job control reaches nothing there.

Refuses to wait for what the command leaves behind: its end is the end.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from . import Launch

NOT_FOUND = 127
NOT_RUN = 126
"""What shells report for a command that isn't there, and for one that can't be run."""

_FORWARDED = frozenset((signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2))
_OF_A_STAGE = frozenset((signal.SIGTSTP, signal.SIGCONT))
"""What is watched besides where the command has a terminal of its own."""

_LOOKS = 200
_LOOK_SECONDS = 0.002

_BY_KERNEL = 0x80
"""`SI_KERNEL`, the `si_code` of what a terminal sends (sigaction(2))."""

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE

_OUT_OF_THE_WAY = (1000, 200, 100)
"""Descriptors are made from the first of these numbers on that the limit allows, so that none is in the place of
another."""


class NotStarted(Exception):
    """The command could not be started: why, and the exit code that a shell would give."""

    def __init__(self, reason: str, code: int) -> None:
        super().__init__(reason)
        self.code = code


class Child:
    """The command, as it runs. `woken` can be read from when there may be something to `look` at.

    `apart` says that it has a terminal of its own, which this process's terminal sends nothing to.
    """

    def __init__(self, pid: int, woken: int, *, apart: bool) -> None:
        self.woken = woken
        self.apart = apart
        self.code: int | None = None
        """Its exit code, 128 and the signal's number where that ended it; None while it runs."""
        self._pid = pid
        self._halted: list[int] = []
        """The groups that were stopped, in the order in which they go on."""
        # Once it was waited for, its number may be another's.
        self._lock = threading.Lock()

    def look(self) -> bytes:
        """Take in the signals that have come, by their numbers in order. An end is noted in `code`."""
        told = os.read(self.woken, 4096)
        with self._lock:
            pid, status = os.waitpid(self._pid, os.WNOHANG) if self.code is None else (0, 0)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                self.code = code if code >= 0 else 128 - code
        return told

    def halt(self, front: int | None) -> None:
        """Stop it, and the group in front of its terminal, where that is another. By SIGSTOP: the kernel drops SIGTSTP
        for a group of whose parents none is in its session.

        A shell is stopped before what it runs, and goes on after it: it would take that for suspended."""
        if not self._tell(self._pid, signal.SIGSTOP):
            return
        self._halted = [self._pid]
        if front is not None and front != self._pid:
            self._await_stop()
            self._halted.insert(0, front)
            self._tell(front, signal.SIGSTOP)

    def stays(self, front: int | None) -> bool:
        """Whether it runs on although the key that stops it was pressed, and it neither catches nor ignores that: where
        its own group is in front, which the kernel leaves alone (`halt`)."""
        if front != self._pid:
            return False
        with self._lock:
            if self.code is not None:
                return False
            try:
                told = Path(f"/proc/{self._pid}/status").read_text().splitlines()
            except OSError:
                return False  # Another user's, which it has become, and such are hidden (proc(5), hidepid).
        masks = [int(line.split()[1], 16) for line in told if line.startswith(("SigIgn:", "SigCgt:"))]
        return not any(mask >> (signal.SIGTSTP - 1) & 1 for mask in masks)

    def go_on(self) -> None:
        """Have go on what was stopped."""
        while self._halted:
            self._tell(self._halted.pop(0), signal.SIGCONT)

    def _tell(self, group: int, number: signal.Signals) -> bool:
        with self._lock, suppress(ProcessLookupError, PermissionError):
            if self.code is None:
                os.killpg(group, number)
                return True
        return False

    def _await_stop(self) -> None:
        """It takes a moment, and on a disk that hangs for ever, which nobody waits for."""
        for _ in range(_LOOKS):
            if os.waitid(os.P_PID, self._pid, os.WEXITED | os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None:
                return
            time.sleep(_LOOK_SECONDS)

    def pass_on(self, told: signal.struct_siginfo) -> None:
        """Send it a signal that this process got, unless it got the same."""
        if told.si_signo in _FORWARDED and (self.apart or told.si_code != _BY_KERNEL):
            with self._lock, suppress(ProcessLookupError):
                if self.code is None:
                    os.kill(self._pid, told.si_signo)


@contextmanager
def started(
    launch: Launch, outputs: Mapping[int, int], environ: Mapping[str, str], terminal: str | None
) -> Iterator[Child]:
    """The command. `outputs` says which of this process's descriptors is put in the place of which of the command's;
    with the path of a `terminal` it gets that, in a session of its own. Raises `NotStarted`.

    Signals are blocked meanwhile, and taken by a thread: a handler doesn't learn who sent them, and has to wait for
    this process's output.
    """
    watched = {*_FORWARDED, signal.SIGWINCH, signal.SIGCHLD, *(_OF_A_STAGE if terminal is not None else ())}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    woken, wake = os.pipe2(os.O_CLOEXEC)
    try:
        child = Child(_spawn(launch, outputs, environ, terminal, before), woken, apart=terminal is not None)
        stop = threading.Event()
        listener = threading.Thread(target=_listen, args=(child, watched, wake, stop), daemon=True)
        listener.start()
        try:
            yield child
        finally:
            stop.set()
            while listener.is_alive():
                assert listener.ident is not None
                with suppress(ProcessLookupError):
                    signal.pthread_kill(listener.ident, signal.SIGCHLD)
                listener.join(0.01)
    finally:
        os.close(woken)
        os.close(wake)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def stop_here(*, all_of_us: bool) -> None:
    """Stop this process, as whoever sent SIGTSTP wants, until it is continued; with `all_of_us` its group, as a
    terminal does: a script that waits for this process would keep the shell from going on. Where nobody could continue
    it, since its group has lost its shell, the kernel doesn't stop it. To be called by the main thread, by which
    `started` was called: the kernel prefers it to the one that listens."""
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP})
    if all_of_us:
        os.killpg(0, signal.SIGTSTP)
    else:
        signal.raise_signal(signal.SIGTSTP)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _listen(child: Child, watched: set[signal.Signals], wake: int, stop: threading.Event) -> None:
    while True:
        told = signal.sigwaitinfo(watched)
        if stop.is_set():
            return
        child.pass_on(told)
        os.write(wake, bytes((told.si_signo,)))


def _spawn(
    launch: Launch,
    outputs: Mapping[int, int],
    environ: Mapping[str, str],
    terminal: str | None,
    mask: set[signal.Signals] | set[int],
) -> int:
    files = {number: _sealed(content) for number, content in launch.files.items()}
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = []
    if terminal is not None:
        # The first terminal that the leader of a session opens becomes the session's.
        actions.append((os.POSIX_SPAWN_OPEN, 0, terminal, os.O_RDWR, 0))
        actions += [(os.POSIX_SPAWN_DUP2, 0, number) for number in (1, 2) if number not in outputs]
    actions += [(os.POSIX_SPAWN_DUP2, ours, theirs) for theirs, ours in (*outputs.items(), *files.items())]
    try:
        return os.posix_spawn(
            _found(launch.command[0], environ),
            launch.command,
            {**environ, **launch.added},
            file_actions=actions,
            setsigmask=mask,
            # Python ignores these two for itself.
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
            setsid=terminal is not None,
        )
    except FileNotFoundError:
        raise _missing(launch.command[0]) from None
    except OSError as fault:
        raise NotStarted(f"{launch.command[0]} can't be started: {fault.strerror}", NOT_RUN) from None
    finally:
        for ours in files.values():
            os.close(ours)


def _found(program: str, environ: Mapping[str, str]) -> str:
    """The program's path. PATH is gone through here, since posix_spawnp(3) takes a folder that nobody may look into for
    a program that nobody may run."""
    path = program if "/" in program else shutil.which(program, path=environ.get("PATH", os.defpath))
    if path is None:
        raise _missing(program)
    return path


def _missing(program: str) -> NotStarted:
    return NotStarted(f"there is no command {program}", NOT_FOUND)


def _sealed(content: bytes) -> int:
    """A file in memory that nobody can change, to be read from its beginning."""
    made = os.memfd_create("kept", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        # It comes with rights for everybody, and programs such as ssh-add take no secret from a file like that.
        os.fchmod(made, 0o400)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(made, rest) :]
        os.lseek(made, 0, os.SEEK_SET)
        fcntl.fcntl(made, fcntl.F_ADD_SEALS, _SEALS)
        return out_of_the_way(made)
    except BaseException:
        os.close(made)
        raise


def out_of_the_way(descriptor: int) -> int:
    """The same under a high number, where none of the command's own is put; the given one is closed."""
    for least in _OUT_OF_THE_WAY:
        with suppress(OSError):
            moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, least)
            os.close(descriptor)
            return moved
    raise NotStarted("too few descriptors may be open here; ulimit -n 1024 allows enough", NOT_RUN)
