"""What nobody foresaw: the answer to it, and the line in the log. Never the exception's text, which may hold what a
request carried."""

from __future__ import annotations

import traceback

import structlog

from kept.wire.errors import InternalError

log = structlog.get_logger(__name__)

_PLACES = 8


def unforeseen(what: str, mistake: Exception) -> InternalError:
    """Log where `what` (a method, or what was being done) failed; returns the answer."""
    places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(mistake.__traceback__)]
    log.error("handler failed", method=what, error=type(mistake).__name__, places=places[-_PLACES:])
    return InternalError(f"{what} failed in the daemon")
