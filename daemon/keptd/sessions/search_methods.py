"""Handlers of message.search and session.search: as many results as fit a message."""

from __future__ import annotations

from kept.wire import Page
from kept.wire.message import FoundMessage, SearchMessages
from kept.wire.session import FoundSession, SearchSessions

from ..domain import ReadCtx
from ..rpc.methods import serves
from ..store.pages import fit
from . import find


@serves(heavy=True)
def search_messages(ctx: ReadCtx, call: SearchMessages) -> Page[FoundMessage]:
    """Found in the index, then ranked by what was said around them."""
    return Page(items=fit(find.found_messages(ctx.db, call)))


@serves(heavy=True)
def search_sessions(ctx: ReadCtx, call: SearchSessions) -> Page[FoundSession]:
    """By titles, summaries and tags."""
    return Page(items=fit(find.found_sessions(ctx.db, call)))
