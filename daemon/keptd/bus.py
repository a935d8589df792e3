"""The bus: tells whoever follows the change log that it has grown. It carries no event; those are read from the log.

So there is no queue to overflow, and no gap between replay and what follows.
"""

from __future__ import annotations

import anyio


class Bus:
    """The newest committed sequence, and a way to wait for a newer one. Lives on the loop's thread."""

    def __init__(self, seq: int = 0) -> None:
        self.seq = seq
        self._grown = anyio.Event()

    def advance(self, seq: int) -> None:
        """The log has grown to `seq`."""
        self.seq = max(self.seq, seq)
        grown, self._grown = self._grown, anyio.Event()
        grown.set()

    async def wait(self, seq: int) -> None:
        """Return when the log is past `seq`."""
        while self.seq <= seq:
            await self._grown.wait()
