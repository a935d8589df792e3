"""The supervisor: what starts and stops in which order, and the one list of all domains.

Start: folders, lock, recovery, database, dispatcher, socket, tasks. Stop: the jobs are interrupted, no new connection,
what is in flight is answered, connections end, the log of the database is moved into it, the lock is let go. Where a
request meets damage, the daemon stops like that, but leaves the database as it is for the next start to recover (see
`recovery`).
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import anyio
import structlog

from kept.frames import encode_notification
from kept.paths import Paths
from kept.wire import PROTOCOL_VERSION, Actor
from kept.wire.catalog import calls
from kept.wire.daemon import GOING_AWAY, DaemonStatus, GoingAway, Reloaded, Storage
from kept.wire.errors import Conflict, InvalidParams

from . import (
    VERSION,
    backups,
    component,
    config,
    context,
    control,
    data,
    events,
    home,
    jobs,
    journal,
    log,
    maintenance,
    memory,
    recovery,
    sessions,
    standing,
    trash,
    vault,
)
from .backups.create import before_migration
from .backups.create import clear as clear_backups
from .backups.place import Place
from .backups.report import Report
from .bus import Bus
from .clock import Clock, SystemClock, to_time
from .config import Config, ConfigError
from .context.mirror import Mirror
from .domain import Domain, SelfReport
from .jobs.runner import Runner
from .notify import Service
from .recovery.copies import from_backups
from .recovery.files import Mender
from .recovery.telling import tell
from .rpc.cli import load_the_rest
from .rpc.dispatch import Dispatcher
from .rpc.door import Door
from .rpc.methods import check
from .rpc.peer import Peer
from .rpc.server import Server
from .store import OWN, Store, changes, migrations
from .store.database import FAULTS, DamagedDatabase
from .store.migrations import Migration
from .watchdog import attend

DOMAINS: tuple[Domain, ...] = (
    memory.DOMAIN,
    journal.DOMAIN,
    component.DOMAIN,
    sessions.DOMAIN,
    context.DOMAIN,
    trash.DOMAIN,
    maintenance.DOMAIN,
    data.DOMAIN,
    events.DOMAIN,
    jobs.DOMAIN,
    control.DOMAIN,
    backups.DOMAIN,
    vault.DOMAIN,
)

DRAIN_SECONDS = 10
"""How long a stop waits for clients to take their last replies."""

HOME_SECONDS = 3.0
"""How often a look is taken whether the home and the socket are still one's own."""

MIRROR_SECONDS = 5
"""How long a stop waits for the mirror."""

