"""Agents that wait for a person to say yes: which, for what, until when. In memory, and gone with the lock.

Of a request's answers one counts, the first that somebody begins to give: it is written down before the agent gets it,
and none other is taken meanwhile. Refuses more than `MOST` at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import anyio

from kept.wire import Actor
from kept.wire.errors import Busy, Conflict, Locked, NotFound
from kept.wire.vault import EntryId, Purpose, Request, RequestId

from ..clock import SECOND, Clock, to_time
from ..store.ids import new_id

MOST = 32

Answer = Literal["allow", "deny", "late", "locked", "gone"]


@dataclass(slots=True, eq=False)
class Waiting:
    """One request. `asked_at` is in microseconds since 1970, `until` on the boot clock."""

    id: str
    entry_id: str
    name: str
    purpose: Purpose
    who: Actor
    asked_at: int
    seconds: int
    until: float
    answer: Answer | None = None
    _is_late: bool = False
    _is_taken: bool = False
    """Somebody is giving an answer."""
    _answered: anyio.Event = field(default_factory=anyio.Event)

    def give(self, answer: Answer) -> None:
        """The first answer counts."""
        if self.answer is None:
            self.answer = answer
            self._answered.set()

    @contextmanager
    def giving(self, answer: Literal["allow", "deny"]) -> Iterator[None]:
        """Have the agent get this answer at the end of the block, or none where that fails. From the beginning no other
        person's counts, and the time for it is not over; but the vault may be locked meanwhile, and the agent go.

        Raises `Conflict` where there is an answer already, and `Locked` and `NotFound` for those two.
        """
        if self._is_taken or self.answer is not None:
            raise Conflict(
                "nobody answered in time" if self.answer == "late" else "somebody else has answered this already",
                hint="vault.audit shows what became of it.",
            )
        self._is_taken = True
        try:
            yield
            self.give(answer)
        finally:
            self._is_taken = False
            if self._is_late:
                self.give("late")
        if self.answer == "locked":
            raise Locked("the vault was locked before the agent had your answer")
        if self.answer == "gone":
            raise nobody()

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
            purpose=self.purpose,
            client=self.who.client,
            pid=self.who.pid,
            asked_at=to_time(self.asked_at),
            ends_at=to_time(self.asked_at + self.seconds * SECOND),
        )

    async def _expire(self, clock: Clock) -> None:
        while (left := self.until - clock.boot()) > 0:
            await clock.wait(left)
        self._is_late = True
        if not self._is_taken:
            self.give("late")


def nobody() -> NotFound:
    """No agent waits with an id."""
    return NotFound("nobody waits with this id", hint="vault.requests shows who waits; it may have been too late.")


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
            raise nobody()
        return found

    @contextmanager
    def request(
        self, entry_id: str, name: str, purpose: Purpose, who: Actor, clock: Clock, seconds: int
    ) -> Iterator[Waiting]:
        """Be among them. Raises `Busy` where too many are."""
        if len(self._waiting) >= MOST:
            raise Busy(f"{MOST} requests wait for a confirmation", retry_after_ms=1000, limit=MOST)
        waiting = Waiting(new_id(), entry_id, name, purpose, who, clock.now(), seconds, clock.boot() + seconds)
        self._waiting[waiting.id] = waiting
        try:
            yield waiting
        finally:
            del self._waiting[waiting.id]
            waiting.give("gone")

    def end_all(self) -> None:
        """The vault is locked: there is nothing to be had."""
        for waiting in self._waiting.values():
            waiting.give("locked")
