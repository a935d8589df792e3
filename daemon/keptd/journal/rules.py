"""What an outcome and a resolution leave behind. Pure: no table, no clock."""

from __future__ import annotations

import msgspec

from kept.wire.journal import Resolution

from ..clock import to_time

FORMER_KEPT = 20
"""How many former outcomes or resolutions an entry keeps: each may be a whole text, and all are in one reply."""

_decode = msgspec.json.Decoder(tuple[Resolution, ...]).decode
_encode = msgspec.json.Encoder().encode


def former(stored: str) -> tuple[Resolution, ...]:
    """The former outcomes that a column holds, newest first."""
    return _decode(stored) if stored != "[]" else ()


def with_former(stored: str, text: str, actor: str, replaced_at: int) -> str:
    """The column's content once `text` by `actor` is replaced at `replaced_at` (microseconds). The oldest falls out."""
    latest = Resolution(text=text, actor=actor, replaced_at=to_time(replaced_at))
    return _encode((latest, *former(stored))[:FORMER_KEPT]).decode()
