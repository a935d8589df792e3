"""What can still be reached in this process."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_LONG = 3600.0


@contextmanager
def reachable() -> Iterator[list[object]]:
    """All that the garbage collector knows of, for as long as the block lasts.

    No other thread runs meanwhile: a tuple that one is making can't be finished while somebody else has hold of it
    (CPython raises `SystemError`).
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(_LONG)
    try:
        gc.collect()
        found = gc.get_objects()
        yield found
        found.clear()
    finally:
        sys.setswitchinterval(before)
