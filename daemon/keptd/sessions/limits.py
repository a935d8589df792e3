"""How large a session should be, and may be: pure rules, no SQL.

Past what is recommended it works as before, and its size is warned of. Past the most, messages are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from kept.wire.errors import QuotaExceeded
from kept.wire.session import SizeWarning

from ..config import Sessions
from .rows import New, SessionRow

NEAR_LIMIT = "session.near_limit"

CONTINUE = "Begin another session with this one as its parent_id, and leave it a summary with session.update."

_NEAR_RECOMMENDED = 80
_NEAR_MAXIMUM = 90
"""Hundredths of a limit from which on it is near."""


class Size(NamedTuple):
    """How much is in a session."""

    messages: int
    bytes: int


class _Mark(NamedTuple):
    """A size at which something is said: of `messages` or `bytes`, from `at` on, by which limit."""

    field: str
    level: str
    at: int
    limit: int


def size_of(session: SessionRow, new: Sequence[New] = ()) -> Size:
    """The size of a session, with what is to be said in it."""
    return Size(session.messages + len(new), session.bytes + sum(one.bytes for one in new))


def check(after: Size, settings: Sessions) -> None:
    """Raises `QuotaExceeded` where a session would have more than it may."""
    for field, size, limit in (
        ("messages", after.messages, settings.max_messages),
        ("bytes", after.bytes, settings.max_bytes),
    ):
        if size > limit:
            raise QuotaExceeded(
                f"the session would have {size:,} {field}, more than the {limit:,} that one may have",
                hint=f"Nothing was written. {CONTINUE} Or raise sessions.max_{field} in config.toml.",
                field=field,
                limit=limit,
            )


def warnings(size: Size, settings: Sessions) -> tuple[SizeWarning, ...]:
    """What is to be said of a size: the gravest of the messages, and of the bytes."""
    reached = {mark.field: mark for mark in _marks(settings) if getattr(size, mark.field) >= mark.at}
    return tuple(_warning(mark, getattr(size, mark.field)) for mark in reached.values())


def passed(before: Size, after: Size, settings: Sessions) -> list[SizeWarning]:
    """What is to be said once: of the marks that lie between two sizes."""
    return [
        _warning(mark, getattr(after, mark.field))
        for mark in _marks(settings)
        if getattr(before, mark.field) < mark.at <= getattr(after, mark.field)
    ]


def told(warnings: Sequence[SizeWarning]) -> str | None:
    """Warnings in one text, with the next step; None where there are none."""
    if not warnings:
        return None
    return f"{'; '.join(warning.text for warning in warnings)}. {warnings[0].hint}"


@lru_cache(maxsize=1)
def _marks(settings: Sessions) -> tuple[_Mark, ...]:
    """For each field those of lesser weight first. Kept, since every message is compared with them, and settings
    seldom change."""
    marks = []
    for field in Size._fields:
        recommended: int = getattr(settings, f"recommended_{field}")
        most: int = getattr(settings, f"max_{field}")
        marks += [
            _Mark(field, "near_recommended", _part(recommended, _NEAR_RECOMMENDED), recommended),
            _Mark(field, "past_recommended", recommended, recommended),
            _Mark(field, "near_maximum", _part(most, _NEAR_MAXIMUM), most),
        ]
    return tuple(marks)


def _part(limit: int, hundredths: int) -> int:
    return -(-limit * hundredths // 100)


def _warning(mark: _Mark, size: int) -> SizeWarning:
    most = "the most that a session may have," if mark.level == "near_maximum" else "the recommended"
    return SizeWarning(
        field=mark.field,
        level=mark.level,
        size=size,
        limit=mark.limit,
        text=f"{size:,} {mark.field}: {size * 100 // mark.limit} % of {most} {mark.limit:,}",
        hint=CONTINUE,
    )
