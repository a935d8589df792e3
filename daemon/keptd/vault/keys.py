"""The vault's keys: how each comes from another, what it is for, and when it is gone.

    password --Argon2id(salt, parameters)--> key-encryption key --AES-256-GCM--> opens the wrapped data key
    recovery code (256 bits) --HKDF(salt)--> key-encryption key --AES-256-GCM--> opens it as well, wrapped once more
    data key (random, 256 bits) --HKDF(vault id, purpose)--> four keys:
        entries   AES-256-GCM of each entry's fields (`entries`)
        names     HMAC-SHA-256 of names, by which the table finds one that is taken
        head      HMAC-SHA-256 over all there is (`head`)
        receipts  HMAC-SHA-256 of requests, by which a repeated one is known

Argon2id is RFC 9106, HKDF is RFC 5869 with SHA-256. A wrapped key is bound to the vault's id, the data key's version,
the salt and every parameter of the derivation: where one of them was changed, the right password opens nothing. Weaker
parameters than the floor, or such as no machine could bear, are refused before anything is derived.

A new password wraps the same data key anew. Who had the old password and an old copy of the vault has that data key:
`vault.rotate` makes another.

What lies in memory: while the vault is unlocked, the four keys and the data key, as `bytearray`s that are overwritten
when it is locked; none of them is found in the daemon's memory then. Not everything can be overwritten: the password
came as a `str` in a message, and so did values and names, and a copy that nothing refers to any more stays until its
memory is used again. So the daemon leaves no dump of its memory, and keys live no longer than an unlocked vault does:
ten minutes after its last use, two hours at most, where the settings leave it at that. What can read the memory of a
running daemon, as root can, reads an unlocked vault.

Nor is this memory locked against being swapped out (mlock(2)), since that would promise more than it keeps. Locks are
of pages and don't nest, and a `bytearray` shares its page with other objects; the ciphers expand each key into memory
of their own, out of reach; and what keys open, values and passwords, lies all over the heap. Locking the whole process
(mlockall) would hold it, with the 64 MiB and more that a password takes, against a limit that is 8 MiB on most systems,
and make the allocation fail that passes it. The unit of systemd keeps the daemon out of the swap (MemorySwapMax=0), as
far as the user's manager may limit memory; elsewhere keys of an unlocked vault may reach the swap, and stay there after
they were wiped in memory: encrypted swap, or none, is the way out. An image of the sleeping machine has no keys where
the vault was told in time and no change of keys or import takes longer than the machine waits: `sleep` locks it before.

Refuses to store anything: `store` does.
"""

from __future__ import annotations

import hmac
import os
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from . import cipher
from .cipher import Bytes, wipe

SALT_BYTES = 16

_LEAST_SALT_BYTES = 8
"""What Argon2 takes (RFC 9106, 3.1)."""

_PURPOSES: Final = ("entries", "names", "head", "receipts")


class KdfParameters(msgspec.Struct, frozen=True):
    """What Argon2id is asked for: memory in KiB, passes over it, lanes."""

    memory_kib: int
    passes: int
    lanes: int

    def is_sane(self) -> bool:
        """Whether they are within `FLOOR` and `CEILING`."""
        return all(
            low <= own <= high
            for low, own, high in zip(*map(msgspec.structs.astuple, (FLOOR, self, CEILING)), strict=True)
        )

    def raised_to(self, policy: KdfParameters) -> KdfParameters:
        """Each as high as the higher of the two."""
        return KdfParameters(*map(max, msgspec.structs.astuple(self), msgspec.structs.astuple(policy)))


FLOOR = KdfParameters(19 * 1024, 2, 1)
"""The least that is accepted: OWASP's Password Storage Cheat Sheet."""

CEILING = KdfParameters(1024 * 1024, 16, 16)
"""The most: a vault that asks for more was tampered with."""


def password_bytes(password: str) -> bytearray:
    """A password as bytes, the same on every keyboard: NFKC (NIST SP 800-63B, 5.1.1.2), UTF-8. For the caller to
    wipe."""
    return bytearray(unicodedata.normalize("NFKC", password), "utf-8", "surrogatepass")


