"""The supervisor: what starts and stops in which order, and the one list of all domains.

Start: folders, lock, database, dispatcher, socket, tasks. Stop, in reverse: no new connection, what is in flight is
answered, connections end, the log of the database is moved into it, the lock is let go.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import anyio
import structlog

from kept.paths import Paths
from kept.wire import PROTOCOL_VERSION, Actor
from kept.wire.catalog import calls
from kept.wire.daemon import DaemonStatus, Reloaded, Storage
from kept.wire.errors import InvalidParams

from . import VERSION, component, config, context, control, events, home, journal, log, memory
from .bus import Bus
from .clock import Clock, SystemClock, to_time
from .config import Config, ConfigError
from .context.mirror import Mirror
from .domain import Domain, SelfReport
from .housekeeping import RECEIPTS, keep_house
from .rpc.dispatch import Dispatcher
from .rpc.listen import listen
from .rpc.methods import check
from .rpc.server import Server
from .store import Store, changes

DOMAINS: tuple[Domain, ...] = (
    memory.DOMAIN,
    journal.DOMAIN,
    component.DOMAIN,
    context.DOMAIN,
    events.DOMAIN,
    control.DOMAIN,
)

DRAIN_SECONDS = 10
"""How long a stop waits for clients to take their last replies."""

HOME_SECONDS = 3.0
"""How often a look is taken whether the home and the socket are still one's own."""

MIRROR_SECONDS = 5
"""How long a stop waits for the mirror."""

logger = structlog.get_logger(__name__)


class Broken(Exception):
    """A thread of the store met what nobody foresaw; everything else was ended in order. The log says where."""


