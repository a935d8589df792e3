"""Long work off the loop: in a worker thread, with its progress told on the loop, and the disk's faults as refusals.

A client gives up on a reply after a minute in which nothing came, so long work tells of itself every few seconds.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
import apsw

from kept.wire.errors import KeptError, StorageFailed, StorageFull

from .domain import Tell
from .store.database import FAULTS

T = TypeVar("T")

BEAT_SECONDS = 0.5
"""The least time between two messages about one part of the work."""

_WAIT_SECONDS = 5.0


async def in_thread(work: Callable[[Tell], T], tell: Tell) -> T:
    """Run `work` in a worker thread. What it tells of one part is passed on at most every `BEAT_SECONDS`; a cancelled
    request ends it there. Raises what it raises, with the faults of the disk as `StorageFull` and `StorageFailed`."""
    with disk_faults():
        return await anyio.to_thread.run_sync(work, _seldom(tell))


async def waiting(wait: Callable[[], Coroutine[Any, Any, T]], tell: Tell, text: str) -> T:
    """Wait for something, and say at once and every few seconds what is being waited for. `wait` may be cancelled and
    called again."""
    tell(0, 0, text)
    while True:
        with anyio.move_on_after(_WAIT_SECONDS):
            return await wait()
        tell(0, 0, text)


@contextmanager
def disk_faults() -> Iterator[None]:
    """Makes what a disk raises a refusal that a caller can act on."""
    try:
        yield
    except KeptError:
        raise
    except apsw.FullError:
        raise StorageFull("the disk is full") from None
    except FAULTS as fault:
        raise StorageFailed(f"the storage failed ({type(fault).__name__})") from None
    except OSError as fault:
        if fault.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull("the disk is full") from None
        raise StorageFailed(f"the storage failed ({fault.strerror})") from None


def _seldom(tell: Tell) -> Tell:
    told, what = 0.0, ""

    def report(done: int, total: int, text: str) -> None:
        nonlocal told, what
        now = time.monotonic()
        # The next part of the work is always told: it may be one that says nothing more of itself.
        if now - told >= BEAT_SECONDS or text != what:
            told, what = now, text
            anyio.from_thread.check_cancelled()
            anyio.from_thread.run_sync(tell, done, total, text)

    return report
