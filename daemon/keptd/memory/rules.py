"""What a set makes of an entry: pure rules, no SQL."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from kept.wire.errors import InvalidParams
from kept.wire.memory import SetMemory

from ..clock import SECOND, to_micros
from ..store.ids import new_id
from .rows import NO_TAGS, Row, encode_tags

DEFAULT_CATEGORY = "general"
DEFAULT_PRIORITY = 5


def expiry(call: SetMemory, now: int) -> int | UnsetType | None:
    """When the entry expires, in microseconds: None for never, unset where the call leaves it out.

    Raises `InvalidParams` for both ways of saying it at once, and for a moment that has passed.
    """
    if call.ttl is not None:
        if call.expires_at is not UNSET:
            raise InvalidParams("ttl and expires_at exclude each other", hint="Send one of them.", field="ttl")
        return now + call.ttl * SECOND
    if call.expires_at is None or call.expires_at is UNSET:
        return call.expires_at
    moment = to_micros(call.expires_at)
    if moment <= now:
        raise InvalidParams(
            "expires_at has passed",
            hint="Send a moment to come, or memory.delete to forget the key.",
            field="expires_at",
        )
    return moment


def new(call: SetMemory, value: str, expires_at: int | UnsetType | None, now: int, actor: str, version: int) -> Row:
    """The row of an entry that was not there. `value` is JSON."""
    return Row(
        id=new_id(),
        key=call.key,
        scope=call.scope,
        value=value,
        category=DEFAULT_CATEGORY if call.category is None else call.category,
        priority=DEFAULT_PRIORITY if call.priority is None else call.priority,
        tags=NO_TAGS if call.tags is None else encode_tags(call.tags),
        session_id=None if call.session_id is UNSET else call.session_id,
        expires_at=None if expires_at is UNSET else expires_at,
        created_at=now,
        updated_at=now,
        version=version,
        actor=actor,
        seq=0,
    )


def changed(
    present: Row, call: SetMemory, value: str, expires_at: int | UnsetType | None, now: int, actor: str
) -> Row | None:
    """The row that replaces `present`, with what the call leaves out as it was; None where nothing would change."""
    wanted = present._replace(
        value=value,
        category=present.category if call.category is None else call.category,
        priority=present.priority if call.priority is None else call.priority,
        tags=present.tags if call.tags is None else encode_tags(call.tags),
        session_id=present.session_id if call.session_id is UNSET else call.session_id,
        expires_at=present.expires_at if expires_at is UNSET else expires_at,
    )
    if wanted == present:
        return None
    return wanted._replace(updated_at=now, version=present.version + 1, actor=actor)
