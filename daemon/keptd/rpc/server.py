"""The server: a listening Unix socket, its connections, and the bytes in and out. Knows no method.

- Whole chunks are cut into messages, and all replies that are ready leave in one write.
- A peer that does not read is not read from either: what waits for it is bounded, and nobody else notices.
- Only the owner's uid gets in. Past the limit of connections a caller is told so and let go.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
from contextlib import suppress

import anyio
import structlog
from anyio.abc import TaskGroup

from kept.frames import Splitter, encode_failure
from kept.wire.errors import Busy, Denied

from ..clock import Clock
from ..store.unforeseen import unforeseen
from .dispatch import RETRY_AFTER_MS, Dispatcher
from .peer import HIGH_WATER, Peer
from .readiness import Readiness, watch

log = structlog.get_logger(__name__)

_CHUNK = 64 * 1024
_LARGE = 64 * 1024
"""Messages above this are decoded in a thread, so that the loop serves others meanwhile."""

_PAUSE_SECONDS = 0.1

_CREDENTIALS = struct.Struct("3i")
_OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)


class Server:
    """Accepts on a bound, listening, non-blocking socket."""

    def __init__(self, listener: socket.socket, dispatcher: Dispatcher, owner: int, clock: Clock) -> None:
        self.peers: dict[Peer, socket.socket] = {}
        self._clock = clock
        self._received_bytes = 0
        self._sent_bytes = 0
        """Of the connections that have ended."""
        self._listener = listener
        self._dispatcher = dispatcher
        self._owner = owner
        self._accepted = 0
        self._serving = anyio.CancelScope()
        self._accepting = anyio.CancelScope()
        self._moving = anyio.CancelScope()
        self._former: list[socket.socket] = []
        """Listeners that were moved from."""
        self._draining = False
        self._ready: list[Peer] = []
        self._some_ready = anyio.Event()
        self.ended = anyio.Event()

    async def serve(self) -> None:
        """Accept until `drain` is called, then return when the last connection has ended; cancelling cuts them off."""
        with self._serving:
            async with anyio.create_task_group() as sending:
                sending.start_soon(self._send_ready)
                async with anyio.create_task_group() as tasks:
                    with self._accepting:
                        while True:
                            with self._moving:
                                await self._admit_from(tasks)
                            self._moving = anyio.CancelScope()
                            await self._leave_former(tasks)
                sending.cancel_scope.cancel()
        self.ended.set()

    def move(self, listener: socket.socket) -> None:
        """Accept on another listener from now on. Who has connected to the former is served; then that is closed."""
        self._former.append(self._listener)
        self._listener = listener
        self._moving.cancel()

    @property
    def received_bytes(self) -> int:
        """What has come since the start, over all connections."""
        return self._received_bytes + sum(peer.received_bytes for peer in self.peers)

    @property
    def sent_bytes(self) -> int:
        """What has left since the start, over all connections."""
        return self._sent_bytes + sum(peer.sent_bytes for peer in self.peers)

    def leave_waiting(self) -> None:
        """Accept nobody any more: who connects waits for the next daemon, which gets the same listener."""
        self._accepting.cancel()

    def tell_all(self, notification: bytes) -> None:
        """Send each peer a notification, but for those for whom too much waits already."""
        for peer in self.peers:
            if peer.fits(len(notification)):
                peer.send(notification)

    def drain(self) -> None:
        """Begin to end: what has come so far is answered, then each connection ends. Who comes now is turned away."""
        self._draining = True
        for connection in self.peers.values():
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RD)
        self._end_if_drained()

    def cut_off(self) -> None:
        """End the connections that are left, whatever waits for them."""
        self._serving.cancel()

    def _end_if_drained(self) -> None:
        if self._draining and not self.peers:
            self._accepting.cancel()

    async def _admit_from(self, tasks: TaskGroup) -> None:
        while True:
            await anyio.wait_readable(self._listener)
            if connection := await self._accept(self._listener):
                self._admit(tasks, connection)

    async def _leave_former(self, tasks: TaskGroup) -> None:
        while self._former:
            with self._former.pop() as former:
                while connection := await self._accept(former):
                    self._admit(tasks, connection)

    async def _accept(self, listener: socket.socket) -> socket.socket | None:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return None
        except OSError as fault:
            if fault.errno not in _OUT_OF_DESCRIPTORS:
                raise
            # The caller waits in the backlog until a descriptor is free.
            log.warning("cannot accept", error=errno.errorcode[fault.errno])
            await anyio.sleep(_PAUSE_SECONDS)
            return None
        connection.setblocking(False)
        return connection

    def _admit(self, tasks: TaskGroup, connection: socket.socket) -> None:
        pid, uid, _ = _CREDENTIALS.unpack(
            connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )
        limits = self._dispatcher.config.limits
        if uid != self._owner:
            log.warning("refused another user", uid=uid)
            _turn_away(connection, encode_failure(None, Denied("this daemon serves its owner only")))
        elif self._draining:
            ending = Busy(
                "the daemon is stopping",
                hint="Nothing was done. Try again in a moment; the next call may start it anew.",
                retry_after_ms=RETRY_AFTER_MS,
            )
            _turn_away(connection, encode_failure(None, ending))
        elif len(self.peers) >= limits.connections:
            full = Busy(
                f"{limits.connections} connections are open",
                hint="Close one, or raise limits.connections.",
                retry_after_ms=RETRY_AFTER_MS,
                limit=limits.connections,
            )
            _turn_away(connection, encode_failure(None, full))
        else:
            self._accepted += 1
            peer = Peer(self._accepted, uid, pid, limits.queued_bytes, self._announce, self._clock.now())
            self.peers[peer] = connection
            tasks.start_soon(self._serve_peer, peer, connection)

    async def _serve_peer(self, peer: Peer, connection: socket.socket) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                peer.spawn = tasks.start_soon
                tasks.start_soon(self._send_all, peer, connection)
                try:
                    await self._receive_all(peer, connection)
                    for following in peer.subscriptions.values():
                        following.cancel()
                    await peer.idle()
                finally:
                    # Before its tasks are waited for: one of them may wait for a thread that waits for a read.
                    self._dispatcher.abandon(peer)
                tasks.cancel_scope.cancel()
        except Exception as mistake:  # noqa: BLE001 - what one connection meets must not end the others.
            unforeseen("connection", mistake)
        finally:
            peer.close()
            try:
                # Before it counts as gone: whoever comes in its place is not let in to fill a queue of endings.
                await peer.endings.run()
            finally:
                self.peers.pop(peer, None)
                self._received_bytes += peer.received_bytes
                self._sent_bytes += peer.sent_bytes
                self._end_if_drained()
                connection.close()

    async def _receive_all(self, peer: Peer, connection: socket.socket) -> None:
        """Read until the peer ends its side."""
        splitter = Splitter(self._dispatcher.config.limits.message_bytes)
        readable = watch(connection)
        try:
            while chunk := await _receive(readable, connection):
                peer.corked = True
                peer.received_bytes += len(chunk)
                for line in splitter.feed(chunk):
                    await self._take(peer, line)
                # What waits for the next request holds on to none of the last: there may have been a password in it.
                line, chunk = None, b""
                if peer.outbox:
                    _send(peer, connection)
                peer.uncork()
            if _is_gone(connection):
                peer.close()
        except OSError:
            peer.close()
        finally:
            readable.close()

    async def _take(self, peer: Peer, line: bytes | None) -> None:
        dispatcher = self._dispatcher
        if line is None:
            dispatcher.refuse_line(peer)
        elif len(line) < _LARGE:
            dispatcher.execute(peer, dispatcher.prepare(line))
        else:
            peer.uncork()
            dispatcher.execute(peer, await anyio.to_thread.run_sync(dispatcher.prepare, line))
        if len(peer.outbox) > HIGH_WATER:
            peer.uncork()
            await peer.drained()

    def _announce(self, peer: Peer) -> None:
        self._ready.append(peer)
        self._some_ready.set()

    async def _send_ready(self) -> None:
        """Send what is answered later. A commit answers many peers; waking a task for each costs more than sending."""
        while True:
            await self._some_ready.wait()
            self._some_ready = anyio.Event()
            ready, self._ready = self._ready, []
            for peer in ready:
                peer.announced = False
                connection = self.peers.get(peer)
                if connection is None or peer.corked or not peer.outbox:
                    continue
                _send(peer, connection)
                peer.uncork()

    async def _send_all(self, peer: Peer, connection: socket.socket) -> None:
        """Send what could not be sent at once."""
        while True:
            await peer.filled()
            if not _send(peer, connection):
                try:
                    await anyio.wait_writable(connection)
                except OSError:
                    peer.close()
            if peer.closed:
                return


async def _receive(readable: Readiness, connection: socket.socket) -> bytes:
    """The next bytes; none at the end. Lets the loop serve others first, so that no peer can keep it to itself."""
    while True:
        await readable.wait()
        try:
            return connection.recv(_CHUNK)
        except BlockingIOError:
            continue


def _send(peer: Peer, connection: socket.socket) -> bool:
    """Send as much as the socket takes; False where it took nothing."""
    try:
        count = connection.send(peer.outbox)
    except BlockingIOError:
        return False
    except OSError:
        peer.close()
        return False
    peer.sent(count)
    return True


def _is_gone(connection: socket.socket) -> bool:
    """Whether the peer has ended both sides, so that nobody reads any more; not where it has only asked everything."""
    poll = select.poll()
    poll.register(connection, 0)
    return any(found & select.POLLHUP for _, found in poll.poll(0))


def _turn_away(connection: socket.socket, reply: bytes) -> None:
    with connection, suppress(OSError):
        connection.send(reply + b"\n")
