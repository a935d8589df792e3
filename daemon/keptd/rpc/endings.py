"""What is to be done when a connection has ended, however it ended: its client closed it or was killed, or the daemon
stops.

Rooms register it, under their names, and once for a connection: what they need to know of it they keep in their tables.
Each is awaited on the loop before the store closes; one that fails keeps no other from its end. A daemon that is killed
runs none of them: whoever depends on it looks again at the start (`Domain.settle`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import structlog

from kept.wire.errors import KeptError

from ..store.unforeseen import unforeseen

log = structlog.get_logger(__name__)

MOST = 16
"""Endings of one connection: one for each room that has any, and room for some more."""

SECONDS = 10.0
"""How long all of them may take together, so that no stop waits for a disk that hangs."""

Ending = Callable[[], Awaitable[None]]


class Endings:
    """Those of one connection. Lives on the loop's thread."""

    def __init__(self) -> None:
        self._waiting: dict[str, Ending] | None = {}

    def add(self, name: str, ending: Ending) -> None:
        """Have `ending` called once; what has this name already stays as it is.

        To be registered before what it ends is asked of the writer, so that it comes behind it there. Raises
        `RuntimeError` past `MOST` names, and where the connection has ended.
        """
        if self._waiting is None:
            raise RuntimeError("the connection has ended")
        if name not in self._waiting and len(self._waiting) >= MOST:
            raise RuntimeError(f"a connection has at most {MOST} endings")
        self._waiting.setdefault(name, ending)

    async def run(self) -> None:
        """Call all of them, at once. Never cancelled; a second time, there are none."""
        waiting, self._waiting = self._waiting, None
        if not waiting:
            return
        with anyio.move_on_after(SECONDS, shield=True) as limit:
            async with anyio.create_task_group() as tasks:
                for name, ending in waiting.items():
                    tasks.start_soon(_run, name, ending)
        if limit.cancelled_caught:
            log.warning("the end of a connection took too long", endings=sorted(waiting))


async def _run(name: str, ending: Ending) -> None:
    try:
        await ending()
    except KeptError as refusal:
        log.warning("the end of a connection was not written", ending=name, reason=refusal.type)
    except Exception as mistake:  # noqa: BLE001 - one room's mistake must not keep the others from their ends.
        unforeseen(f"the ending {name}", mistake)
