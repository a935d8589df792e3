"""What nobody foresaw: the answer to it, and the line in the log. Never the exception's text, which may hold what a
request carried."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TypeVar

import structlog

from kept.wire.errors import InternalError, KeptError

from .database import FAULTS

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)

log = structlog.get_logger(__name__)

_PLACES = 8


def unforeseen(what: str, mistake: Exception) -> InternalError:
    """Log where `what` (a method, or what was being done) failed; returns the answer."""
    places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(mistake.__traceback__)]
    log.error("handler failed", method=what, error=type(mistake).__name__, places=places[-_PLACES:])
    return InternalError(f"{what} failed in the daemon")


def guarded(what: str, run: Callable[[], T]) -> T:
    """Run something of a method's; what nobody foresaw becomes an `InternalError`, what the storage raises stays."""
    try:
        return run()
    except (KeptError, *FAULTS):
        raise
    except Exception as mistake:  # noqa: BLE001 - a mistake in one method costs one request, and never the daemon.
        raise unforeseen(what, mistake) from None


def bare(error: E) -> E:
    """The exception without the frames that it came through.

    One that is kept as a value is in a cycle with the frame that keeps it; with it the whole request would stay in
    memory until the garbage collector comes.
    """
    error.__traceback__ = error.__context__ = error.__cause__ = None
    return error
