"""Handlers of session.export and session.import."""

from __future__ import annotations

from kept.wire.session_move import ExportPart, ExportSession, ImportedSessions, ImportSessions

from ..domain import ReadCtx
from ..rpc.control import ControlCtx
from ..rpc.methods import serves
from . import export, importing


@serves(heavy=True)
def export_session(ctx: ReadCtx, call: ExportSession) -> ExportPart:
    """One part, in one snapshot."""
    return export.part(ctx.db, call, ctx.clock.now())


@serves
async def import_sessions(ctx: ControlCtx, call: ImportSessions) -> ImportedSessions:
    """In small writes and one commit; see `importing`."""
    return await importing.run(ctx, call)
