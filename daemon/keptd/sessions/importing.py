"""`session.import` from beginning to end: look through, stage in small writes, show in one commit.

The file is read in worker threads, a batch at a time; the database is the writer's. Until the last commit nothing is
seen of it; whatever ends it before then, what it has staged is given up.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import BinaryIO, NamedTuple

import anyio
import apsw
import msgspec

from kept.wire.errors import Cancelled, InvalidParams, KeptError, NotFound
from kept.wire.session_move import ImportedSessions, ImportSessions

from ..offload import BEAT_SECONDS, in_thread, waiting
from ..rpc.control import ControlCtx
from ..store import Store, receipts
from ..store.background import PATIENCE_SECONDS, Answer, read
from ..store.changes import ChangeLog
from ..store.ids import new_id
from ..store.writer import WriteJob, Written
from ..transfers import Transfers
from ..trash import store as trash
from . import attendance, limits, staging, store
from .document import session_row
from .incoming import Document, Entry, Incoming
from .staging import Arrival

BATCH = 500
BATCH_BYTES = 1024 * 1024
"""Messages of one write, and their bytes: few enough not to hold up anybody else's."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ImportedSessions).decode
_decode_ids = msgspec.json.Decoder(frozenset[str]).decode

Batch = tuple[list[Incoming], int]
"""Messages of one session, and how far the file has been read behind them."""


class Receipt(NamedTuple):
    """What the first result of an import is kept under; see `receipts`."""

    key: str
    mark: bytes


async def run(ctx: ControlCtx, call: ImportSessions) -> ImportedSessions:
    """Import. Raises what `ImportSessions` declares; a caller that goes away, or cancels, leaves nothing behind."""
    if (call.upload_id is None) == (call.document is None):
        raise InvalidParams("either upload_id or document is needed", hint="Send one of them.", field="upload_id")
    receipt = _receipt(call)
    if first := await _first_result(ctx, receipt):
        return _decode(first)
    with anyio.CancelScope() as scope:
        ctx.on_cancel(scope.cancel)
        try:
            with ExitStack() as files:
                source, size = await _open(ctx, call, files)
                done = await _Import(ctx, call, source, size).run(receipt)
        except KeptError:
            # Somebody may have asked for the same at the same time, and was quicker: then its file has gone.
            if first := await _first_result(ctx, receipt):
                return _decode(first)
            raise
        await _discard(ctx, call)
        return done
    raise Cancelled("cancelled before anything was imported")


def leave_all(store: Store) -> None:
    """At the start: what was being imported when the last run ended is given up, before anything else is written."""

    def leave(db: apsw.Connection) -> Written:
        staging.leave_all(db)
        return Written(b"", 0)

    store.writer.submit(WriteJob(leave, lambda _outcome: None, math.inf, size=0, frees_space=True))


def _receipt(call: ImportSessions) -> Receipt | None:
    mark = receipts.fingerprint(call)
    key = call.idempotency_key or (call.upload_id and f"{call.method} {call.upload_id} {mark.hex()}")
    return Receipt(key, mark) if key else None


async def _first_result(ctx: ControlCtx, receipt: Receipt | None) -> bytes | None:
    if receipt is None:
        return None
    return await read(ctx.store, ctx.clock, lambda db: receipts.find(db, receipt.key, receipt.mark) or b"") or None


async def _open(ctx: ControlCtx, call: ImportSessions, files: ExitStack) -> tuple[BinaryIO, int]:
    """The document as a file, and its size. Raises `NotFound`, and `Conflict` where not all of it has come."""
    if call.upload_id is None:
        whole = _encode(call.document)
        return io.BytesIO(whole), len(whole)
    incoming = Transfers(ctx.store.path.parent).incoming(call.upload_id)
    await in_thread(lambda _: incoming.check_whole(), ctx.progress)
    return files.enter_context(incoming.open()), incoming.bytes


async def _discard(ctx: ControlCtx, call: ImportSessions) -> None:
    """It has been imported, and its result is kept: the file is of no more use."""
    if call.upload_id is None:
        return
    upload_id = call.upload_id

    def discard(_: object) -> None:
        try:
            Transfers(ctx.store.path.parent).discard(upload_id)
        except NotFound:
            return  # Somebody was quicker.

    with anyio.CancelScope(shield=True):
        await in_thread(discard, ctx.progress)


