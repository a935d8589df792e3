"""Handlers of the vault as a whole: made, unlocked, locked, its state; its keys changed and told."""

from __future__ import annotations

import structlog

from kept.wire.errors import Denied, KeptError
from kept.wire.vault import (
    ChangePassword,
    ExportKey,
    InitVault,
    LockVault,
    RecoverVault,
    RecoveryCode,
    Rotated,
    RotateKey,
    StatusOfVault,
    UnlockVault,
    VaultStatus,
)

from ..rpc.control import ControlCtx
from ..rpc.methods import serves
from . import changing, opening, store
from .audit import Note
from .visit import Visit, absent

log = structlog.get_logger(__name__)


@serves
async def init_vault(ctx: ControlCtx, call: InitVault) -> VaultStatus:
    """Not for agents: a person chooses the password."""
    visit = await _persons(ctx, call.method, "init")
    return await opening.init(visit, call.password)


@serves
async def unlock_vault(ctx: ControlCtx, call: UnlockVault) -> VaultStatus:
    """For whoever knows the password."""
    visit = Visit.of(ctx, call.method)
    return await opening.unlock(visit, call.password, despite_damage=call.despite_damage)


@serves
async def lock_vault(ctx: ControlCtx, call: LockVault) -> VaultStatus:
    """The keys are gone before anything is awaited; that it happened is written down if it was unlocked. Where it can't
    be, the answer is no refusal: who reads one would take the vault for unlocked."""
    visit = Visit.of(ctx, call.method)
    header = store.header(ctx.store.inline)
    was_open = visit.keyring.lock()
    if header is None:
        raise absent()
    if was_open:
        try:
            await visit.note(Note("lock"), notice=call.method, about=header.id)
        except KeptError as fault:
            log.warning("that the vault was locked is not written down", reason=fault.type)
    return opening.status(visit)


@serves
def status_of_vault(ctx: ControlCtx, call: StatusOfVault) -> VaultStatus:
    """It can be asked for while locked."""
    return opening.status(Visit.of(ctx, call.method))


@serves
async def change_password(ctx: ControlCtx, call: ChangePassword) -> VaultStatus:
    """Not for agents, as all that follows."""
    visit = await _persons(ctx, call.method, "change_password")
    return await changing.change_password(visit, call.password, call.new_password)


@serves
async def rotate_key(ctx: ControlCtx, call: RotateKey) -> Rotated:
    """Changes wait meanwhile."""
    visit = await _persons(ctx, call.method, "rotate")
    return await changing.rotate(visit, call.password, ctx.progress, drop_damaged=call.drop_damaged)


@serves
async def export_key(ctx: ControlCtx, call: ExportKey) -> RecoveryCode:
    """It is nowhere but in the reply."""
    visit = await _persons(ctx, call.method, "export_key")
    return await changing.export_key(visit, call.password)


@serves
async def recover_vault(ctx: ControlCtx, call: RecoverVault) -> VaultStatus:
    """It works while locked: that is what it is for."""
    visit = await _persons(ctx, call.method, "recover")
    return await changing.recover(visit, call.code, call.new_password)


async def _persons(ctx: ControlCtx, method: str, action: str) -> Visit:
    """A visit of somebody who didn't say that it is an agent. Raises `Denied`."""
    visit = Visit.of(ctx, method)
    if visit.is_agent:
        await visit.refused(Note(action, outcome="denied"))
        raise Denied("this is not for agents", hint="Ask the person to do it in a terminal.")
    return visit
