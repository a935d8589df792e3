"""Ids of entities: UUIDv7 (RFC 9562, section 5.7), so that ids that are made later sort later."""

from __future__ import annotations

import uuid_utils


def new_id() -> str:
    """A new id, in the canonical form of 36 characters."""
    return str(uuid_utils.uuid7())
