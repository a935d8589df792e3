"""How the vault seals bytes: AES-256-GCM (NIST SP 800-38D) with a fresh nonce for each, bound to where they belong.

Sealed bytes are `nonce (12) | ciphertext | tag (16)`. The nonce is random: with one key, 2^32 seals keep the chance
that two are alike below 2^-32 (SP 800-38D, 8.3), and a vault seals far less before its key is changed. What is sealed
is padded, so that its length says less: to a multiple of 64 bytes up to 1 KiB, then to a power of two. Which of these
it is can still be seen from outside.

Refuses to say why something doesn't open. Knows no table and no password.
"""

from __future__ import annotations

import os
import struct
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
MARK_BYTES = NONCE_BYTES + TAG_BYTES

_FORM = b"kept vault 1"
_HEAD = struct.Struct(">IIIIqq")
_LENGTH_BYTES = 4
_STEP_BYTES = 64
_STEPS_TO = 1024

Bytes = bytes | bytearray | memoryview


class Damaged(Exception):
    """What was sealed doesn't open: it was changed, stands in another place, or another key sealed it."""


@cache
def _library() -> tuple[type[AESGCM], type[InvalidTag]]:
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - a start does without.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - a start does without.

    return AESGCM, InvalidTag


def seal(key: Bytes, plain: Bytes, aad: bytes) -> bytes:
    """Seal bytes under a key of 32 bytes, bound to `aad`, which opening needs again."""
    cipher, _ = _library()
    nonce = os.urandom(NONCE_BYTES)
    return nonce + cipher(key).encrypt(nonce, plain, aad)


def open(key: Bytes, sealed: Bytes, aad: bytes) -> bytearray:  # noqa: A001 - what is done with what is sealed.
    """What was sealed, for the caller to wipe. Raises `Damaged`."""
    cipher, invalid = _library()
    if len(sealed) < MARK_BYTES:
        raise Damaged("too short to have been sealed")
    plain = bytearray(len(sealed) - MARK_BYTES)
    try:
        cipher(key).decrypt_into(sealed[:NONCE_BYTES], memoryview(sealed)[NONCE_BYTES:], aad, plain)
    except invalid:
        wipe(plain)
        raise Damaged("it doesn't open") from None
    return plain


def aad(vault_id: str, entry_id: str, field: str, key_version: int, revision: int) -> bytes:
    """What a sealed field is bound to: the vault, the entry, which field of it, the data key's version and the entry's
    revision. The lengths of the texts come first, so that no two places have the same bytes."""
    vault, entry, name = vault_id.encode(), entry_id.encode(), field.encode()
    lengths = _HEAD.pack(len(_FORM), len(vault), len(entry), len(name), key_version, revision)
    return lengths + _FORM + vault + entry + name


def labelled(part: bytes) -> bytes:
    """Bytes with their length before them (4 bytes, big-endian)."""
    return len(part).to_bytes(_LENGTH_BYTES, "big") + part


def pad(plain: Bytes) -> bytearray:
    """Bytes with their length before them and zeros behind, as long as one of few sizes."""
    padded = bytearray(_bucket(_LENGTH_BYTES + len(plain)))
    padded[:_LENGTH_BYTES] = len(plain).to_bytes(_LENGTH_BYTES, "big")
    padded[_LENGTH_BYTES : _LENGTH_BYTES + len(plain)] = plain
    return padded


def unpad(padded: Bytes) -> bytearray:
    """What was padded, for the caller to wipe. Raises `Damaged`."""
    length = int.from_bytes(padded[:_LENGTH_BYTES], "big")
    if len(padded) < _LENGTH_BYTES or length > len(padded) - _LENGTH_BYTES:
        raise Damaged("its length is wrong")
    return bytearray(memoryview(padded)[_LENGTH_BYTES : _LENGTH_BYTES + length])


def wipe(secret: bytearray) -> None:
    """Write zeros over it. Copies that others made of it stay."""
    secret[:] = bytes(len(secret))


def _bucket(length: int) -> int:
    if length <= _STEPS_TO:
        return -(-length // _STEP_BYTES) * _STEP_BYTES
    return 1 << (length - 1).bit_length()
