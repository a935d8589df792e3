"""How much a vault may hold: entries, and bytes of what is sealed. What makes neither more is never refused."""

from __future__ import annotations

from kept.wire.errors import QuotaExceeded

from .. import config
from .search import Contents


def check(settings: config.Vault, contents: Contents, more_entries: int, more_bytes: int) -> None:
    """Raise `QuotaExceeded` where so much more is more than the settings allow."""
    for there, more, limit, what, setting in (
        (len(contents), more_entries, settings.max_entries, "entries", "max_entries"),
        (contents.bytes, more_bytes, settings.max_bytes, "bytes", "max_bytes"),
    ):
        if more > 0 and there + more > limit:
            raise QuotaExceeded(
                f"the vault may have {limit:,} {what}, has {there:,}, and {more:,} more would come",
                hint=f"Nothing was stored. Delete some, or raise vault.{setting}.",
                limit=limit,
            )
