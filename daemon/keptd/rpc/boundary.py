"""The boundary: what nobody foresaw in a handler or a check is logged with its place, and answered without it.

So that a mistake in one method costs one request, and never the daemon.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TypeVar

import structlog

from kept.wire.errors import InternalError, KeptError

from ..store.database import FAULTS

log = structlog.get_logger(__name__)

T = TypeVar("T")

_PLACES = 8


def guarded(method: str, run: Callable[[], T]) -> T:
    """Run something of a method's; what nobody foresaw becomes an `InternalError`, what the storage raises stays."""
    try:
        return run()
    except (KeptError, *FAULTS):
        raise
    except Exception as fault:  # noqa: BLE001 - this is the boundary.
        raise unforeseen(method, fault) from None


def unforeseen(method: str, fault: Exception) -> InternalError:
    """Log where it failed, without the exception's text, which may hold what the request carried."""
    places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(fault.__traceback__)]
    log.error("handler failed", method=method, error=type(fault).__name__, places=places[-_PLACES:])
    return InternalError(f"{method} failed in the daemon")
