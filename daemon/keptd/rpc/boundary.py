"""The boundary: what nobody foresaw in a handler or a check is logged with its place, and answered without it.

So that a mistake in one method costs one request, and never the daemon.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from kept.wire.errors import KeptError

from ..store.database import FAULTS
from ..store.unforeseen import unforeseen

T = TypeVar("T")


def guarded(method: str, run: Callable[[], T]) -> T:
    """Run something of a method's; what nobody foresaw becomes an `InternalError`, what the storage raises stays."""
    try:
        return run()
    except (KeptError, *FAULTS):
        raise
    except Exception as fault:  # noqa: BLE001 - this is the boundary.
        raise unforeseen(method, fault) from None
