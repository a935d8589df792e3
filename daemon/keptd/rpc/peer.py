"""A peer: one connection as the daemon sees it. Who it is, what it has in flight, and the bytes that wait for it.

Bounds what a peer can make the daemon hold: requests in flight, bytes queued, subscriptions. Knows no method.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

import anyio
from msgspec.structs import asdict

from kept.frames import RequestId, encode_notification
from kept.wire import Actor, Progress

from .endings import Endings

HIGH_WATER = 1024 * 1024
"""Bytes queued for a peer above which no more of its requests are read, and no events are sent."""

PROGRESS = "$/progress"


class Pending(Protocol):
    """A request in flight."""

    def cancel(self) -> None:
        """Stop it, where it has not had its effect yet."""
        ...


class Following(Protocol):
    """A subscription to the change log."""

    seq: int

    def cancel(self) -> None:
        """End it."""
        ...


class Peer:
    """One connection. Lives on the loop's thread."""

    def __init__(
        self,
        number: int,
        uid: int,
        pid: int,
        queued_bytes: int,
        announce: Callable[[Peer], None],
        connected_at: int,
    ) -> None:
        """`announce` is told that there are bytes to send; once, until `announced` is taken back. `connected_at` is in
        microseconds since 1970."""
        self.number = number
        self.connected_at = connected_at
        self.uid = uid
        self.pid = pid
        self.outbox = bytearray()
        self.queued_bytes = queued_bytes
        self.requests = 0
        self.received_bytes = 0
        self.sent_bytes = 0
        self.in_flight = 0
        self.held = 0
        """Bytes that wait outside of the outbox: requests in flight, and batches that are not complete."""
        self.pending: dict[RequestId, Pending] = {}
        self.subscriptions: dict[str, Following] = {}
        self.subscribed = 0
        self.endings = Endings()
        self.spawn: Callable[[Callable[[], Coroutine[Any, Any, None]]], object]
        self.context: Any = None
        """The context of inline reads, kept between requests while neither caller nor configuration changes."""
        self.closed = False
        self.corked = False
        """True while a chunk is being worked off, whose replies leave together at its end."""
        self.announced = False
        self._announce = announce
        self._actor: Actor | None = None
        self._filled = anyio.Event()
        self._emptied = anyio.Event()

    @property
    def actor(self) -> Actor:
        """Who writes: what `daemon.hello` said, else the name of the peer's program."""
        if self._actor is None:
            self._actor = Actor(client=program_name(self.pid), uid=self.uid, pid=self.pid)
        return self._actor

    @actor.setter
    def actor(self, actor: Actor) -> None:
        self._actor = actor
        self.context = None

    def aside(self) -> Peer:
        """The same caller, with nothing in flight, for what is asked on its behalf inside the daemon."""
        inner = Peer(self.number, self.uid, self.pid, self.queued_bytes, self._announce, self.connected_at)
        inner.spawn = self.spawn
        inner.endings = self.endings
        inner.actor = self.actor
        return inner

    @property
    def waiting_bytes(self) -> int:
        """What waits for it: replies that it has not taken, and requests that are in flight."""
        return len(self.outbox) + self.held

    def fits(self, size: int) -> bool:
        """Whether that many bytes more may be queued."""
        return len(self.outbox) + self.held + size <= self.queued_bytes

    def send(self, line: bytes) -> None:
        """Queue a message; dropped when the peer has gone."""
        if self.closed:
            return
        self.outbox += line
        self.outbox += b"\n"
        if not self.corked and not self.announced:
            self.announced = True
            self._announce(self)

    def tell(self, request_id: RequestId, progress: Progress) -> None:
        """Queue a message on how far a request is; dropped where too much waits already."""
        if self.fits(0):
            self.send(encode_notification(PROGRESS, {"id": request_id, **asdict(progress)}))

    def uncork(self) -> None:
        """What is queued may leave, as soon as the peer takes it."""
        self.corked = False
        if self.outbox:
            self._filled.set()

    async def filled(self) -> None:
        """Wait until something may leave that could not be sent at once, or the peer has gone."""
        while (self.corked or not self.outbox) and not self.closed:
            self._filled = anyio.Event()
            await self._filled.wait()

    def sent(self, count: int) -> None:
        """The first `count` queued bytes have left."""
        self.sent_bytes += count
        del self.outbox[:count]
        if len(self.outbox) <= HIGH_WATER:
            self._emptied.set()

    async def drained(self) -> None:
        """Wait until the peer reads: returns at once while little is queued."""
        while len(self.outbox) > HIGH_WATER and not self.closed:
            await self._eased()

    def began(self, size: int) -> None:
        """A request of that many bytes is in flight."""
        self.in_flight += 1
        self.held += size

    def finished(self, size: int) -> None:
        """A request of that many bytes has been answered."""
        self.in_flight -= 1
        self.held -= size
        if self.in_flight == 0:
            self._emptied.set()

    async def idle(self) -> None:
        """Wait until every request is answered and every byte has left."""
        while (self.in_flight or self.outbox) and not self.closed:
            await self._eased()

    async def _eased(self) -> None:
        # Several wait at once (the reading side, every subscription): they share one event, so that none is forgotten.
        if self._emptied.is_set():
            self._emptied = anyio.Event()
        await self._emptied.wait()

    def close(self) -> None:
        """The connection is gone: nothing more is queued, and who waits goes on."""
        self.closed = True
        self.outbox.clear()
        self._emptied.set()
        self._filled.set()


def program_name(pid: int) -> str:
    """The name of a process (at most 15 bytes, as the kernel keeps it); `unknown` where it has ended."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return "unknown"
    return "".join(letter for letter in name if letter.isprintable()) or "unknown"
