"""Who holds a home: what its daemon wrote into the lock file, for a client whose environment names another socket.

A session, cron and sudo can give two values of `XDG_RUNTIME_DIR`, and so two sockets, to one home. Refuses a lock file
that is not a regular file of the caller's own. What it says may be out of date: a daemon that was killed leaves it
behind, so it is only a place to look at. Imports as little as `kept.paths`: the thin script uses it.
"""

from __future__ import annotations

import os
from fcntl import LOCK_NB, LOCK_SH, flock
from stat import S_ISREG

from kept.trust import Untrusted, check_socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from kept.paths import Paths

_MOST_BYTES = 4096
_PID_DIGITS = 10


def holder(data_dir: str) -> tuple[int, str] | None:
    """The process id, and the socket, of the daemon that had the home last; None where that can't be told."""
    try:
        # Without O_NONBLOCK, a pipe in its place would be waited for.
        lock = os.open(lock_of(data_dir), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        found = os.fstat(lock)
        if not S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            return None
        pid, _, rest = os.read(lock, _MOST_BYTES).decode().partition("\n")
    except (OSError, UnicodeDecodeError):
        return None
    finally:
        os.close(lock)
    socket = rest.partition("\n")[0]
    if not (pid.isascii() and pid.isdigit() and len(pid) <= _PID_DIGITS):
        return None
    if not os.path.isabs(socket) or "\0" in socket:
        return None
    return int(pid), socket


def elsewhere(paths: Paths, environ: Mapping[str, str]) -> str | None:
    """The trusted socket, other than `paths.socket`, of the home's daemon.

    None where there is none, and where `environ` names the socket itself: who does so means that one.
    """
    if environ.get("KEPT_SOCKET"):
        return None
    found = holder(paths.data_dir)
    if found is None or found[1] == paths.socket:
        return None
    try:
        check_socket(found[1])
    except (OSError, Untrusted):
        return None
    return found[1]


def has_home(data_dir: str, pid: int) -> bool:
    """Whether the daemon `pid` holds the lock of its home still.

    The lock is taken, for a moment, to find out; a daemon that begins in that moment is started once more.
    """
    try:
        lock = os.open(lock_of(data_dir), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        written = os.read(lock, _MOST_BYTES).partition(b"\n")[0]
        if written != b"%d" % pid:
            # Another has it by now.
            return False
        flock(lock, LOCK_SH | LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def lock_of(data_dir: str) -> str:
    """The file that the home's daemon holds locked (flock) while it lives.

    Line 1 is its pid, line 2 its socket; line 3 is `journal` where its standard error is the journal.
    """
    return os.path.join(data_dir, "keptd.lock")
