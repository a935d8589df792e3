"""Dispatch: checked work runs where its kind belongs, and its outcome becomes one reply. No socket is known here; a
peer is.

Where exceptions become error replies: a `KeptError` as it is, anything else logged with the place where it was raised
and answered without it. What runs in a thread of the store is caught there, and all else here.

- An inline read is answered at once.
- A heavy read goes to the reader threads, a write to the writer; their replies come later, and in any order among
  themselves, except that the writes of one peer are applied in the order sent.
- A control call runs on the loop; where it is asynchronous, as a task of its connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any

import apsw
import msgspec
import structlog
from msgspec import UNSET, Raw, UnsetType

from kept.frames import RequestId, encode_failure, encode_result, too_large
from kept.wire import Actor, Progress, Read, Write
from kept.wire.catalog import further_names
from kept.wire.errors import Busy, Cancelled, KeptError, StorageFailed
from kept.wire.event import DATABASE
from kept.wire.maintenance import MethodStats

from ..bus import Bus
from ..clock import Clock
from ..config import Config
from ..domain import Domain, Handler, ReadCtx, SelfReport, WriteCtx
from ..store import Store, receipts
from ..store.changes import ChangeLog
from ..store.database import FAULTS
from ..store.readers import ReadJob
from ..store.unforeseen import bare, guarded, unforeseen
from ..store.writer import Outcome, WriteJob, Written
from .control import ControlCtx, Daemon
from .peer import Peer, Pending
from .prepare import Cancel, Method, Refusal, Task, Work, prepare
from .running import Running
from .sinks import BatchReply, Sink

log = structlog.get_logger(__name__)

RETRY_AFTER_MS = 50


Finish = Callable[[Any], None]
"""Takes the outcome of what is answered later."""

_encode = msgspec.json.Encoder().encode


class Dispatcher:
    """Runs work for peers. Lives on the loop's thread, except for `prepare`."""

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        store: Store,
        bus: Bus,
        clock: Clock,
        config: Config,
        daemon: Daemon,
        self_reports: Callable[[], Sequence[SelfReport]],
        rooms: Sequence[Domain] = (),
        sweeps: Iterable[str] = (),
    ) -> None:
        """`sweeps` are names under which the rooms' own changes may stand in the change log."""
        self.config = config
        self.requests = 0
        self.refused = 0
        self._methods = {name: Method(handler) for name, handler in handlers.items()}
        self._calls = tuple(method.call for method in self._methods.values())
        changing = {name for name, method in self._methods.items() if method.kind is Write or method.call.event}
        entities = {name.partition(".")[0] for name in changing}.union(*(room.entities for room in rooms))
        own = {name for name in sweeps if name.partition(".")[0] in entities}
        self._topics = frozenset(changing | entities | own | further_names(self._calls) | {DATABASE})
        self._store = store
        self._bus = bus
        self._clock = clock
        self._daemon = daemon
        self._self_reports = self_reports
        self._rooms = tuple(rooms)
        self._restorers = {entity: restorer for room in rooms for entity, restorer in room.restorers.items()}
        self._purgers = {entity: purger for room in rooms for entity, purger in room.purgers.items()}

    def timings(self) -> tuple[MethodStats, ...]:
        """How long each method took that was called since the start, what took longest in all first."""
        called = sorted((method for method in self._methods.values() if method.calls), key=_total, reverse=True)
        return tuple(
            MethodStats(
                method=method.name,
                calls=method.calls,
                mean_ms=round(method.seconds / method.calls * 1000, 3),
                worst_ms=round(method.worst * 1000, 3),
            )
            for method in called
        )

    def configure(self, config: Config, peers: Iterable[Peer]) -> None:
        """Go on with other settings."""
        self.config = config
        for peer in peers:
            peer.context = None
            peer.queued_bytes = config.limits.queued_bytes

    def prepare(self, line: bytes) -> Work | list[Work]:
        """Read and check a line. May run in any thread."""
        return prepare(line, self._methods, self.config)

    def execute(self, peer: Peer, work: Work | list[Work]) -> None:
        """Do what a line asks; its replies go to the peer as they come."""
        if isinstance(work, list):
            sink = BatchReply(peer, sum(getattr(item, "request_id", UNSET) is not UNSET for item in work))
            for item in work:
                self._execute(peer, item, sink)
        else:
            self._execute(peer, work, peer)

    def refuse_line(self, peer: Peer) -> None:
        """Answer a line that was too long to be read."""
        self._refuse(None, too_large(self.config.limits.message_bytes), peer)

    def begin(self, peer: Peer, work: Work | list[Work], sink: Sink) -> Peer:
        """Run one request on behalf of one of the peer's that is in flight: the same path, without the socket.

        It has ids and limits of its own, those of the peer that is returned.
        """
        if isinstance(work, (list, Cancel)):
            raise TypeError("one request at a time")
        inner = peer.aside()
        self._execute(inner, work, sink)
        return inner

    def _execute(self, peer: Peer, work: Work, sink: Sink) -> None:
        self.requests += 1
        peer.requests += 1
        if isinstance(work, Task):
            if work.method.kind is Read and work.request_id is UNSET:
                return  # Nobody would see the answer.
            if work.method.kind is Read:
                heavy = work.method.heavy
                if heavy is False or (heavy is not True and not heavy(work.call)):
                    self._read_inline(peer, work, sink)
                else:
                    self._later(peer, work, sink, partial(self._read_heavy, sink))
            elif work.method.kind is Write:
                self._later(peer, work, sink, self._write)
            else:
                self._control(peer, work, sink)
        elif isinstance(work, Refusal):
            self._refuse(work.request_id, work.error, sink)
        elif pending := peer.pending.get(work.id):
            pending.cancel()

    def _read_inline(self, peer: Peer, work: Task, sink: Sink) -> None:
        began = perf_counter()
        context = peer.context
        if context is None:
            context = peer.context = ReadCtx(
                self._store.inline, self._clock, peer.actor, self.config, self._self_reports, self._topics
            )
        try:
            result = work.method.run(context, work.call)
        except KeptError as refusal:
            self._refuse(work.request_id, refusal, sink)
        except FAULTS as fault:
            self._store.damage.heed(fault)
            self._refuse(work.request_id, _read_failed(fault), sink)
        except Exception as mistake:  # noqa: BLE001 - as `guarded`, which would cost more than many a read.
            self._refuse(work.request_id, unforeseen(work.method.name, mistake), sink)
        else:
            self._answer(work, result, sink)
        work.method.took(perf_counter() - began)

    def _later(self, peer: Peer, work: Task, sink: Sink, start: Callable[[Peer, Task, Finish], Pending]) -> None:
        """Start what is answered later, so that it can be cancelled; or refuse it where too much is in flight."""
        limit = self.config.limits.in_flight
        if peer.in_flight >= limit:
            crowded = f"{limit} requests are in flight on this connection"
            self._refuse(work.request_id, Busy(crowded, retry_after_ms=RETRY_AFTER_MS, limit=limit), sink)
            return
        if peer.held and not peer.fits(work.size):
            heavy = "too many bytes wait on this connection"
            self._refuse(work.request_id, Busy(heavy, retry_after_ms=RETRY_AFTER_MS), sink)
            return
        peer.began(work.size)
        started = start(peer, work, partial(self._finish, peer, work, sink, perf_counter()))
        if not isinstance(work.request_id, UnsetType):
            peer.pending[work.request_id] = started

    def _finish(self, peer: Peer, work: Task, sink: Sink, began: float, result: Any) -> None:
        """Answer what was started by `_later`."""
        work.method.took(perf_counter() - began)
        if not isinstance(work.request_id, UnsetType):
            peer.pending.pop(work.request_id, None)
        if isinstance(result, KeptError):
            self._refuse(work.request_id, result, sink)
        else:
            self._answer(work, result, sink)
        peer.finished(work.size)

    def _read_heavy(self, sink: Sink, peer: Peer, work: Task, finish: Finish) -> Pending:
        actor, config = peer.actor, self.config

        def run(db: apsw.Connection) -> bytes:
            context = ReadCtx(db, self._clock, actor, config, self._self_reports, self._topics)
            return _encode(work.method.run(context, work.call))

        def done(outcome: bytes | KeptError) -> None:
            finish(Raw(outcome) if isinstance(outcome, bytes) else outcome)

        def progress(seconds: float) -> None:
            _tell(sink, work.request_id, Progress(text="reading", elapsed_ms=round(seconds * 1000)))

        deadline = self._clock.monotonic() + config.storage.read_seconds
        job = ReadJob(run, done, progress, deadline, peer.number, name=work.method.name)
        self._store.readers.submit(job)
        return job

    def _write(self, peer: Peer, work: Task, finish: Finish) -> Pending:
        def done(outcome: Outcome) -> None:
            finish(Raw(outcome.result) if isinstance(outcome, Written) else outcome)

        job = WriteJob(
            partial(self._apply, work.method, work.call, peer.actor),
            done,
            self._clock.monotonic() + self.config.storage.write_seconds,
            work.size,
            work.call.frees_space,
            name=work.method.name,
        )
        self._store.writer.submit(job)
        return job

    def _apply(self, method: Method, call: Write[Any], actor: Actor, db: apsw.Connection) -> Written:
        """A write, inside its savepoint, on the writer's thread."""
        key, mark = call.idempotency_key, b""
        if key is not None:
            mark = receipts.fingerprint(call)
            first = receipts.find(db, key, mark)
            if first is not None:
                return Written(first, 0)
        now = self._clock.now()
        changes = ChangeLog(db, now, actor, method.name)
        full = self._store.writer.stats.state == "full"
        context = WriteCtx(db, self._clock, actor, self.config, changes, full, self._restorers, self._purgers)
        result = _encode(method.run(context, call))
        if key is not None:
            receipts.keep(db, key, mark, result, now, changes.session)
        return Written(result, changes.last_seq)

    def _control(self, peer: Peer, work: Task, sink: Sink) -> None:
        running = Running()
        context = ControlCtx(
            peer,
            self._store,
            self._bus,
            self._clock,
            self.config,
            self._daemon,
            self._calls,
            self._topics,
            lambda done, total, text: _tell(sink, work.request_id, Progress(done=done, total=total, text=text)),
            self.prepare,
            partial(self.begin, peer),
            running.on_cancel,
            self._rooms,
            self.timings,
            self._self_reports,
        )
        run = work.method.at_once if work.method.is_async else work.method.run
        began = perf_counter()
        try:
            result = None if run is None else guarded(work.method.name, lambda: run(context, work.call))
        except KeptError as refusal:
            self._refuse(work.request_id, refusal, sink)
        except FAULTS as fault:
            self._store.damage.heed(fault)
            self._refuse(work.request_id, _read_failed(fault), sink)
        else:
            if work.method.is_async and result is None:
                self._later(peer, work, sink, partial(self._control_task, context, running))
                return
            self._answer(work, result, sink)
        work.method.took(perf_counter() - began)

    def _control_task(self, context: ControlCtx, running: Running, peer: Peer, work: Task, finish: Finish) -> Pending:
        async def task() -> None:
            result: Any = Cancelled("cancelled", hint="It may have been done, in whole or in part.")
            try:
                with running.scope:
                    try:
                        result = await work.method.run(context, work.call)
                    except KeptError as refusal:
                        result = bare(refusal)
                    except FAULTS as fault:
                        self._store.damage.heed(fault)
                        result = _read_failed(fault)
                    except Exception as mistake:  # noqa: BLE001 - as `guarded`, for what runs as a task.
                        result = unforeseen(work.method.name, mistake)
            finally:
                # Also where all of the connection's tasks end: a thread may wait for this one's reply.
                finish(result)

        peer.spawn(task)
        return running

    def _answer(self, work: Task, result: Any, sink: Sink) -> None:
        request_id = work.request_id
        if isinstance(request_id, UnsetType):
            return
        try:
            reply = encode_result(request_id, result)
        except Exception as mistake:  # noqa: BLE001 - a result that is no JSON costs its request, and nobody else's.
            self._refuse(request_id, unforeseen(work.method.name, mistake), sink)
            return
        if b"\0" in reply:
            # No JSON has one. What went into the reply as it is stored came from a page of zeros.
            self._store.damage.found("a stored value is no JSON")
            self._refuse(request_id, StorageFailed("what was read is damaged"), sink)
            return
        if not sink.fits(len(reply)):
            unread = Busy(
                "the reply was dropped, because too many bytes wait to be read by this client",
                hint="Read the replies. A write was made; repeating it with its idempotency_key gives its result.",
                retry_after_ms=RETRY_AFTER_MS,
            )
            self._refuse(request_id, unread, sink)
            return
        sink.send(reply)

    def abandon(self, peer: Peer) -> None:
        """The peer has gone: its reads need not go on. Its writes do, as it may have been promised nothing else."""
        for pending in peer.pending.values():
            if isinstance(pending, ReadJob) or (isinstance(pending, Running) and pending.has_hook):
                pending.cancel()

    def _refuse(self, request_id: RequestId | UnsetType, error: KeptError, sink: Sink) -> None:
        self.refused += 1
        if not isinstance(request_id, UnsetType):
            sink.send(encode_failure(request_id, error))


def _tell(sink: Sink, request_id: RequestId | UnsetType, progress: Progress) -> None:
    if not isinstance(request_id, UnsetType):
        sink.tell(request_id, progress)


def _total(method: Method) -> float:
    return method.seconds


def _read_failed(fault: apsw.Error) -> StorageFailed:
    log.error("read failed", fault=type(fault).__name__)
    return StorageFailed(
        f"the read failed ({type(fault).__name__})", hint="Nothing was changed. `kept status` says more."
    )
