"""Leaving the trash for good: an entity that kept rows of its own there is let go by its room."""

from __future__ import annotations

from collections.abc import Iterable

from ..domain import WriteCtx
from .store import Gone


def let_go(ctx: WriteCtx, gone: Iterable[Gone]) -> None:
    """Tell the rooms of what has just been removed. Most keep nothing beside the snapshot, and need not be told."""
    for one in gone:
        purge = ctx.purgers.get(one.entity)
        if purge is not None:
            purge(ctx, one.entity_id)
