"""The asynchronous client, on asyncio and trio: concurrent calls over one connection, and subscriptions.

Owns what `kept.client` owns for blocking programs: reads, and writes under the same idempotency key, are repeated
until a deadline when the connection is lost. Each call repeats its own request; whoever comes first connects again for
all, and enters again the sessions that the connection before was attached to. Calls that are made one after another
are applied in that order; of calls made at the same time, the order is open.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
from anyio.abc import TaskGroup

from .calls import Plan, check_protocol, plan, request, with_key
from .channel import Channel, open_stream
from .faults import ConnectionLost, NoDaemon
from .held import Held
from .holder import elsewhere
from .link import Broken, Follow
from .paths import Paths
from .patience import Patience
from .settings import DEFAULTS, Settings
from .subscription import Follower
from .wire import Call
from .wire.daemon import Hello
from .wire.errors import Busy, KeptError, StorageFailed
from .wire.event import Event, Lost

R = TypeVar("R")


class AsyncClient:
    """A connection to the owner's daemon that mends itself: `async with kept.connect_async() as client`.

    Every method may raise a daemon's refusal (`kept.wire.errors`), a `kept.faults.Fault`, or `kept.trust.Untrusted`.
    """

    def __init__(self, paths: Paths, hello: Hello | None = None, settings: Settings = DEFAULTS) -> None:
        self.paths = paths
        self._hello = hello
        self._settings = settings
        self._tasks: TaskGroup | None = None
        self._channel: Channel | None = None
        self._connecting = anyio.Lock()
        self._held = Held(settings.on_let_go)

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        try:
            await self._open(Patience(self._settings.patience, await_daemon=self._settings.start))
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def _end(self) -> None:
        self._held.clear()
        # The group is told of no exception, so that the caller's own arrives as it is and not inside a group.
        tasks, self._tasks = self._tasks, None
        if tasks is not None:
            tasks.cancel_scope.cancel()
            await tasks.__aexit__(None, None, None)

    async def call(self, call: Call[R], *, progress: Follow | None = None) -> R:
        """The result of a call. A write without an idempotency key gets one. Cancelling tells the daemon.

        `progress` is called, in this task, when the daemon tells how far the call is; where it tells faster than this
        task runs, with the latest only. What it raises cancels the call.
        """
        call = with_key(call)
        how = plan(type(call))
        patience = self.patience()
        while True:
            channel = await self._open(patience)
            try:
                result: R = await self._exchange(channel, call, how, progress)
            except Broken as lost:
                if not how.repeatable and lost.sent:
                    raise ConnectionLost(
                        f"the connection ended before the reply to {call.method}; it may have been done"
                    ) from None
                await self.pause(patience, lost)
            except (Busy, StorageFailed) as refusal:
                await _wait(patience, refusal)
            else:
                return result

    async def _exchange(self, channel: Channel, call: Call[Any], how: Plan, progress: Follow | None = None) -> Any:
        number = channel.next_number()
        line = request(number, call, how.head)
        return await channel.exchange(number, line, call, how, self._settings.reply_seconds, progress)

    @asynccontextmanager
    async def subscribe(
        self, topics: Iterable[str] | None = None, since: int | None = None
    ) -> AsyncIterator[AsyncSubscription]:
        """The changes from after `since`, or from now on: `async with client.subscribe() as changes: async for ...`.

        It has a connection of its own, so that a slow reader holds up no call.
        """
        subscription = AsyncSubscription(self, None if topics is None else tuple(topics), since)
        try:
            await subscription.resume()
            yield subscription
        finally:
            await subscription.close()

    async def _open(self, patience: Patience) -> Channel:
        """The connection, or a new one where it is broken."""
        async with self._connecting:
            while self._channel is None or self._channel.broken:
                try:
                    self._channel = await self._introduced(patience)
                except Broken as lost:
                    await self.pause(patience, lost)
                except Busy as refusal:
                    await _wait(patience, refusal)
            return self._channel

    async def _introduced(self, patience: Patience) -> Channel:
        """A new connection that knows who calls, and holds what the one before held. Raises `Broken`, as `connect`,
        and the refusal of the hello."""
        if self._tasks is None:
            raise RuntimeError("the client is used outside of its `async with`")
        channel = Channel(await self.connect(patience), self._held)
        self._tasks.start_soon(channel.run)
        try:
            if self._hello is not None:
                check_protocol(await self._exchange(channel, self._hello, plan(Hello)))
            for call in self._held.calls():
                await self._hold_again(channel, call)
        except BaseException:
            await channel.close()
            raise
        return channel

    async def _hold_again(self, channel: Channel, call: Call[Any]) -> None:
        try:
            await self._exchange(channel, call, plan(type(call)))
        except Busy:
            raise
        except KeptError as refusal:
            self._held.refuse(call, refusal)

    async def connect(self, patience: Patience) -> anyio.abc.UNIXSocketStream:
        """A new connected stream, as soon as there is somebody to connect to."""
        while True:
            try:
                return await self._reach()
            except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
                nobody = NoDaemon(f"no daemon answers at {self.paths.socket}; start it with: kept daemon start")
            except OSError as fault:
                raise NoDaemon(f"{self.paths.socket} can't be connected to: {fault.strerror}") from None
            if self._settings.start:
                await self._start_daemon(patience)
            pause = patience.pause()
            if pause is None:
                raise nobody
            await anyio.sleep(pause)

    async def _reach(self) -> anyio.abc.UNIXSocketStream:
        try:
            return await open_stream(self.paths.socket)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            other = elsewhere(self.paths, self._settings.environ)
            if other is None:
                raise
            return await open_stream(other)

    async def _start_daemon(self, patience: Patience) -> None:
        from .start import start  # noqa: PLC0415 - only where no daemon runs, which is rare

        # Not abandoned when cancelled: it holds the lock, and ends within its own deadline.
        await anyio.to_thread.run_sync(start, self.paths, max(patience.left, 0.1), self._settings.environ)

    def patience(self) -> Patience:
        """What one call may take, as of now."""
        return Patience(self._settings.patience)

    async def pause(self, patience: Patience, lost: Broken) -> None:
        """Wait before the next try. Raises `NoDaemon` where there is no time for one."""
        pause = patience.pause()
        if pause is None:
            raise NoDaemon(f"the connection to the daemon was lost again and again: {lost}") from None
        await anyio.sleep(pause)


class AsyncSubscription:
    """An endless asynchronous iterator of `Event` and `Lost`. Ends when it is closed.

    Raises, from the iteration, `NoDaemon` where no connection is had for the client's patience, and the daemon's
    refusal.
    """

    def __init__(self, client: AsyncClient, topics: tuple[str, ...] | None, since: int | None) -> None:
        self._client = client
        self._follower = Follower(topics, since)
        self._stream: anyio.abc.UNIXSocketStream | None = None
        self._closed = False
        self._resuming = anyio.CancelScope()

    @property
    def seq(self) -> int:
        """The place in the log after which the next change is looked for: where to resume in another process."""
        return self._follower.seq or 0

    def __aiter__(self) -> AsyncSubscription:
        return self

    async def __anext__(self) -> Event | Lost:
        while not self._follower.ready:
            if self._closed or self._stream is None:
                raise StopAsyncIteration
            try:
                self._follower.feed(await self._stream.receive())
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                await self._stream.aclose()
                await self.resume()
            except anyio.ClosedResourceError:
                raise StopAsyncIteration from None
        return self._follower.ready.popleft()

    async def close(self) -> None:
        """End it; an iteration that waits in another task ends too."""
        self._closed = True
        self._resuming.cancel()
        if self._stream is not None:
            await anyio.aclose_forcefully(self._stream)

    async def resume(self) -> None:
        """Subscribe, on a new connection, from the place that was reached; unless it is closed meanwhile."""
        patience = self._client.patience()
        with anyio.CancelScope() as self._resuming:
            while not self._closed:
                self._stream = await self._client.connect(patience)
                try:
                    await self._ask(self._stream)
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    await self._stream.aclose()
                    await self._client.pause(patience, Broken("the daemon closed the connection", sent=False))
                except Busy as refusal:
                    await self._stream.aclose()
                    await _wait(patience, refusal)
                except anyio.ClosedResourceError:
                    break
                else:
                    break
        if self._closed and self._stream is not None:
            # It was closed when this stream could not be seen yet.
            await anyio.aclose_forcefully(self._stream)

    async def _ask(self, stream: anyio.abc.UNIXSocketStream) -> None:
        await stream.send(self._follower.ask())
        while not self._follower.begun:
            self._follower.feed(await stream.receive())


async def _wait(patience: Patience, refusal: KeptError) -> None:
    """Wait until it is of use to repeat what was refused so, or raise the refusal."""
    pause = patience.after(refusal)
    if pause is None:
        raise refusal
    await anyio.sleep(pause)
