"""Handlers of data.*: parts go in and out; the work on the whole is done in threads, and on the writer alone."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from functools import partial

import anyio
import apsw
import msgspec
import structlog

from kept.wire import Done
from kept.wire.data import (
    Archive,
    BeginUpload,
    DeleteAll,
    Deleted,
    DiscardArchive,
    ExportAll,
    ImportAll,
    Imported,
    Part,
    ReadArchive,
    Upload,
    WritePart,
)
from kept.wire.errors import InvalidParams, KeptError, StorageFailed

from ..domain import Tell
from ..offload import in_thread, waiting
from ..rpc.control import ControlCtx
from ..rpc.methods import serves
from ..rpc.persons import refuse_agents
from ..rpc.sinks import AwaitedReply
from ..store.background import PATIENCE_SECONDS, Answer, read
from ..store.replacing import Replacing, took_effect
from ..store.writer import WriteJob, Written
from ..transfers import Incoming, Transfers
from . import load, wipe
from .export import export
from .load import Source

log = structlog.get_logger(__name__)

BACKUP = "backup.create"

_encode = msgspec.json.Encoder().encode
_decode_counts = msgspec.json.Decoder(dict[str, int]).decode
_decode_taken_over = msgspec.json.Decoder(load.TakenOver).decode
_decode_wiped = msgspec.json.Decoder(wipe.Wiped).decode


class _Reply(msgspec.Struct):
    result: dict[str, msgspec.Raw] | None = None


@serves
async def export_all(ctx: ControlCtx, _call: ExportAll) -> Archive:
    async with ctx.store.upkeep.hold():
        return await in_thread(partial(export, ctx.store, ctx.rooms, ctx.clock.now()), ctx.progress)


@serves
async def read_archive(ctx: ControlCtx, call: ReadArchive) -> Part:
    found = await in_thread(lambda _: _transfers(ctx).read(call.id, call.offset, call.length), ctx.progress)
    return Part(offset=call.offset, data=base64.b64encode(found).decode())


@serves
async def discard_archive(ctx: ControlCtx, call: DiscardArchive) -> Done:
    await in_thread(lambda _: _transfers(ctx).discard(call.id), ctx.progress)
    return Done(id=call.id)


@serves
async def begin_upload(ctx: ControlCtx, call: BeginUpload) -> Upload:
    return await in_thread(lambda _: _transfers(ctx).begin(call.bytes, call.sha256), ctx.progress)


@serves
async def write_part(ctx: ControlCtx, call: WritePart) -> Upload:
    try:
        data = base64.b64decode(call.data, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidParams("data is no base64", field="data") from None
    return await in_thread(lambda _: _transfers(ctx).write(call.id, call.offset, data), ctx.progress)


@serves
async def import_all(ctx: ControlCtx, call: ImportAll) -> Imported:
    """Check and unpack beside the database, then let the writer take it over; in the end nothing of the way is left."""
    if call.on_conflict == "replace":
        refuse_agents(ctx.peer.actor, "replace everything")
    incoming = _transfers(ctx).incoming(call.id)
    source = Source(incoming.path, incoming.id, ctx.rooms, ctx.store.migrations)
    replacing = Replacing(ctx.store.path.parent, f"import-{incoming.id}")
    async with ctx.store.upkeep.hold():
        there = _decode_counts(await read(ctx.store, ctx.clock, lambda db: _encode(load.present(db, ctx.rooms))))
        if call.on_conflict == "refuse":
            load.refuse_unless_empty(there)
        try:
            await in_thread(partial(_check_whole, incoming), ctx.progress)
            unpack = partial(load.unpack, source, replacing, ctx.clock.now())
            found = await in_thread(unpack, ctx.progress)
            backup_id = await _backup(ctx) if there else None
            with anyio.CancelScope(shield=True):
                written = await _take_over(ctx, source, replacing, replace=call.on_conflict == "replace")
        finally:
            with anyio.CancelScope(shield=True):
                await _settle(ctx, source, replacing)
        with anyio.CancelScope(shield=True):
            await ctx.daemon.replaced()
            await in_thread(lambda _: _transfers(ctx).discard(incoming.id), ctx.progress)
    return Imported(
        rows=found.rows,
        files=found.files,
        seq=written.seq,
        replaced=_decode_taken_over(written.result).replaced,
        backup_id=backup_id,
    )


@serves
async def delete_all(ctx: ControlCtx, call: DeleteAll) -> Deleted:
    """The rows first, then what the file holds of them, then the files; to the end, whatever becomes of the caller.
    Not for agents: nothing brings back what is gone, the vault included."""
    refuse_agents(ctx.peer.actor, "delete everything, since nothing brings it back")
    wanted = f"delete everything in {ctx.store.path.parent.name}"
    if call.confirm != wanted:
        raise InvalidParams("confirm is not the text that it must be", hint=f"Send: {wanted}", field="confirm")
    async with ctx.store.upkeep.hold():
        with anyio.CancelScope(shield=True):
            by = (ctx.clock.now(), ctx.peer.actor, call.method)
            written = await _alone(ctx, lambda db: wipe.empty(db, ctx.rooms, by), "deleting")
            ctx.daemon.jobs.begin_anew()
            data_folder, rooms = ctx.store.path.parent, ctx.rooms
            removed = await in_thread(
                lambda tell: wipe.remove_files(data_folder, rooms, tell, copies=call.backups), ctx.progress
            )
            await ctx.daemon.replaced()  # It is made from the files as well.
            await _alone(ctx, _scrubbed, "overwriting")
    return Deleted(rows=_decode_wiped(written.result).rows, files=removed.files, seq=written.seq, left=removed.left)


def _transfers(ctx: ControlCtx) -> Transfers:
    return Transfers(ctx.store.path.parent)


def _check_whole(incoming: Incoming, tell: Tell) -> None:
    tell(0, 0, "checking")
    incoming.check_whole()


async def _backup(ctx: ControlCtx) -> str | None:
    """A backup of what will be replaced, made by whoever serves that method; None where this version has none."""
    if not any(call.method == BACKUP for call in ctx.calls):
        return None
    params = {"label": "before data.import_all"}
    request = {"jsonrpc": "2.0", "id": 1, "method": BACKUP, "params": params}

    def tell(done: int, total: int, text: str) -> None:
        ctx.progress(done, total, f"making a backup: {text}")

    reply = AwaitedReply(tell)
    ctx.begin(ctx.prepare(_encode(request)), reply)
    line = await reply.wait()
    made = msgspec.json.decode(line, type=_Reply).result
    if made is None:
        raise StorageFailed("no backup could be made, so nothing was replaced", hint="kept backup create says why.")
    return str(msgspec.json.decode(made["id"]))


async def _take_over(ctx: ControlCtx, source: Source, replacing: Replacing, *, replace: bool) -> Written:
    await in_thread(lambda _: replacing.swap(), ctx.progress)
    by = (ctx.clock.now(), ctx.peer.actor, ImportAll.method)
    run = partial(load.take_over, source=source, log=by, replace=replace)
    return await _alone(ctx, run, "taking over")


async def _settle(ctx: ControlCtx, source: Source, replacing: Replacing) -> None:
    """The change log tells whether it took effect, also where the disk failed at the commit. Where that can't be read
    either, the next start does this."""
    await in_thread(lambda _: load.remove(source), ctx.progress)
    try:
        told = await read(ctx.store, ctx.clock, lambda db: b"yes" if took_effect(db, replacing.name) else b"")
    except KeptError as refusal:
        log.warning("import not settled", reason=refusal.type)
        return
    await in_thread(lambda _: replacing.end(took_effect=bool(told)), ctx.progress)


def _scrubbed(db: apsw.Connection) -> Written:
    wipe.scrub(db)
    return Written(b"", 0)


async def _alone(ctx: ControlCtx, run: Callable[[apsw.Connection], Written], text: str) -> Written:
    """Have the writer run it outside of any batch; the connections stay, and wait."""
    answer: Answer[Written] = Answer()
    deadline = ctx.clock.monotonic() + PATIENCE_SECONDS
    ctx.store.writer.submit(WriteJob(run, answer.give, deadline, size=0, frees_space=True, alone=True))
    return await waiting(answer.wait, ctx.progress, text)
