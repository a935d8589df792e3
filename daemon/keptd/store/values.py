"""Values typed *any*: checked and encoded once when they are written, never decoded when they are read.

A table holds them as compact JSON in a TEXT column. A reply carries the column's text as it is, wrapped in
`msgspec.Raw`: `Memory(value=Raw(row[3]), ...)`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kept.wire import VALUE_BYTES
from kept.wire.errors import TooLarge

_encode = msgspec.json.Encoder().encode


def encode_value(field: str, value: Any, limit: int = VALUE_BYTES) -> str:
    """The value as compact JSON. Raises `TooLarge` naming `field` past `limit` bytes of UTF-8."""
    encoded = _encode(value)
    if len(encoded) > limit:
        raise TooLarge(f"{field} is larger than {limit} bytes of JSON", field=field, limit=limit)
    return encoded.decode()
