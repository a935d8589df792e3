"""Damage: what a read or the writer's check found is not what was written. Noticed on any thread, heard on the loop.

Whoever hears of it ends the daemon (see `keptd.recovery`): connections may hold pages that were read before, so that
only a new process on a database that was checked starts from what is known. Until then, requests that meet the damage
are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
import apsw
import structlog

from .database import is_damage

log = structlog.get_logger(__name__)


class Damage:
    """Whether there is any. `detail` says what, and is empty as long as there is none."""

    def __init__(self, post: Callable[[Callable[[], None]], None]) -> None:
        """`post` has the loop run something; from any thread."""
        self.detail = ""
        self._post = post
        self._noticed = anyio.Event()

    def heed(self, fault: apsw.Error) -> None:
        """Take note of a fault, if it is damage rather than a disk that fails for now."""
        if is_damage(fault):
            self.found(f"a page was read that is not what was written ({type(fault).__name__})")

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Take note of what is raised in the block; it goes on its way."""
        try:
            yield
        except apsw.Error as fault:
            self.heed(fault)
            raise

    def found(self, detail: str) -> None:
        """Take note of damage."""
        if not self.detail:
            self.detail = detail
            log.error("damage found", detail=detail)
            self._post(self._noticed.set)

    async def noticed(self) -> None:
        """Return when there is damage."""
        await self._noticed.wait()
