"""A row of `memory`, as the room's queries select it, and the wire's entry made from it."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from kept.wire import GLOBAL
from kept.wire.memory import Memory, MemoryId

from ..clock import to_time

COLUMNS = (
    "m.id, m.key, m.scope, m.value, m.category, m.priority, m.tags, m.session_id, m.expires_at, "
    "m.created_at, m.updated_at, m.version, m.actor, m.seq"
)

NO_TAGS = "[]"

_decode_snapshot = msgspec.json.Decoder(dict[str, Any]).decode
_decode_tags = msgspec.json.Decoder(tuple[str, ...]).decode
_encode = msgspec.json.Encoder().encode


class Row(NamedTuple):
    """One entry, in the order of `COLUMNS`; `value` and `tags` are JSON, times are microseconds."""

    id: str
    key: str
    scope: str
    value: str
    category: str
    priority: int
    tags: str
    session_id: str | None
    expires_at: int | None
    created_at: int
    updated_at: int
    version: int
    actor: str
    seq: int

    @property
    def label(self) -> str:
        """The entry's name for people, in the change log."""
        return self.key if self.scope == GLOBAL else f"{self.scope}: {self.key}"

    def expired(self, now: int) -> bool:
        """Whether the entry stopped being true at or before `now`."""
        return self.expires_at is not None and self.expires_at <= now


def memory(row: tuple[Any, ...]) -> Memory:
    """The wire's entry of a row; the value goes through as it is stored."""
    (
        id_,
        key,
        scope,
        value,
        category,
        priority,
        tags,
        session_id,
        expires_at,
        created_at,
        updated_at,
        version,
        actor,
        _,
    ) = row
    return Memory(
        id=MemoryId(id_),
        key=key,
        scope=scope,
        value=Raw(value),
        tier="persistent",
        category=category,
        priority=priority,
        tags=decode_tags(tags),
        session_id=session_id,
        expires_at=None if expires_at is None else to_time(expires_at),
        created_at=to_time(created_at),
        updated_at=to_time(updated_at),
        version=version,
        actor=actor,
    )


def snapshot(row: Row) -> dict[str, object]:
    """An entry as it is kept in the trash."""
    return row._asdict()


def restored(stored: str) -> Row:
    """The entry of a snapshot from the trash."""
    return Row(**_decode_snapshot(stored))


def decode_tags(stored: str) -> tuple[str, ...]:
    """The tags of a row."""
    return () if stored == NO_TAGS else _decode_tags(stored)


def encode_tags(tags: tuple[str, ...]) -> str:
    """Tags for a row, each once, in the order given."""
    return _encode(tuple(dict.fromkeys(tags))).decode()