JOB_SECONDS = 10
"""How long a stop waits for jobs that are interrupted."""

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
        service: Service | None = None,
        listener: socket.socket | None = None,
        places: Callable[[], Paths] | None = None,
        *,
        inherited: bool = False,
    ) -> None:
        """`load` reads the settings again, for a reload; `ready` is called when the socket answers. `service` is what a
        service manager gave, and `listener` its socket at `paths.socket`, which stays there when the daemon ends;
        unless it is `inherited` from the daemon that this one takes the place of. `places` says where things are now,
        for when the socket's folder is gone; without it they stay."""
        self._paths = paths
        self._config = settings
        self._load = load
        self._clock = clock or SystemClock()
        self._ready = ready
        self._service = service or Service()
        self._notifier = self._service.notifier
        self._adopted = listener
        self._places = places or (lambda: paths)
        self._inherited = inherited
        self._restarts = False
        self.handed_on: socket.socket | None = None
        """After `run`: the socket that the daemon which takes this one's place is to listen at, where one is to."""
        self.jobs: Runner
        self._actor = Actor(client="keptd", uid=os.getuid(), pid=os.getpid(), version=VERSION)
        self._started_at = 0
        self._started = 0.0
        self._checked = threading.Event()
        """All of the database has been looked at, or need not be any more."""

    async def run(self) -> int:
        """Serve until `stop`, SIGTERM or SIGINT; gives the exit code. Raises what makes a start impossible, and
        `Broken`."""
        with ExitStack() as self._starting:
            self._starting.enter_context(self._notifier.extending())
            self._notifier.status("starting: looking at the database")
            return await self._run()

    async def _run(self) -> int:
        self._stopping = anyio.Event()
        handlers = check(calls(), [handler for domain in DOMAINS for handler in domain.handlers])
        home.prepare(self._paths)
        self._lock = await self._have_home()
        try:
            self._started_at, self._started = self._clock.now(), self._clock.monotonic()
            self._bus = Bus()
            place = Place(Path(self._paths.backups))
            clear_backups(place, self._clock, Path(self._paths.database), DOMAINS)
            rooms = [(domain.name, domain.migrations) for domain in DOMAINS]
            self._found = recovery.at_start(
                Path(self._paths.database),
                (*OWN, *rooms),
                DOMAINS,
                self._config.storage,
                self._clock,
                self._actor,
                from_backups(place, (*OWN, *rooms), self._clock),
            )
            marker = recovery.Marker(Path(self._paths.data_dir))
            try:
                self._store = self._open(rooms, place)
            except DamagedDatabase as damaged:
                if self._found.ending == "damaged":
                    raise  # All of it was looked at just now: another start would find no more.
                logger.error("stopping for a recovery", detail=str(damaged))  # noqa: TRY400 - the text says it all.
                marker.damaged()
                return recovery.DAMAGED
            try:
                marker.set()
                self._backups = Report(place, migrations.made_at(self._store.inline), self._clock)
                self._bus.advance(changes.last_seq(self._store.inline))
                declared = [job for domain in DOMAINS for job in domain.jobs]
                self.jobs = Runner(
                    declared, self._store, self._clock, lambda: self._config, self._actor, DOMAINS, self.self_reports
                )
                self._dispatcher = Dispatcher(
                    handlers,
                    self._store,
                    self._bus,
                    self._clock,
                    self._config,
                    self,
                    self.self_reports,
                    DOMAINS,
                    [job.name for job in declared],
                )
                for domain in DOMAINS:
                    if domain.at_start is not None:
                        domain.at_start(self._store)
                thorough = self._found.ending == "damaged" or self._found.recovered is not None
                self._files = Mender(place, self._store, DOMAINS, self._clock).mend(thorough=thorough)
                await self._serve()
            except FAULTS as fault:
                # Met before anything was served: what is no damage makes a start impossible.
                self._store.damage.heed(fault)
                if not self._store.damage.detail:
                    raise
            finally:
                self._store.close()
            damage = self._store.damage.detail
            if damage:
                marker.damaged()
            else:
                marker.clear()
        finally:
            self._lock.release()
        logger.info("stopped", damage=damage)
        if self._store.mistake is not None:
            raise Broken("a thread of the daemon failed, so it has ended; the log says where")
        return recovery.DAMAGED if damage else 0

    async def _have_home(self) -> home.HomeLock:
        take = partial(home.HomeLock, self._paths.data_dir, self._paths.socket, in_journal=log.under_journal())
        waiting = partial(self._notifier.status, "starting: waiting until the daemon before has ended")
        return take() if self._adopted is None else await home.in_turn(take, waiting)

    def _open(self, rooms: list[tuple[str, tuple[Migration, ...]]], place: Place) -> Store:
        return Store(
            Path(self._paths.database),
            rooms,
            self._config.storage,
            self._clock,
            self._bus.advance,
            before_migration=partial(before_migration, place, DOMAINS, (*OWN, *rooms), self._clock),
        )

    async def _serve(self) -> None:
        self._door = Door(self._paths.socket, self._adopted, inherited=self._inherited)
        self._server = Server(self._door.listener, self._dispatcher, os.geteuid(), self._clock)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._store.completions.deliver)
                await self._settle()
                tasks.start_soon(self._store.maintain)
                tasks.start_soon(self._heed_signals)
                tasks.start_soon(self._heed_death)
                tasks.start_soon(self._heed_damage)
                tasks.start_soon(self._heed_removal)
                tasks.start_soon(self._check)
                tasks.start_soon(tell, self._files, self._store, self._clock, self._actor)
                self._mirror = self._new_mirror()
                tasks.start_soon(self._mirror.follow)
                tasks.start_soon(self.jobs.run)
                for beside in filter(None, (domain.beside for domain in DOMAINS)):
                    tasks.start_soon(beside, self._store, self._clock, lambda: self._config)
                tasks.start_soon(self._server.serve)
                logger.info("ready", pid=os.getpid(), version=VERSION, last_seq=self._bus.seq)
                self._starting.close()
                self._notifier.ready(self._sentence())
                tasks.start_soon(
                    attend,
                    self._notifier,
                    self._service.watchdog_seconds,
                    self._store.writer,
                    self._clock,
                    self._sentence,
                )
                self._ready()
                tasks.start_soon(load_the_rest)
                await self._stopping.wait()
                if self._restarts or self._door.is_passed:
                    # Who connects from now on waits for the next daemon.
                    self._server.leave_waiting()
                    self._server.tell_all(encode_notification(GOING_AWAY, GoingAway(restarts=self._restarts)))
                self._notifier.stopping("stopping: answering what is in flight")
                self._checked.set()
                await self._end_jobs()
                await self._drain()
                # Before what may take its time: who comes now starts another daemon, or waits for one.
                self._leave()
                with anyio.move_on_after(MIRROR_SECONDS):
                    await self._mirror.catch_up()
                tasks.cancel_scope.cancel()
        finally:
            self._leave()

    def _leave(self) -> None:
        if self._restarts:
            self.handed_on = self._door.listener
        else:
            self._door.close()

    async def _settle(self) -> None:
        """Before anybody sees what the last run left."""
        for domain in DOMAINS:
            if domain.settle is not None:
                await domain.settle(self._store, self._clock)

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

    async def _end_jobs(self) -> None:
        """Before the clients: one of them may wait for a job."""
        self.jobs.stop()
        with anyio.move_on_after(JOB_SECONDS):
            await self.jobs.ended.wait()

    async def _heed_removal(self) -> None:
        """A daemon whose home was removed ends, since another may begin in its place. One whose socket is gone can't
        be reached any more, so it listens anew; where something else took the socket's place, it ends as well."""
        while not self._stopping.is_set():
            if not (self._lock.in_place() and (self._door.in_place() or self._move())):
                logger.warning("ending, since the home or the socket was removed", home=self._paths.data_dir)
                self.stop()
            await anyio.sleep(HOME_SECONDS)

    def _move(self) -> bool:
        """Listen where a client of this moment looks; False where that can't be."""
        moved = self._door.moved(self._places)
        if moved is None:
            return False
        self._door = moved
        self._server.move(moved.listener)
        # For those whose environment names another place, as before.
        self._lock.name(moved.path)
        return True

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

    async def _heed_damage(self) -> None:
        await self._store.damage.noticed()
        logger.error("stopping for a recovery", detail=self._store.damage.detail)
        self.stop()

    async def _check(self) -> None:
        """Beside serving, look at what the start has not looked at."""
        if not self._found.is_checked:
            database = Path(self._paths.database)
            try:
                damage = await anyio.to_thread.run_sync(recovery.examine_whole, database, self._checked.is_set)
            except FAULTS as fault:
                logger.warning("the check could not be made", fault=type(fault).__name__)
                return
            if damage is not None:
                self._store.damage.found(damage)
        self._checked.set()

    def stop(self) -> None:
        """Begin to end."""
        self._stopping.set()

    def restart(self) -> None:
        """Begin to end, for another daemon to take this one's place in the same process, behind the same socket.

        Raises `Conflict` where a service manager has to do that, and `InvalidParams` for settings with which no daemon
        would start.
        """
        if self._notifier.is_heard:
            raise Conflict(
                "a service manager runs this daemon, and starts it anew by itself",
                hint="systemctl --user restart keptd, or whatever your manager has for that.",
            )
        self._read_settings()
        self._restarts = True
        self.stop()

    def unapplied(self) -> tuple[str, ...]:
        """The settings that are given otherwise than they are in force. Raises `InvalidParams` where they are wrong."""
        applicable, waiting = config.changes(self._config, self._read_settings())
        return (*applicable, *waiting)

    def _read_settings(self) -> Config:
        try:
            return self._load()
        except ConfigError as wrong:
            raise InvalidParams(
                f"the settings are wrong, and those in force stay: {wrong}", hint="Correct it, and reload again."
            ) from None

    def reload(self) -> Reloaded:
        """Read the settings again. Raises `InvalidParams` where they are wrong; those in force stay."""
        self._notifier.reloading()
        try:
            return self._reload()
        finally:
            self._notifier.ready(self._sentence())

    def _reload(self) -> Reloaded:
        found = self._read_settings()
        applied, waiting = config.changes(self._config, found)
        self._config = config.apply(self._config, found)
        self._dispatcher.configure(self._config, self._server.peers)
        self.jobs.configure()
        log.configure(self._config.log, self._paths)
        self._mirror.reload()
        logger.info("reloaded", applied=list(applied), needs_restart=list(waiting))
        return Reloaded(applied=applied, needs_restart=waiting)

    def _sentence(self) -> str:
        """How it is, for who asks the service manager."""
        return standing.sentence(len(self._server.peers), self._bus.seq, self._store.writer.stats)

    def status(self) -> DaemonStatus:
        """How the daemon and its storage are."""
        peers = self._server.peers
        return DaemonStatus(
            version=VERSION,
            protocol=PROTOCOL_VERSION,
            pid=os.getpid(),
            home=self._paths.data_dir,
            socket=self._door.path,
            started_at=to_time(self._started_at),
            uptime_seconds=int(self._clock.monotonic() - self._started),
            connections=len(peers),
            subscriptions=sum(len(peer.subscriptions) for peer in peers),
            requests=self._dispatcher.requests,
            refused=self._dispatcher.refused,
            received_bytes=self._server.received_bytes,
            sent_bytes=self._server.sent_bytes,
            storage=self._storage(),
            jobs_failing=self.jobs.failing(),
        )

    def peers(self) -> Iterable[Peer]:
        """The connections, in the order in which they came."""
        return tuple(self._server.peers)

    def _storage(self) -> Storage:
        return standing.storage(
            self._paths, self._store, self._found, self._files, self._bus.seq, is_checked=self._checked.is_set()
        )

    def self_reports(self) -> Sequence[SelfReport]:
        """The daemon's own components."""
        return (self._store.report(), self.jobs.report(), self._backups())

    async def replaced(self) -> None:
        """What is kept has been replaced as a whole: drop what belonged to it, and write the mirror's files anew."""
        self._store.attached.replaced()
        await self._mirror.renew()

    def _new_mirror(self) -> Mirror:
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
