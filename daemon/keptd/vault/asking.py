"""Agents that wait for a person to say yes: which, for what, until when. In memory, and gone with the lock.

An answer counts once, for the request that it was given to. Refuses more than `MOST` at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import anyio

from kept.wire import Actor
from kept.wire.errors import Busy, NotFound
from kept.wire.vault import EntryId, Request, RequestId

from ..clock import SECOND, Clock, to_time
from ..store.ids import new_id

MOST = 32


def gone() -> NotFound:
    """Whoever asked has an answer, or asks no more."""
    return NotFound("nobody waits with this id", hint="vault.requests shows who waits; it may have been too late.")


Answer = Literal["allow", "deny", "late", "locked"]


@dataclass(slots=True, eq=False)
class Waiting:
    """One request. `asked_at` is in microseconds since 1970, `until` on the boot clock."""

    id: str
    entry_id: str
    name: str
    who: Actor
    asked_at: int
    seconds: int
    until: float
    answer: Answer | None = None
    _answered: anyio.Event = field(default_factory=anyio.Event)

    def give(self, answer: Answer) -> bool:
        """The first answer counts; whether this is the one."""
        if self.answer is not None:
            return False
        self.answer = answer
        self._answered.set()
        return True

    async def wait(self, clock: Clock) -> Answer:
        """The answer, or `late` where none came in time."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._expire, clock)
            await self._answered.wait()
            tasks.cancel_scope.cancel()
        assert self.answer is not None
        return self.answer

    def shown(self) -> Request:
        """As clients see it."""
        return Request(
            id=RequestId(self.id),
            entry_id=EntryId(self.entry_id),
            name=self.name,
            client=self.who.client,
            pid=self.who.pid,
            asked_at=to_time(self.asked_at),
            ends_at=to_time(self.asked_at + self.seconds * SECOND),
        )

    async def _expire(self, clock: Clock) -> None:
        while (left := self.until - clock.boot()) > 0:
            await clock.wait(left)
        self.give("late")


class Asking:
    """All that wait."""

    def __init__(self) -> None:
        self._waiting: dict[str, Waiting] = {}

    def all(self) -> list[Waiting]:
        """In the order in which they came."""
        return list(self._waiting.values())

    def find(self, request_id: str) -> Waiting:
        """One of them. Raises `NotFound`."""
        found = self._waiting.get(request_id)
        if found is None:
            raise gone()
        return found

    @contextmanager
    def request(self, entry_id: str, name: str, who: Actor, clock: Clock, seconds: int) -> Iterator[Waiting]:
        """Be among them. Raises `Busy` where too many are."""
        if len(self._waiting) >= MOST:
            raise Busy(f"{MOST} requests wait for a confirmation", retry_after_ms=1000, limit=MOST)
        waiting = Waiting(new_id(), entry_id, name, who, clock.now(), seconds, clock.boot() + seconds)
        self._waiting[waiting.id] = waiting
        try:
            yield waiting
        finally:
            del self._waiting[waiting.id]

    def end_all(self) -> None:
        """The vault is locked: there is nothing to be had."""
        for waiting in self._waiting.values():
            waiting.give("locked")
