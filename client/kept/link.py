"""One connection to the daemon, blocking: one call at a time by the shortest way, or many at once.

Owns the socket and the matching of replies to requests. Refuses a socket that is not to be trusted. Repeats nothing: a
connection that fails in any way raises, and is of no use from then on.
"""

from __future__ import annotations

import select
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from .calls import REPLY_BYTES, Plan, Reply, check_protocol, plan, request, unexpected
from .faults import BadReply, NoReply
from .frames import Incoming, Splitter, decode_incoming
from .held import Held
from .trust import check_peer, check_socket
from .wire import Call, Progress
from .wire.daemon import Hello
from .wire.errors import KeptError, ParseError, TooLarge, from_wire

Follow = Callable[[Progress], object]
"""Called with how far a call is, each time that the daemon tells."""

WINDOW = 128
"""Requests of one batch that wait for a reply at a time; the daemon takes 256 per connection by default."""

_CHUNK = 64 * 1024
_TIMEVAL = struct.Struct("ll")


class _Told(Progress, frozen=True, kw_only=True):
    id: int


_decode_told = msgspec.json.Decoder(_Told).decode


class Broken(Exception):
    """The connection ended. What was `sent` may have been carried out; the next connection may do."""

    def __init__(self, reason: str | None, *, sent: bool = True) -> None:
        super().__init__(reason)
        self.sent = sent


class Ticket:
    """A call on its way: `outcome` is its result, the daemon's refusal, or a fault; `done` says whether there is
    one. `size` is that of the line which asks for it, once that was made; `held` learns of what was carried out."""

    __slots__ = ("call", "done", "follow", "held", "outcome", "plan", "sent", "size")

    def __init__(
        self, call: Call[Any], how: Plan, size: int = 0, follow: Follow | None = None, held: Held | None = None
    ) -> None:
        self.follow = follow
        self.held = held
        self.call = call
        self.plan = how
        self.size = size
        self.sent = False
        self.done = False
        self.outcome: Any = None

    def tell(self, progress: Progress) -> None:
        """Pass on how far it is. Raises what whoever follows raises."""
        if self.follow is not None:
            self.follow(progress)

    def settle(self, outcome: Any) -> None:
        """Note what came of it."""
        if self.held is not None and not isinstance(outcome, Exception):
            self.held.note(self.call)
        self.outcome = outcome
        self.done = True


class Link:
    """A connected socket. `seconds` is how long a reply, or room to send, may take; 0 for ever.

    Raises FileNotFoundError or ConnectionRefusedError where nobody listens, `Untrusted`, and what `hello` raises.
    """

    def __init__(self, path: str, hello: Hello | None, seconds: float) -> None:
        check_socket(path)
        self._number = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sendall = self._socket.sendall
        self._recv = self._socket.recv
        try:
            # The kernel's timeouts keep the socket blocking: Python's own would cost one poll(2) more per call.
            limit = _TIMEVAL.pack(int(seconds), int(seconds % 1 * 1_000_000))
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            self._socket.connect(path)
            check_peer(self._socket)
            if hello is not None:
                check_protocol(self.exchange(hello, plan(Hello)))
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def shut(self) -> None:
        """End the connection from another thread: whoever waits on it gets `Broken`."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # It had ended.

    def ended(self) -> bool:
        """Whether the daemon has ended the connection, as far as is known without waiting."""
        try:
            return not self._recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def exchange(self, call: Call[Any], how: Plan) -> Any:
        """The result of one call. Raises the daemon's refusal, `Broken`, `NoReply` or `BadReply`."""
        number = self._number = self._number + 1
        self.send(request(number, call, how.head))
        while True:
            text = self.receive()
            try:
                reply = how.decode(text)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
                # Several lines at once are no fault: the daemon may have something to notify.
                reply = _among(text.split(b"\n")[:-1], call, how, fault)
            if reply.id == number and reply.error is None and reply.result is not msgspec.UNSET:
                return reply.result
            if reply.error is not None and reply.id in (number, None):
                raise from_wire(reply.error)
            if reply.id is not None:
                raise BadReply(f"what came is no reply to {call.method}")

    def send(self, line: bytes) -> None:
        """Send all of a request; one that could not be sent whole is not carried out. Raises `Broken` or `NoReply`."""
        try:
            self._sendall(line)
        except BlockingIOError:
            raise NoReply("the daemon takes no more requests") from None
        except OSError as fault:
            raise Broken(fault.strerror, sent=False) from None

    def receive(self) -> bytes:
        """At least one whole line, with its end. Raises `Broken`, `NoReply`, or `BadReply` for more than 64 MiB."""
        chunk = self.chunk()
        if chunk.endswith(b"\n"):
            return chunk
        parts, size = [chunk], len(chunk)
        while not chunk.endswith(b"\n"):
            chunk = self.chunk()
            parts.append(chunk)
            size += len(chunk)
            if size > REPLY_BYTES:
                raise BadReply(f"the daemon's reply is longer than {REPLY_BYTES} bytes")
        return b"".join(parts)

    def chunk(self) -> bytes:
        """Whatever has come, at least one byte. Raises `Broken` or `NoReply`."""
        try:
            chunk = self._recv(_CHUNK)
        except BlockingIOError:
            raise NoReply("the daemon did not answer in time") from None
        except OSError as fault:
            raise Broken(fault.strerror) from None
        if not chunk:
            raise Broken("the daemon closed the connection")
        return chunk

    def pipeline(self, calls: Iterable[Ticket], seconds: float) -> None:
        """Send the calls in order, without waiting for each reply, and settle each. Raises as `exchange` does.

        Replies are read while requests are sent, so that neither side waits for the other with full buffers.
        """
        _Pipeline(self, self._socket, deque(calls), seconds).run()

    def next_number(self) -> int:
        """An id that was not used on this connection."""
        self._number += 1
        return self._number


