"""The pulse of a thread: what another thread can see of its being alive. Refuses to judge: see `watchdog`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Pulse:
    """Written by its thread, read by anyone."""

    def __init__(self) -> None:
        self.beats = 0
        """Grows with all that the thread takes or does."""
        self.is_slow = False
        """It does what takes as long as the file is large, and does not beat meanwhile."""

    def beat(self) -> None:
        """Something was taken, or done."""
        self.beats += 1

    @contextmanager
    def slow(self) -> Iterator[None]:
        """What is inside may take long."""
        self.is_slow = True
        try:
            yield
        finally:
            self.is_slow = False
            self.beat()
