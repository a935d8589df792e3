"""Following the change log for one subscriber, at the pace at which it reads."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import structlog
from anyio.lowlevel import checkpoint

from kept.frames import encode_notification
from kept.wire.event import Change, Event, Lost, SubscriptionId

from ..bus import Bus
from ..rpc.peer import HIGH_WATER, Peer
from ..store import Store, changes
from ..store.database import FAULTS

log = structlog.get_logger(__name__)

_PAGE = 200


class Follower:
    """One subscription: `seq` is the last sequence that it has dealt with.

    It goes through the log in windows: up to where the log ended when the window began. The first is what was asked
    for with `since`, and is sent whole. A subscriber that left bytes unread during a window, and at its end is more
    than `lag` changes behind and no nearer to the end of the log than before, is told `lost`, with the range that it
    was not sent, and goes on from the end. One that reads as fast as it is sent to never is, however much is written
    meanwhile. One for which the log can't be read is told `lost` as well.
    """

    def __init__(
        self,
        peer: Peer,
        store: Store,
        bus: Bus,
        name: SubscriptionId,
        topics: Sequence[str] | None,
        since: int,
        lag: int,
    ) -> None:
        self.seq = since
        self._peer = peer
        self._store = store
        self._bus = bus
        self._name = name
        self._topics = topics
        self._lag = lag
        self._until = bus.seq
        self._distance = bus.seq - since
        self._left_unread = False
        self._scope = anyio.CancelScope()

    def cancel(self) -> None:
        """End the subscription."""
        self._scope.cancel()

    async def run(self) -> None:
        """Send events until cancelled."""
        with self._scope:
            while True:
                await self._bus.wait(self.seq)
                self._left_unread |= len(self._peer.outbox) > HIGH_WATER
                await self._peer.drained()
                if self.seq >= self._until and self._falls_behind():
                    self._skip()
                else:
                    self._send_page()
                await checkpoint()

    def _falls_behind(self) -> bool:
        """Judge the window that has ended, and begin the next."""
        distance, left_unread = self._bus.seq - self.seq, self._left_unread
        is_behind = left_unread and distance > self._lag and distance >= self._distance
        self._until, self._distance, self._left_unread = self._bus.seq, distance, False
        return is_behind

    def _send_page(self) -> None:
        # Read first: what is committed up to here is on the page, or past its end.
        newest = self._bus.seq
        try:
            page = changes.after(self._store.inline, self.seq, self._topics, _PAGE)
        except FAULTS as fault:
            self._store.damage.heed(fault)
            log.exception("events can't be read")
            self._skip()
            return
        for change in page:
            self._peer.send(encode_notification("event", Event(subscription_id=self._name, change=change)))
        self.seq = page[-1].seq if len(page) == _PAGE else max(newest, _last(page))

    def _skip(self) -> None:
        lost = Lost(subscription_id=self._name, resume_from=self.seq, until=self._bus.seq)
        self._peer.send(encode_notification("lost", lost))
        self.seq = lost.until


def _last(page: Sequence[Change]) -> int:
    return page[-1].seq if page else 0
