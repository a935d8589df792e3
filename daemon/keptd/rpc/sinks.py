"""Where replies, and what is told before them, go: to a peer, into the reply to a batch, or to somebody inside the
daemon."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Protocol

import anyio

from kept.frames import RequestId
from kept.wire import Progress

from ..domain import Tell, to_nobody
from .peer import Peer


class Sink(Protocol):
    """Where a reply goes: a peer, a batch in the making, or whoever asked inside the daemon."""

    def fits(self, size: int) -> bool:
        """Whether it can take that many bytes more."""
        ...

    def send(self, line: bytes) -> None:
        """Take a reply, without its end of line."""
        ...

    def tell(self, request_id: RequestId, progress: Progress) -> None:
        """Take how far the request is, before its reply; on the loop."""
        ...


class BatchReply:
    """Gathers the replies of a batch into one array, bounded like anything else that waits for a peer."""

    def __init__(self, peer: Peer, expected: int) -> None:
        self._peer = peer
        self._missing = expected
        self._replies: list[bytes] = []
        self._size = 0

    def fits(self, size: int) -> bool:
        """Whether the peer could take the array with this reply."""
        return self._peer.fits(size)

    def send(self, line: bytes) -> None:
        """Take one reply; the last one sends them all."""
        self._size += len(line)
        self._peer.held += len(line)
        self._replies.append(line)
        self._missing -= 1
        if not self._missing:
            self._peer.held -= self._size
            self._peer.send(b"[" + b",".join(self._replies) + b"]")

    def tell(self, request_id: RequestId, progress: Progress) -> None:
        """Progress waits for no other member of the batch."""
        self._peer.tell(request_id, progress)


class Reply:
    """One reply for a thread inside the daemon that waits for it; progress goes to `tell`."""

    def __init__(self, tell: Tell = to_nobody) -> None:
        self._given: Future[bytes] = Future()
        self._tell = tell

    def tell(self, _request_id: RequestId, progress: Progress) -> None:
        """Pass progress on; on the loop."""
        self._tell(progress.done, progress.total, progress.text)

    def fits(self, _size: int) -> bool:
        """Always."""
        return True

    def send(self, line: bytes) -> None:
        """Take the reply; on the loop."""
        self._given.set_result(line)

    def wait(self) -> bytes:
        """The reply, when it is there; on the thread."""
        return self._given.result()


class AwaitedReply:
    """One reply for somebody on the loop who waits for it; progress goes to `tell`."""

    def __init__(self, tell: Tell = to_nobody) -> None:
        self._tell = tell
        self._given = anyio.Event()
        self._line = b""

    def tell(self, _request_id: RequestId, progress: Progress) -> None:
        """Pass progress on."""
        self._tell(progress.done, progress.total, progress.text)

    def fits(self, _size: int) -> bool:
        """Always."""
        return True

    def send(self, line: bytes) -> None:
        """Take the reply."""
        self._line = line
        self._given.set()

    async def wait(self) -> bytes:
        """The reply, when it is there."""
        await self._given.wait()
        return self._line
