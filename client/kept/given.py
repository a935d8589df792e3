"""What comes on standard input: whole, bounded, and text. Part of the thin script: imports what a bare interpreter
has."""

from __future__ import annotations

import os

CHUNK_BYTES = 1024 * 1024


class Unusable(Exception):
    """Standard input can't be taken. The text says why, and holds none of it."""


def whole(limit: int) -> bytes:
    """Standard input up to its end. Raises `Unusable` for more than `limit` bytes, for bytes that are no UTF-8, and
    where it can't be read."""
    parts = []
    size = 0
    try:
        while part := os.read(0, min(CHUNK_BYTES, limit)):
            parts.append(part)
            size += len(part)
            if size > limit:
                raise Unusable(f"standard input is longer than {limit} bytes")
    except OSError as fault:
        raise Unusable(f"standard input can't be read: {fault.strerror}") from None
    given = b"".join(parts)
    try:
        given.decode()
    except UnicodeDecodeError as fault:
        raise Unusable(f"standard input is not UTF-8 (at byte {fault.start})") from None
    return given
