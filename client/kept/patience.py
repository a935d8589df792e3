"""How long a call is repeated, and when next: growing pauses up to a deadline, never the same for two clients.

Knows what a refusal asks for (`kept.wire.errors`), and nothing of connections. Which calls may be repeated at all is
told by `kept.calls`.
"""

from __future__ import annotations

import random
import time

from .wire.errors import Busy, KeptError, StorageFailed

STORAGE_TRIES = 4
"""How often a write is sent while the daemon's disk fails."""

_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 1.0
_GROWTH = 1.7


class Patience:
    """How long one call goes on trying: until a deadline, with growing pauses. Counts failures of the disk apart.

    Without `await_daemon` one that isn't there is not waited for; one that is busy is.
    """

    def __init__(self, seconds: float, *, await_daemon: bool = True) -> None:
        self._await_daemon = await_daemon
        self._end = time.monotonic() + seconds
        self._pause = _FIRST_PAUSE
        self._storage_tries = 0

    @property
    def left(self) -> float:
        """Seconds until the deadline; not negative."""
        return max(0.0, self._end - time.monotonic())

    def pause(self) -> float | None:
        """How long to wait before the next look for a daemon; None where there is to be none."""
        return self._pause_within() if self._await_daemon else None

    def _pause_within(self) -> float | None:
        """The next pause, never the same for two clients; None where the deadline comes first."""
        wanted = self._pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads clients, guards nothing
        self._pause = min(self._pause * _GROWTH, _LONGEST_PAUSE)
        return wanted if wanted < self.left else None

    def after(self, refusal: KeptError) -> float | None:
        """How long to wait before repeating what was refused so; None where repeating is of no use."""
        if isinstance(refusal, Busy):
            asked = refusal.data.get("retry_after_ms")
            if not isinstance(asked, (int, float)) or asked <= 0:
                return self._pause_within()
            return asked / 1000 if asked / 1000 < self.left else None
        if isinstance(refusal, StorageFailed):
            self._storage_tries += 1
            return self._pause_within() if self._storage_tries < STORAGE_TRIES else None
        return None
