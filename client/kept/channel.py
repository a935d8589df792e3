"""One connection to the daemon for many tasks: requests go out in the order given, replies find the task that waits.

Owns the stream. Repeats nothing: when the connection ends, every waiting call gets `Broken`, and the channel is of no
use.
"""

from __future__ import annotations

from typing import Any

import anyio
from anyio.abc import SocketAttribute, UNIXSocketStream

from .calls import REPLY_BYTES, Plan
from .faults import BadReply, NoReply
from .frames import Splitter, decode_incoming, encode_notification
from .held import Held
from .link import WINDOW, Broken, Follow, Ticket, take
from .trust import check_peer, check_socket
from .wire import Call, Progress
from .wire.errors import KeptError, ParseError


async def open_stream(path: str) -> UNIXSocketStream:
    """A connection to whoever listens at `path`. Raises as `connect(2)`, or `Untrusted`."""
    check_socket(path)
    stream = await anyio.connect_unix(path)
    try:
        check_peer(stream.extra(SocketAttribute.raw_socket))  # noqa: S610 - no query
    except BaseException:
        await anyio.aclose_forcefully(stream)
        raise
    return stream


class _Waiting(Ticket):
    """A call that a task waits for. Whoever follows it is called in that task, so that what it raises arrives there."""

    __slots__ = ("_news", "_told")

    def __init__(self, call: Call[Any], how: Plan, size: int, follow: Follow | None, held: Held) -> None:
        super().__init__(call, how, size, follow, held)
        self._news = anyio.Event()
        self._told: Progress | None = None

    def tell(self, progress: Progress) -> None:
        """Note how far it is, and wake the task."""
        self._told = progress
        self._news.set()

    def settle(self, outcome: Any) -> None:
        """Note what came of it, and wake the task."""
        super().settle(outcome)
        self._news.set()

    async def wait(self, seconds: float) -> None:
        """Wait until it is settled, or until nothing has been heard of it for so long."""
        while not self.done:
            with anyio.move_on_after(seconds) as patience:
                await self._news.wait()
            if patience.cancelled_caught:
                return
            if self._told is not None and not self.done:
                self._news = anyio.Event()
                super().tell(self._told)


class Channel:
    """A connection in use. `run` has to run in some task, until it returns. `held` learns what it holds as soon as
    the reply has come, so that it knows all of it when the connection ends."""

    def __init__(self, stream: UNIXSocketStream, held: Held) -> None:
        self.broken = False
        self._held = held
        self._stream = stream
        self._number = 0
        self._outbox: list[bytes] = []
        self._filled = anyio.Event()
        self._waiting: dict[int, _Waiting] = {}
        self._room = anyio.Semaphore(WINDOW)

    def next_number(self) -> int:
        """An id that was not used on this connection."""
        self._number += 1
        return self._number

    async def exchange(
        self, number: int, line: bytes, call: Call[Any], how: Plan, seconds: float, follow: Follow | None = None
    ) -> Any:
        """The result of the call in `line`, whose id is `number`.

        Raises the daemon's refusal, `Broken`, `BadReply`, or `NoReply` after `seconds` without a reply or progress;
        then and when it is cancelled, the daemon is asked to cancel it.
        """
        async with self._room:
            if self.broken:
                raise Broken("the connection has ended", sent=False)
            waiting = self._waiting[number] = _Waiting(call, how, len(line), follow, self._held)
            self._send(line)
            try:
                await waiting.wait(seconds)
            finally:
                if self._waiting.pop(number, None) is not None:
                    self._send(encode_notification("$/cancelRequest", {"id": number}) + b"\n")
        if not waiting.done:
            raise NoReply("the daemon did not answer in time")
        if isinstance(waiting.outcome, Exception):
            raise waiting.outcome
        return waiting.outcome

    def _send(self, line: bytes) -> None:
        self._outbox.append(line)
        self._filled.set()

    async def run(self) -> None:
        """Carry requests and replies until the connection ends."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._send_all)
                await self._receive_all()
                tasks.cancel_scope.cancel()
        finally:
            self._end(Broken("the daemon closed the connection"))
            await anyio.aclose_forcefully(self._stream)

    async def close(self) -> None:
        """End the connection; `run` returns."""
        await anyio.aclose_forcefully(self._stream)

    async def _send_all(self) -> None:
        try:
            while True:
                await self._filled.wait()
                self._filled = anyio.Event()
                ready, self._outbox = b"".join(self._outbox), []
                await self._stream.send(ready)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return  # The receiving side sees the end as well, after the last replies.

    async def _receive_all(self) -> None:
        splitter = Splitter(REPLY_BYTES)
        try:
            while True:
                for line in splitter.feed(await self._stream.receive()):
                    self._take(line)
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return
        except ParseError as fault:
            self._end(BadReply(fault.message))
        except (BadReply, KeptError) as fault:
            self._end(fault)

    def _take(self, line: bytes | None) -> None:
        """Settle the call that this answers. Raises what is about the connection as a whole."""
        if line is None:
            raise BadReply(f"the daemon's reply is longer than {REPLY_BYTES} bytes")
        # A reply that nobody waits for is to a request that was cancelled.
        take(decode_incoming(line), self._waiting)

    def _end(self, reason: Exception) -> None:
        self.broken = True
        while self._waiting:
            self._waiting.popitem()[1].settle(reason)
