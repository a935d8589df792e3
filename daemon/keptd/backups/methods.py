"""Handlers of backup.*: each does its long part on a thread of its own."""

from __future__ import annotations

from functools import partial

import anyio

from kept.wire import Done
from kept.wire.backup import (
    Backup,
    BackupId,
    Backups,
    CreateBackup,
    DeleteBackup,
    ListBackups,
    RestoreBackup,
    Restored,
    VerifyBackup,
)
from kept.wire.errors import Conflict

from ..domain import Tell
from ..rpc.control import ControlCtx
from ..rpc.methods import serves
from ..rpc.persons import refuse_agents
from .beside import Original
from .create import SHARE, Wanted, make_and_verify, verify
from .place import Found, Place, storage_faults
from .show import as_backup
from .swap import go_back
from .work import Work, on_thread


@serves
async def create_backup(ctx: ControlCtx, call: CreateBackup) -> Backup:
    wanted = Wanted(Original.of(ctx.store, ctx.rooms), "manual", call.label)
    work = Work(ctx.clock, _tell(ctx), SHARE)
    made = partial(make_and_verify, Place.of(ctx.store), wanted, ctx.store.migrations, ctx.clock, work)
    async with ctx.store.upkeep.hold_now():
        return as_backup(await on_thread(ctx.store.completions, work, made), ctx.store.migrations)


@serves
async def list_backups(ctx: ControlCtx, _call: ListBackups) -> Backups:
    place = Place.of(ctx.store)
    found = await anyio.to_thread.run_sync(place.listed)
    return Backups(
        items=tuple(as_backup(one, ctx.store.migrations) for one in found),
        folder=str(place.folder),
        bytes=sum(one.bytes for one in found),
    )


@serves
async def verify_backup(ctx: ControlCtx, call: VerifyBackup) -> Backup:
    place = Place.of(ctx.store)
    work = Work(ctx.clock, _tell(ctx), SHARE)

    def check() -> Found:
        with place.alone():
            return verify(place, call.id, ctx.store.migrations, ctx.clock, work)

    async with ctx.store.upkeep.hold_now():
        found = await on_thread(ctx.store.completions, work, check)
    if found.problem:
        raise Conflict(f"the backup can't be restored: {found.problem}", hint="Use another; backup.list shows them.")
    return as_backup(found, ctx.store.migrations)


@serves
async def restore_backup(ctx: ControlCtx, call: RestoreBackup) -> Restored:
    """Not for agents: what others did since then is undone, and what they were refused since then is not."""
    refuse_agents(ctx.peer.actor, "go back to a backup")
    async with ctx.store.upkeep.hold_now():
        done = await go_back(ctx.store, ctx.rooms, ctx.clock, ctx.peer.actor, _tell(ctx), call.id, ctx.daemon.replaced)
    return Restored(backup=as_backup(done.backup, ctx.store.migrations), undo_id=BackupId(done.undo.id), seq=done.seq)


@serves
async def delete_backup(ctx: ControlCtx, call: DeleteBackup) -> Done:
    """Not for agents: it is the way back from what they do."""
    refuse_agents(ctx.peer.actor, "delete backups")
    place = Place.of(ctx.store)

    def delete() -> None:
        with place.alone(), storage_faults("the deletion"):
            place.delete(call.id)

    async with ctx.store.upkeep.hold_now():
        await anyio.to_thread.run_sync(delete)
    return Done(id=call.id)


def _tell(ctx: ControlCtx) -> Tell:
    """Progress from any thread, told on the loop's."""
    return lambda done, total, text: ctx.store.completions.post(partial(ctx.progress, done, total, text))
