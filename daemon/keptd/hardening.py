"""What a daemon that holds opened secrets keeps from other processes of its own user, and from the disk.

Owns two settings of the process. It is not dumpable (PR_SET_DUMPABLE, prctl(2)): the kernel then writes no core file
and pipes none to a handler, lets no process of the same user attach to it (ptrace(2)), and gives what is below
/proc/PID to root, so that memory, environment and descriptors are out of reach (proc(5)). What everybody may read of a
process stays so (stat, status, comm, cmdline, cgroup). And no core file may have any size, should that be undone.

Refuses nothing: a system without it still runs the daemon. It is no guard against root, nor against a process of the
same user that asks the daemon over its socket, and memory may still be swapped out. An exec makes a process dumpable
again, so each daemon begins with this.
"""

from __future__ import annotations

import resource

_PR_GET_DUMPABLE = 3
_PR_SET_DUMPABLE = 4
"""Of linux/prctl.h; prctl(2)."""


def protect() -> bool:
    """Make this process such a one, for as long as it runs this program; whether that is so."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        from ctypes import CDLL  # noqa: PLC0415 - an interpreter can be built without it.

        prctl = CDLL(None).prctl
    except (ImportError, OSError, AttributeError, MemoryError):
        return False
    prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    return bool(prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0) == 0)