def _among(lines: list[bytes], call: Call[Any], how: Plan, fault: Exception) -> Reply[Any]:
    """The reply among several lines, or the last notification. Raises `BadReply`."""
    if len(lines) < 2:
        raise unexpected(type(call), fault) from None
    try:
        replies = [how.decode(line) for line in lines]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as unknown:
        raise unexpected(type(call), unknown) from None
    return next((reply for reply in replies if reply.id is not None or reply.error is not None), replies[-1])


class _Pipeline:
    """One run of `Link.pipeline`: what is still to send, what is being sent, and what waits for a reply."""

    def __init__(self, link: Link, connection: socket.socket, waiting: deque[Ticket], seconds: float) -> None:
        self._link = link
        self._socket = connection
        self._waiting = waiting
        self._timeout = int(seconds * 1000) or None
        self._out = memoryview(b"")
        self._asked: dict[int, Ticket] = {}
        self._splitter = Splitter(REPLY_BYTES)

    def run(self) -> None:
        poll = select.poll()
        while self._waiting or self._asked:
            self._fill()
            poll.register(self._socket, select.POLLIN | (select.POLLOUT if self._out else 0))
            ready = poll.poll(self._timeout)
            if not ready:
                raise NoReply("the daemon did not answer in time")
            events = ready[0][1]
            # Replies go first: they may tell why the other side takes no more.
            if events & (select.POLLIN | select.POLLHUP | select.POLLERR):
                self._read()
            elif events & select.POLLOUT:
                self._write()

    def _fill(self) -> None:
        lines: list[bytes] = []
        size = len(self._out)
        while self._waiting and size < _CHUNK and len(self._asked) < WINDOW:
            ticket = self._waiting.popleft()
            number = self._link.next_number()
            try:
                line = request(number, ticket.call, ticket.plan.head)
            except TooLarge as refusal:
                ticket.settle(refusal)
                continue
            ticket.sent = True
            ticket.size = len(line)
            self._asked[number] = ticket
            lines.append(line)
            size += len(line)
        if lines:
            self._out = memoryview(b"".join((self._out, *lines)))

    def _write(self) -> None:
        try:
            self._out = self._out[self._socket.send(self._out, socket.MSG_DONTWAIT) :]
        except BlockingIOError:
            return
        except OSError as fault:
            raise Broken(fault.strerror) from None

    def _read(self) -> None:
        try:
            chunk = self._socket.recv(_CHUNK, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError as fault:
            raise Broken(fault.strerror) from None
        if not chunk:
            raise Broken("the daemon closed the connection")
        for line in self._splitter.feed(chunk):
            if line is None:
                raise BadReply(f"the daemon's reply is longer than {REPLY_BYTES} bytes")
            try:
                message = decode_incoming(line)
            except ParseError as fault:
                raise BadReply(fault.message) from None
            if not take(message, self._asked):
                raise BadReply("a reply came to a request that was not made")


T = TypeVar("T", bound=Ticket)


def take(message: Incoming, waiting: dict[int, T]) -> bool:
    """Settle the call, of those that wait, that a message answers; False where none of them is meant.

    Raises a refusal that is about the connection as a whole.
    """
    if message.method:
        if message.method == "$/progress":
            _take_progress(message, waiting)
        return True
    if message.id is None and message.error is not None:
        _take_nameless(from_wire(message.error), waiting)
        return True
    ticket = waiting.pop(message.id, None) if isinstance(message.id, int) else None
    if ticket is None:
        return False
    ticket.settle(outcome(ticket, message))
    return True


def _take_progress(message: Incoming, waiting: dict[int, T]) -> None:
    try:
        told = _decode_told(message.params)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return  # Of a form that this client doesn't know: it does without.
    ticket = waiting.get(told.id)
    if ticket is not None:
        ticket.tell(told)


def _take_nameless(refusal: KeptError, waiting: dict[int, T]) -> None:
    # The daemon read no id where the line was longer than its own limit: that is the longest of those that wait.
    if not isinstance(refusal, TooLarge) or not waiting:
        raise refusal
    longest = max(waiting, key=lambda number: waiting[number].size)
    waiting.pop(longest).settle(refusal)


def outcome(ticket: Ticket, message: Incoming) -> Any:
    """The result in a reply, or the daemon's refusal, or a `BadReply`."""
    if message.error is not None:
        return from_wire(message.error)
    if not bytes(message.result):
        return BadReply(f"the reply to {ticket.call.method} has neither result nor error")
    try:
        return ticket.plan.decode_result(message.result)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        return unexpected(type(ticket.call), fault)
