"""An entry between its two forms: what a person knows of it, and the row in which nothing of that can be read.

A row has two sealed fields: `about` (name, category, tags, metadata and so on, as JSON) and the value (JSON). Both are
bound to the vault, the entry, their field, the data key's version and the entry's revision, and are sealed anew with
each change: an older one in the place of a newer doesn't open.
"""

from __future__ import annotations

import hmac
import json
from typing import Any

import msgspec

from kept.wire.vault import Entry, EntryId

from ..clock import to_time
from . import cipher
from .cipher import MARK_BYTES, NONCE_BYTES, Damaged, wipe
from .keys import DataKey
from .store import EntryRow, Outline

METADATA_BYTES = 64 * 1024
"""The most that an entry's metadata may take, as JSON: all of it is in memory while the vault is unlocked."""


class About(msgspec.Struct, frozen=True, omit_defaults=True):
    """All of an entry but its value. Times are in microseconds since 1970. What is added here needs a default: what was
    sealed before must open."""

    name: str
    category: str
    tags: tuple[str, ...]
    metadata: dict[str, Any]
    agent_readable: bool
    created_at: int
    updated_at: int
    agent_usable: bool = False
    rights_withheld: bool = False
    """In memory alone: it is sealed with rights that don't count (`rights`)."""


_encode = msgspec.json.Encoder().encode
_decode_about = msgspec.json.Decoder(About).decode


def seal(key: DataKey, entry_id: str, revision: int, about: About, value: bytes | bytearray) -> EntryRow:
    """An entry as a row; `value` is JSON. Raises `Wiped`."""
    sealed = _seal(key, entry_id, "value", revision, value)
    return EntryRow(
        id=entry_id,
        name_hash=key.name_hash(about.name),
        revision=revision,
        key_version=key.version,
        about=_seal(key, entry_id, "about", revision, _encode(about)),
        value_mark=sealed[:NONCE_BYTES] + sealed[NONCE_BYTES - MARK_BYTES :],
        value=sealed[NONCE_BYTES : NONCE_BYTES - MARK_BYTES],
    )


def open_about(key: DataKey, row: Outline | EntryRow) -> About:
    """What is known of an entry but its value. Raises `Damaged`, also where the row is another name's or key's, and
    `Wiped`."""
    plain = _open(key, row, "about", row.about)
    try:
        about = _decode_about(plain)
    except msgspec.DecodeError:
        raise Damaged("it is no entry") from None
    finally:
        wipe(plain)
    if not hmac.compare_digest(key.name_hash(about.name), row.name_hash):
        raise Damaged("it stands under another name")
    return about


def open_value(key: DataKey, row: EntryRow) -> bytearray:
    """An entry's value as JSON, for the caller to wipe. Raises `Damaged` and `Wiped`."""
    nonce, tag = row.value_mark[:NONCE_BYTES], row.value_mark[NONCE_BYTES:]
    return _open(key, row, "value", b"".join((nonce, row.value, tag)))


def for_agents(about: About) -> About:
    """What an agent is told of an entry. By its name, category and tags it asks for it; the metadata, which people fill
    with what belongs to the secret, is for those who may have that."""
    if about.agent_readable or about.agent_usable or not about.metadata:
        return about
    return msgspec.structs.replace(about, metadata={})


def entry(entry_id: str, revision: int, about: About, *, to_agent: bool) -> Entry:
    """The wire's entry."""
    return Entry(**shown(entry_id, revision, for_agents(about) if to_agent else about))


def shown(entry_id: str, revision: int, about: About) -> dict[str, Any]:
    """The members of the wire's entry."""
    return {
        "id": EntryId(entry_id),
        "name": about.name,
        "category": about.category,
        "tags": about.tags,
        "metadata": about.metadata,
        "agent_readable": about.agent_readable,
        "agent_usable": about.agent_usable,
        "rights_withheld": about.rights_withheld,
        "created_at": to_time(about.created_at),
        "updated_at": to_time(about.updated_at),
        "version": revision,
    }


def words_of(about: About) -> str:
    """The text in which a search looks."""
    metadata = json.dumps(about.metadata, ensure_ascii=False) if about.metadata else ""
    return " ".join((about.name, about.category, *about.tags, metadata))


def _seal(key: DataKey, entry_id: str, field: str, revision: int, plain: bytes | bytearray) -> bytes:
    padded = cipher.pad(plain)
    try:
        return cipher.seal(key.entries, padded, cipher.aad(key.vault_id, entry_id, field, key.version, revision))
    finally:
        wipe(padded)


def _open(key: DataKey, row: Outline | EntryRow, field: str, sealed: bytes) -> bytearray:
    if row.key_version != key.version or row.revision < 0:
        raise Damaged("another key sealed it")
    padded = cipher.open(key.entries, sealed, cipher.aad(key.vault_id, row.id, field, row.key_version, row.revision))
    try:
        return cipher.unpad(padded)
    finally:
        wipe(padded)
