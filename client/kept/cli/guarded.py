"""What a process does that is about to hold secrets: the kernel lets no other process of its user read its memory, and
writes none of it into a core file.

It ends with the process, and doesn't go over to a command that it runs (prctl(2), PR_SET_DUMPABLE).
"""

from __future__ import annotations

import ctypes

_SET_DUMPABLE = 4


def guard() -> None:
    """Do so, where the system can."""
    try:
        ctypes.CDLL(None).prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    except (OSError, AttributeError):
        return  # Another system, or another C library: nothing else depends on it.