def derive_kek(password: Bytes, salt: bytes, parameters: KdfParameters) -> bytearray:
    """The key-encryption key of a password; takes as long as the parameters ask for, without the interpreter's lock.
    Raises `Damaged` for parameters that are out of bounds, and for what is no salt."""
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id  # noqa: PLC0415 - a start does without.

    if not parameters.is_sane() or len(salt) < _LEAST_SALT_BYTES:
        raise cipher.Damaged("the parameters of the derivation are out of bounds")
    kek = bytearray(cipher.KEY_BYTES)
    Argon2id(
        salt=salt,
        length=cipher.KEY_BYTES,
        iterations=parameters.passes,
        lanes=parameters.lanes,
        memory_cost=parameters.memory_kib,
    ).derive_into(password, kek)  # type: ignore[arg-type]  # It takes any bytes; its stub says `bytes`.
    return kek


def derive_code_kek(code: Bytes, salt: bytes) -> bytearray:
    """The key-encryption key of a recovery code's 256 bits, which are too many to be guessed."""
    return _expand(code, salt, "recovery code")


def context(vault_id: str, key_version: int, salt: bytes, parameters: KdfParameters | None) -> bytes:
    """What a wrapped key is bound to; without parameters it is wrapped under the recovery code."""
    numbers = (key_version, *(msgspec.structs.astuple(parameters) if parameters else ()))
    purpose = "wrapped by password" if parameters else "wrapped by recovery code"
    texts = (b"kept vault 1", purpose.encode(), vault_id.encode(), salt)
    return b"".join(map(cipher.labelled, texts)) + b"".join(
        number.to_bytes(8, "big", signed=True) for number in numbers
    )


def wrap(kek: Bytes, data_key: Bytes, context: bytes) -> bytes:
    """The data key, sealed."""
    return cipher.seal(kek, data_key, context)


def unwrap(kek: Bytes, wrapped: bytes, context: bytes) -> bytearray:
    """The data key, for the caller to wipe. Raises `Damaged` for another key-encryption key, or where something that
    it is bound to was changed: these can't be told apart."""
    data_key = cipher.open(kek, wrapped, context)
    if len(data_key) != cipher.KEY_BYTES:
        wipe(data_key)
        raise cipher.Damaged("it is no key")
    return data_key


def new_salt() -> bytes:
    """A random salt."""
    return os.urandom(SALT_BYTES)


class Wiped(Exception):
    """The key is gone: the vault has been locked."""


class DataKey:
    """The data key of one vault and version, and what is derived from it. `wipe` it when it is no longer needed."""

    __slots__ = ("_keys", "secret", "vault_id", "version")

    def __init__(self, vault_id: str, version: int, secret: bytearray | None = None) -> None:
        """Takes `secret` over, to wipe it; without one it makes a new key."""
        self.vault_id = vault_id
        self.version = version
        self.secret = bytearray(os.urandom(cipher.KEY_BYTES)) if secret is None else secret
        self._keys = {purpose: _expand(self.secret, vault_id.encode(), purpose) for purpose in _PURPOSES}

    @property
    def is_wiped(self) -> bool:
        """Whether it is gone."""
        return not self._keys

    @property
    def entries(self) -> bytearray:
        """Seals the fields of entries. Raises `Wiped`."""
        return self._key("entries")

    def name_hash(self, name: str) -> bytes:
        """What stands for a name in the table. Raises `Wiped`."""
        return hmac.digest(self._key("names"), unicodedata.normalize("NFC", name).encode(), "sha256")

    def request_hash(self, request: bytes) -> bytes:
        """What stands for a request in its receipt. Raises `Wiped`."""
        return hmac.digest(self._key("receipts"), request, "sha256")

    def head_tag(self, message: bytes) -> bytes:
        """Authenticates a part of the head, or all of it. Raises `Wiped`."""
        return hmac.digest(self._key("head"), message, "sha256")

    def wipe(self) -> None:
        """Write zeros over all of it; it can't be used afterwards."""
        wipe(self.secret)
        for key in self._keys.values():
            wipe(key)
        self._keys.clear()

    @contextmanager
    def wiped_on_failure(self) -> Iterator[None]:
        """Wipe it where what is done with it ends otherwise than well."""
        try:
            yield
        except BaseException:
            self.wipe()
            raise

    def _key(self, purpose: str) -> bytearray:
        if not self._keys:
            raise Wiped(purpose)
        return self._keys[purpose]


def _expand(secret: Bytes, salt: bytes, purpose: str) -> bytearray:
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - as in `derive_kek`.
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415 - as in `derive_kek`.

    key = bytearray(cipher.KEY_BYTES)
    HKDF(hashes.SHA256(), cipher.KEY_BYTES, salt=salt, info=f"kept vault 1 {purpose}".encode()).derive_into(secret, key)
    return key