class _Import:
    """One import at work."""

    def __init__(self, ctx: ControlCtx, call: ImportSessions, source: BinaryIO, size: int) -> None:
        self._ctx = ctx
        self._call = call
        self._size = size
        policy = call.on_secret or ctx.config.secrets.on_secret
        self._document = Document(source, size, policy, ctx.config.limits.depth)
        self._arrivals: list[Arrival] = []
        self._staged: list[str] = []
        """The ids of the rows that are staged, or are about to be."""
        self._told = 0.0

    async def run(self, receipt: Receipt | None) -> ImportedSessions:
        """All of it."""
        ctx = self._ctx
        await in_thread(self._document.survey, ctx.progress)
        self._document.trusted()
        left_out = await self._left_out()
        await self._check_room([entry for entry in self._document.entries if entry.id not in left_out])
        try:
            for entry in self._document.entries:
                await self._stage(entry, left_out=entry.id in left_out)
            with anyio.CancelScope(shield=True):
                result = await self._write(partial(self._publish, receipt), "showing the sessions")
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._leave()
            raise
        return _decode(result)

    async def _left_out(self) -> frozenset[str]:
        """The sessions that need not even be staged."""
        if self._call.on_conflict != "skip":
            return frozenset()
        ids = _encode([entry.id for entry in self._document.entries if entry.id is not None]).decode()
        found = await read(self._ctx.store, self._ctx.clock, lambda db: _encode(staging.present(db, ids)))
        return _decode_ids(found)

    async def _check_room(self, entries: Sequence[Entry]) -> None:
        """Before anything is written: whether so much may be in each session, and so many sessions may be here."""
        settings = self._ctx.config.sessions
        for entry in entries:
            limits.check(limits.Size(entry.messages, entry.bytes), settings)

        def check(db: apsw.Connection) -> bytes:
            store.check_room(db, settings.max_sessions, len(entries))
            return b""

        await read(self._ctx.store, self._ctx.clock, check)

    async def _stage(self, entry: Entry, *, left_out: bool) -> None:
        if left_out:
            self._arrivals.append(Arrival(0, entry.id, entry.parent_id))
            return
        seq = await self._begin(entry)
        batches = _batches(self._document.messages(entry))
        while batch := await in_thread(lambda _: next(batches, None), self._tell):
            messages, offset = batch
            await self._write(partial(self._fill, seq, messages), "importing")
            self._tell(offset, self._size, "importing")

    async def _begin(self, entry: Entry) -> int:
        part, extra = await in_thread(lambda _: self._document.session(entry), self._tell)
        row = session_row(part, new_id(), self._ctx.clock.now(), self._ctx.peer.actor.client)
        seq = 0

        def begin(db: apsw.Connection, _: ChangeLog) -> bytes:
            nonlocal seq
            seq = staging.begin(db, row, extra)
            return b""

        self._staged.append(row.id)
        await self._write(begin, "importing")
        self._arrivals.append(Arrival(seq, part.id, part.parent_id))
        return seq

    def _fill(self, seq: int, messages: list[Incoming], db: apsw.Connection, _: ChangeLog) -> bytes:
        staging.fill(db, seq, messages, self._ctx.clock.now(), self._ctx.peer.actor.client)
        return b""

    def _publish(self, receipt: Receipt | None, db: apsw.Connection, changes: ChangeLog) -> bytes:
        """The one commit in which the import counts: with its first result, and a row of the log for each session."""
        ctx = self._ctx
        now = ctx.clock.now()
        if receipt is not None and (first := receipts.find(db, *receipt)):
            staging.leave(db, self._staged)  # The same was asked twice at once.
            return first
        ticks = attendance.ticks(ctx.clock.monotonic())
        stay = trash.stay(db, ctx.clock, ctx.config.trash.keep_days)
        log = staging.Log(now, ticks, ctx.peer.actor.client, changes.add, stay)
        sessions, warnings = staging.publish(db, self._arrivals, self._call.on_conflict, log)
        total = sum(session.messages for session in sessions)
        result = _encode(ImportedSessions(sessions=sessions, messages=total, warnings=warnings))
        if receipt is not None:
            receipts.keep(db, *receipt, result, now)
        return result

    async def _leave(self) -> None:
        def leave(db: apsw.Connection, _: ChangeLog) -> bytes:
            staging.leave(db, self._staged)
            return b""

        try:
            await self._write(leave, "giving up", frees_space=True)
        except KeptError:
            return  # The next start does it.

    async def _write(
        self, work: Callable[[apsw.Connection, ChangeLog], bytes], text: str, *, frees_space: bool = False
    ) -> bytes:
        """Have the writer do some of it, and wait for the commit; what it gives. Tells that it waits."""
        ctx = self._ctx

        def run(db: apsw.Connection) -> Written:
            changes = ChangeLog(db, ctx.clock.now(), ctx.peer.actor, ImportSessions.method)
            found = work(db, changes)
            return Written(found, changes.last_seq)

        answer: Answer[Written] = Answer()
        deadline = ctx.clock.monotonic() + PATIENCE_SECONDS
        job = WriteJob(run, answer.give, deadline, size=BATCH_BYTES, frees_space=frees_space, name=self._call.method)
        ctx.store.writer.submit(job)
        try:
            return (await waiting(answer.wait, self._tell, text)).result
        except anyio.get_cancelled_exc_class():
            job.cancel()
            raise

    def _tell(self, done: int, total: int, text: str) -> None:
        """Pass it on, seldom."""
        now = time.monotonic()
        if now - self._told >= BEAT_SECONDS:
            self._told = now
            self._ctx.progress(done, total, text)


def _batches(messages: Iterator[tuple[Incoming, int]]) -> Iterator[Batch]:
    """Messages in batches of `BATCH` at most; of `BATCH_BYTES`, with the one that passes it."""
    batch: list[Incoming] = []
    size = offset = 0
    for message, offset in messages:
        batch.append(message)
        size += message.new.bytes
        if len(batch) == BATCH or size >= BATCH_BYTES:
            yield batch, offset
            batch, size = [], 0
    if batch:
        yield batch, offset
