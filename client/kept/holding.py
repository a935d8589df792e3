"""The process that has a home, seen from outside: which it is, what it does where it does not answer, and its end.

Reads what the kernel says, asks nobody, and waits for nobody but for an end that it was told to bring about. Refuses to
send a signal to a process that does not have the home's lock: the number that stands in the file may be another's by
now.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct

from .holder import has_home, holder, lock_of
from .wire.errors import Conflict

TERM_SECONDS = 5.0
"""How long a process that doesn't answer may take to end by itself once it is asked to."""

KILL_SECONDS = 10.0
"""How long the kernel may take to end one that waits for the disk."""

_STATES = {
    "T": ("is stopped (Ctrl-Z or SIGSTOP)", "kill -CONT {pid} lets it go on."),
    "t": ("is held by a debugger", "It goes on when the debugger lets it."),
    "D": ("waits for the disk", "Wait, and look at the disk: dmesg may say more."),
}
"""Of proc_pid_stat(5), and what to do."""

_LOCK_WORDS = 6
"""Of a line of /proc/locks, up to the file."""

_OTHER = "is busy with something, or stuck"


class Condition(Struct, frozen=True, kw_only=True):
    """What a process does, as the end of a sentence. `step` is how it goes on, where the kernel knows what holds it."""

    does: str
    step: str = ""


def holding(data_dir: str) -> int | None:
    """The process id of the daemon that holds the lock of the home now."""
    found = holder(data_dir)
    return found[0] if found is not None and has_home(data_dir, found[0]) else None


def condition(pid: int) -> Condition:
    """What the process does that has not answered."""
    does, step = _STATES.get(_state(pid), (_OTHER, ""))
    return Condition(does=does, step=step.format(pid=pid))


def ask_to_end(data_dir: str, pid: int, seconds: float) -> bool:
    """Send SIGTERM to the daemon `pid` of the home; whether it has ended within `seconds`, or had before.

    Raises `Conflict` where it may not be sent, or where `pid` is not the process that has the home.
    """
    with _held(data_dir, pid) as process:
        return process is None or _ends(process, pid, signal.SIGTERM, seconds)


def end(data_dir: str, pid: int) -> str:
    """End the daemon `pid` of the home, which does not answer, by SIGTERM, and where that is of no use by SIGKILL.

    Gives the signal that ended it, or nothing where it had ended. Raises `Conflict` as `ask_to_end` does, and where it
    stays.
    """
    with _held(data_dir, pid) as process:
        if process is None:
            return ""
        if _ends(process, pid, signal.SIGTERM, TERM_SECONDS):
            return "SIGTERM"
        if _ends(process, pid, signal.SIGKILL, KILL_SECONDS):
            return "SIGKILL"
    raise Conflict(
        f"keptd (pid {pid}) was told to end at once by SIGKILL, and is there still after {KILL_SECONDS:.0f} s: "
        f"it {condition(pid).does}",
        hint="Such a process ends when the kernel gives it back: look at the disk, or start the machine anew.",
    )


@contextmanager
def _held(data_dir: str, pid: int) -> Iterator[int | None]:
    """A descriptor of the process; None where it doesn't have the home any more."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        process = -1
    except (OSError, OverflowError) as fault:
        raise Conflict(f"keptd (pid {pid}) can't be reached: {fault}", hint="kept doctor looks at it.") from None
    try:
        # Looked at while the process is held: no other can have its number by now.
        if not has_home(data_dir, pid):
            yield None
        elif process >= 0 and _has_locked(pid, lock_of(data_dir)):
            yield process
        else:
            raise Conflict(
                f"the home {data_dir} is held by a process that can't be seen from here: the lock names pid {pid}",
                hint="It may be of another container, or have been forked. `fuser` of the file keptd.lock may name it.",
            )
    finally:
        if process >= 0:
            os.close(process)


def _has_locked(pid: int, path: str) -> bool:
    """Whether the kernel says that the process took a lock of the file by flock(2).

    From /proc/locks (proc_locks(5)): what the process has open is root's to see, as the daemon keeps its descriptors
    from other processes (prctl(2), PR_SET_DUMPABLE). The device that stands there is not always that of stat(2)
    (btrfs), so the inode's number has to do; the process has no other file of that number locked.
    """
    try:
        wanted = os.stat(path, follow_symlinks=False).st_ino
        with open("/proc/locks", "rb") as file:
            return any(_is_flock(line.split(), pid, wanted) for line in file)
    except OSError:
        return False


def _is_flock(words: list[bytes], pid: int, inode: int) -> bool:
    """Of `1: FLOCK ADVISORY WRITE 1234 fe:00:5678 0 EOF`. One that waits has `->` behind the number."""
    if len(words) < _LOCK_WORDS or words[1] != b"FLOCK":
        return False
    return words[4] == b"%d" % pid and words[5].rpartition(b":")[2] == b"%d" % inode


def _ends(process: int, pid: int, number: signal.Signals, seconds: float) -> bool:
    try:
        signal.pidfd_send_signal(process, number)
        # One that is stopped heeds nothing else but SIGKILL until it goes on.
        signal.pidfd_send_signal(process, signal.SIGCONT)
    except ProcessLookupError:
        return True
    except PermissionError:
        raise Conflict(
            f"keptd (pid {pid}) runs as another user, and may not be ended from here",
            hint="Whoever started it can: kept daemon stop, as that user.",
        ) from None
    poll = select.poll()
    poll.register(process, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _state(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name, in parentheses, may hold anything.
            return file.read(4096).rpartition(b")")[2].split()[0].decode()
    except (OSError, IndexError, UnicodeDecodeError):
        return ""
