"""The watchdog: tells the service manager, as long as it is so, that the event loop and the writer are alive.

The loop is alive since it is the loop that says so. The writer is where its pulse moves: it moves with every request,
and a nudge moves that of an idle one. Work that has the writer to itself (going back to a backup, VACUUM, a check after
a fault of the disk) moves nothing for as long as it takes, so it passes for alive up to `LONG_SECONDS`. Refuses to end
anything itself: a manager that hears nothing does that, and starts a new daemon.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from .clock import Clock
from .notify import Notifier
from .store.writer import Writer

LONG_SECONDS = 3600.0
"""How long one piece of exclusive work may take: going back to 100 GB at 30 MB/s."""

STATUS_SECONDS = 30.0
"""How often the manager's sentence is looked at where there is no watchdog to feed."""

log = structlog.get_logger(__name__)


class Watchdog:
    """Looks at the writer, each time that the manager is due to hear of it."""

    def __init__(self, writer: Writer, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock
        self._beats = writer.pulse.beats
        self._moved_at = clock.monotonic()
        self._is_overdue = False
        writer.nudge()

    def is_alive(self) -> bool:
        """Whether the writer has moved since the last look, or is at work that may take long."""
        pulse, now = self._writer.pulse, self._clock.monotonic()
        if pulse.beats != self._beats:
            self._beats, self._moved_at, self._is_overdue = pulse.beats, now, False
            self._writer.nudge()
            return True
        if pulse.is_slow and now - self._moved_at <= LONG_SECONDS:
            return True
        if not self._is_overdue:
            self._is_overdue = True
            log.warning("the writer does not answer", seconds=round(now - self._moved_at, 3))
        return False


async def attend(
    notifier: Notifier, seconds: float | None, writer: Writer, clock: Clock, sentence: Callable[[], str]
) -> None:
    """Feed the manager's watchdog, and tell it `sentence()` where that has changed, until cancelled.

    `seconds` is how long it waits at most, of which a half is used; None where it doesn't wait for anything.
    """
    if not notifier.is_heard:
        return
    watchdog = Watchdog(writer, clock) if seconds else None
    told = ""
    due = clock.monotonic()
    while True:
        due += seconds / 2 if seconds else STATUS_SECONDS
        while (left := due - clock.monotonic()) > 0:
            await clock.wait(left)
        due = clock.monotonic()
        if watchdog is not None and watchdog.is_alive():
            notifier.alive()
        if (now := sentence()) != told:
            notifier.status(now)
            told = now
