"""The change log, followed: an iterator that outlives the connection it reads from.

Owns the place in the log: after a lost connection it goes on from the last change that it gave, so that none is
missing and none comes twice. What the daemon passed over for a reader that is too slow arrives as `Lost`, with where
to read it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import msgspec

from .calls import REPLY_BYTES, plan, request
from .faults import BadReply, NoDaemon
from .frames import Splitter, decode_incoming
from .link import Broken, Link, Ticket, outcome
from .patience import Patience
from .wire import Call
from .wire.errors import Busy, ParseError, from_wire
from .wire.event import Event, Lost, Subscribe
from .wire.event import Subscription as Place

_decode_event = msgspec.json.Decoder(Event).decode
_decode_lost = msgspec.json.Decoder(Lost).decode


class Follower:
    """What a subscriber knows of the log: `seq` is the last change that it has. Takes lines, gives events; no
    socket."""

    def __init__(self, topics: tuple[str, ...] | None, since: int | None) -> None:
        self.seq = since
        self.ready: deque[Event | Lost] = deque()
        self._topics = topics
        self._asked: Ticket | None = None
        self._splitter = Splitter(REPLY_BYTES)

    def ask(self) -> bytes:
        """The request that begins, or resumes, the subscription on a new connection."""
        call = Subscribe(topics=self._topics, since=self.seq)
        self._asked = Ticket(call, plan(Subscribe))
        self._splitter = Splitter(REPLY_BYTES)
        return request(0, call, self._asked.plan.head)

    @property
    def begun(self) -> bool:
        """Whether the daemon has agreed on this connection."""
        return self._asked is not None and self._asked.done

    def feed(self, chunk: bytes) -> None:
        """Take what the daemon sent. Raises its refusal of the subscription, or `BadReply`."""
        for line in self._splitter.feed(chunk):
            if line is None:
                raise BadReply(f"an event is longer than {REPLY_BYTES} bytes")
            try:
                message = decode_incoming(line)
                if message.method == "event":
                    self._take_event(_decode_event(message.params))
                elif message.method == "lost":
                    self._take_lost(_decode_lost(message.params))
            except (msgspec.DecodeError, ParseError, UnicodeDecodeError, RecursionError) as fault:
                raise BadReply(
                    f"the daemon sent an event that this client does not know: {type(fault).__name__}"
                ) from None
            if not message.method and message.error is not None:
                raise from_wire(message.error)
            if not message.method and self._asked is not None and not self.begun:
                self._begin(outcome(self._asked, message))

    def _begin(self, place: Place | Exception) -> None:
        if isinstance(place, Exception):
            raise place
        assert self._asked is not None
        self._asked.settle(place)
        if self.seq is None:
            self.seq = place.seq

    def _take_event(self, event: Event) -> None:
        if self.seq is None or event.change.seq > self.seq:
            self.seq = event.change.seq
            self.ready.append(event)

    def _take_lost(self, lost: Lost) -> None:
        self.seq = max(self.seq or 0, lost.until)
        self.ready.append(lost)


class Subscription:
    """An endless iterator of `Event` and `Lost`, from the moment it was made. Ends when it is closed, from any thread.

    Raises, from the iteration, `NoDaemon` where no connection is had for the client's patience, and the daemon's
    refusal.
    """

    def __init__(
        self,
        connect: Callable[[Patience], Link],
        topics: tuple[str, ...] | None,
        since: int | None,
        patience: float,
        first: tuple[Call[Any], ...] = (),
    ) -> None:
        self._connect = connect
        self._patience = patience
        self._first = first
        self._follower = Follower(topics, since)
        self._closed = threading.Event()
        self._reading = threading.Lock()
        self._link: Link
        self._resume()

    @property
    def seq(self) -> int:
        """The place in the log after which the next change is looked for: where to resume in another process."""
        return self._follower.seq or 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Subscription:
        return self

    def __next__(self) -> Event | Lost:
        while not self._follower.ready:
            if self._closed.is_set():
                raise StopIteration
            try:
                self._receive()
            except Broken:
                self._link.close()
                self._resume()
        return self._follower.ready.popleft()

    def close(self) -> None:
        """End it; an iteration that waits in another thread ends too."""
        self._closed.set()
        self._link.shut()
        # Not before the reader has woken: a number that it still reads from could be given to another file.
        with self._reading:
            self._link.close()

    def _receive(self) -> None:
        with self._reading:
            chunk = self._link.chunk()
        self._follower.feed(chunk)

    def _resume(self) -> None:
        """Subscribe, on a new connection, from the place that was reached; unless it is closed meanwhile."""
        patience = Patience(self._patience)
        while not self._closed.is_set():
            self._link = self._connect(patience)
            try:
                self._ask()
            except Broken as lost:
                self._link.close()
                gone = NoDaemon(f"the connection to the daemon was lost again and again: {lost}")
                self._wait(patience.pause(), gone)
            except Busy as refusal:
                self._link.close()
                self._wait(patience.after(refusal), refusal)
            except BaseException:
                self._link.close()
                raise
            else:
                return

    def _ask(self) -> None:
        if self._closed.is_set():
            # It was when there was another link that could be shut.
            self._link.shut()
        for call in self._first:
            self._link.exchange(call, plan(type(call)))
        self._link.send(self._follower.ask())
        while not self._follower.begun:
            self._receive()

    def _wait(self, pause: float | None, otherwise: Exception) -> None:
        """Wait for so long, or until it is closed; where there is no time left, raise what was the matter."""
        if not self._closed.is_set() and pause is None:
            raise otherwise from None
        self._closed.wait(pause)
