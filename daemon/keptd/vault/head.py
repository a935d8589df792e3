"""The head: one keyed hash over all that the vault holds, so that no row of it can be dropped, doubled or put back.

    leaf = HMAC(head key, entry | id, revision, key version, SHA-256 of what is sealed)
    total = the sum of all leaves modulo 2^256
    head = HMAC(head key, vault | id, counter, key version, number of entries, total, SHA-256 of the wrapped keys)

The sum is the multiset hash of Clarke, Devadas, van Dijk, Gassend and Suh (MSet-Add-Hash, ASIACRYPT 2003): the leaves
are keyed and the sum is never shown, so that nobody without the key can find other entries with the same one. It lets a
change of one entry cost one subtraction and one addition, however many there are.

The counter grows with each change; the head is written in the transaction of the change, and compared with all rows
when the vault is unlocked. It covers the vault's row and each entry's, but for the order in which entries were made.
Not under it are the audit list, the count of wrong passwords, whose rights are withheld, and receipts, each of which
has a keyed hash of its own: who writes to the database can change these unnoticed.

What it can't tell: whether the vault's row and all entries together are an older copy, since that was right once.
`inspection` compares them with the audit list; of a copy that has an audit list of its own time, nothing in the
database tells. `vault.status` shows the counter, for who remembers a larger one.

Refuses to know how entries are read or written.
"""

from __future__ import annotations

import hashlib
import struct

from .cipher import labelled
from .keys import DataKey
from .store import EntryRow, Header, Outline

_MODULUS = 1 << 256
_LEAF = struct.Struct(">III")
_ENTRY = struct.Struct(">5sIqq")


def leaf(key: DataKey, entry: Outline | EntryRow) -> int:
    """What one entry adds. Raises `Wiped`."""
    one, about, mark = entry.id.encode(), entry.about, entry.value_mark
    sealed = hashlib.sha256(_LEAF.pack(len(entry.name_hash), len(about), len(mark)) + entry.name_hash + about + mark)
    numbers = _ENTRY.pack(b"entry", len(one), entry.revision, entry.key_version)
    return int.from_bytes(key.head_tag(numbers + one + sealed.digest()), "big")


def added(total: int, *leaves: int) -> int:
    """The sum with some more."""
    return (total + sum(leaves)) % _MODULUS


def removed(total: int, leaf: int) -> int:
    """The sum with one less."""
    return (total - leaf) % _MODULUS


def tag(key: DataKey, header: Header, entries: int, total: int) -> bytes:
    """The head of a vault with this header (whose own head doesn't count), so many entries and their sum. Raises
    `Wiped`."""
    wrapped = hashlib.sha256(
        b"".join(
            map(
                labelled,
                (
                    header.salt,
                    *map(_number, (header.memory_kib, header.passes, header.lanes)),
                    header.wrapped,
                    header.recovery_salt or b"",
                    header.recovery or b"",
                ),
            )
        )
    )
    parts = (
        b"vault",
        header.id.encode(),
        *map(_number, (header.created_at, header.counter, header.key_version, entries)),
        total.to_bytes(32, "big"),
        wrapped.digest(),
    )
    return key.head_tag(b"".join(map(labelled, parts)))


def _number(value: int) -> bytes:
    return value.to_bytes(8, "big", signed=True)