class Supervisor:
    """One run of the daemon."""

    def __init__(
        self,
        paths: Paths,
        settings: Config,
        load: Callable[[], Config],
        clock: Clock | None = None,
        ready: Callable[[], None] = lambda: None,
    ) -> None:
        """`load` reads the settings again, for a reload; `ready` is called when the socket answers."""
        self._paths = paths
        self._config = settings
        self._load = load
        self._clock = clock or SystemClock()
        self._ready = ready
        self._actor = Actor(client="keptd", uid=os.getuid(), pid=os.getpid(), version=VERSION)
        self._started_at = 0
        self._started = 0.0

    async def run(self) -> None:
        """Serve until `stop`, SIGTERM or SIGINT. Raises what makes a start impossible, and `Broken`."""
        self._stopping = anyio.Event()
        handlers = check(calls(), [handler for domain in DOMAINS for handler in domain.handlers])
        home.prepare(self._paths)
        self._lock = home.HomeLock(self._paths.data_dir, self._paths.socket)
        try:
            self._started_at, self._started = self._clock.now(), self._clock.monotonic()
            self._bus = Bus()
            self._store = Store(
                Path(self._paths.database),
                [(domain.name, domain.migrations) for domain in DOMAINS],
                self._config.storage,
                self._clock,
                self._bus.advance,
            )
            try:
                self._bus.advance(changes.last_seq(self._store.inline))
                self._dispatcher = Dispatcher(
                    handlers,
                    self._store,
                    self._bus,
                    self._clock,
                    self._config,
                    self,
                    self.self_reports,
                    [sweep.name for domain in DOMAINS for sweep in domain.sweeps],
                )
                await self._serve()
            finally:
                self._store.close()
        finally:
            self._lock.release()
        logger.info("stopped")
        if self._store.mistake is not None:
            raise Broken("a thread of the daemon failed, so it has ended; the log says where")

    async def _serve(self) -> None:
        listener = listen(Path(self._paths.socket))
        self._socket = home.identity(Path(self._paths.socket))
        self._server = Server(listener, self._dispatcher, os.geteuid())
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._store.completions.deliver)
                tasks.start_soon(self._store.maintain)
                tasks.start_soon(self._heed_signals)
                tasks.start_soon(self._heed_death)
                tasks.start_soon(self._heed_removal)
                mirror = self._following = self._mirror()
                tasks.start_soon(mirror.follow)
                sweeps = [RECEIPTS, *(sweep for domain in DOMAINS for sweep in domain.sweeps)]
                tasks.start_soon(keep_house, self._store, self._clock, lambda: self._config, sweeps, self._actor)
                tasks.start_soon(self._server.serve)
                logger.info("ready", pid=os.getpid(), version=VERSION, last_seq=self._bus.seq)
                self._ready()
                await self._stopping.wait()
                await self._drain()
                # Before what may take its time: who comes now starts another daemon, or waits for one.
                self._close(listener)
                with anyio.move_on_after(MIRROR_SECONDS):
                    await mirror.catch_up()
                tasks.cancel_scope.cancel()
        finally:
            self._close(listener)

    def _close(self, listener: socket.socket) -> None:
        if listener.fileno() < 0:
            return
        # Compared while it is open, since then no other file can have its inode.
        if home.is_at(Path(self._paths.socket), self._socket):
            with suppress(FileNotFoundError):
                os.unlink(self._paths.socket)
        listener.close()

    async def _drain(self) -> None:
        logger.info("stopping", connections=len(self._server.peers))
        self._server.drain()
        with anyio.move_on_after(DRAIN_SECONDS):
            await self._server.ended.wait()
        self._server.cut_off()
        await self._server.ended.wait()

    async def _heed_death(self) -> None:
        """A store that can only refuse is of no use: the next daemon begins anew."""
        await self._store.dead.wait()
        logger.critical("a thread of the store died", exc_info=self._store.mistake)
        self.stop()

    async def _heed_removal(self) -> None:
        """A daemon whose home or socket was removed can't be reached any more, and another may begin in its place."""
        while not self._stopping.is_set():
            if not (self._lock.in_place() and home.is_at(Path(self._paths.socket), self._socket)):
                logger.warning("ending, since the home or the socket was removed", home=self._paths.data_dir)
                self.stop()
            await anyio.sleep(HOME_SECONDS)

    async def _heed_signals(self) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async for number in signals:
                if number != signal.SIGHUP:
                    self.stop()
                    return
                try:
                    self.reload()
                except InvalidParams as refusal:
                    logger.warning("reload refused", reason=refusal.message)

    def stop(self) -> None:
        """Begin to end."""
        self._stopping.set()

    def reload(self) -> Reloaded:
        """Read the settings again. Raises `InvalidParams` where they are wrong; those in force stay."""
        try:
            found = self._load()
        except ConfigError as wrong:
            raise InvalidParams(
                f"the settings are wrong, and those in force stay: {wrong}", hint="Correct it, and reload again."
            ) from None
        applied, waiting = config.changes(self._config, found)
        self._config = config.apply(self._config, found)
        self._dispatcher.configure(self._config, self._server.peers)
        log.configure(self._config.log, self._paths)
        self._following.reload()
        logger.info("reloaded", applied=list(applied), needs_restart=list(waiting))
        return Reloaded(applied=applied, needs_restart=waiting)

    def status(self) -> DaemonStatus:
        """How the daemon and its storage are."""
        peers = self._server.peers
        return DaemonStatus(
            version=VERSION,
            protocol=PROTOCOL_VERSION,
            pid=os.getpid(),
            home=self._paths.data_dir,
            socket=self._paths.socket,
            started_at=to_time(self._started_at),
            uptime_seconds=int(self._clock.monotonic() - self._started),
            connections=len(peers),
            subscriptions=sum(len(peer.subscriptions) for peer in peers),
            requests=self._dispatcher.requests,
            refused=self._dispatcher.refused,
            storage=self._storage(),
        )

    def _storage(self) -> Storage:
        stats = self._store.writer.stats
        room = os.statvfs(self._paths.data_dir)
        return Storage(
            state=stats.state,
            detail=stats.detail,
            database_bytes=_size(self._paths.database),
            wal_bytes=_size(f"{self._paths.database}-wal"),
            free_bytes=room.f_bavail * room.f_frsize,
            last_seq=self._bus.seq,
            commits=stats.commits,
            writes=stats.writes,
            largest_batch=stats.largest_batch,
            queued=self._store.writer.queued(),
        )

    def self_reports(self) -> Sequence[SelfReport]:
        """The daemon's own components."""
        return (self._store.report(),)

    def _mirror(self) -> Mirror:
        return Mirror(
            Path(self._paths.data_dir),
            self._store,
            self._bus,
            self._clock,
            lambda: self._config,
            self.self_reports,
            self._actor,
            self._lock.in_place,
        )


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
