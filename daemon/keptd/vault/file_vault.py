"""Vaults that other programs keep in files, sealed under a key that PBKDF2 makes of a password. Reads, never writes.

The form is that of ActiveMirrorOS (github.com/MirrorDNA-Reflection-Protocol/ActiveMirrorOS, sdk/javascript/vault.js and
sdk/python/activemirror/vault_memory.py):

    key      PBKDF2-HMAC-SHA-256 of the password in UTF-8, 100,000 rounds, 32 bytes; salt: `activemirror_vault`, or
             the first 16 bytes of the index
    .vault_index.enc  [salt] | sealed {"entries": {KEY: {"file": PATH, "metadata": {...}, ...}}, ...}
    KEY.vault         sealed {"key": KEY, "value": any, "metadata": {...}, "createdAt": ..., "updatedAt": ...}
    sealed   IV (16) | tag (16) | ciphertext: AES-256-GCM, as the JavaScript writes it
             nonce (12) | ciphertext | tag (16): the same with the nonce that GCM is made for
             a Fernet token with the key's halves, as the Python writes it, with `created_at` and `updated_at`

Each file opens by itself, so the index only tells what is missing. What is taken over is what opens: such a vault loses
its index when it was once opened with a wrong password, and keeps its entries. `category` and `tags` come out of the
metadata; a time without a zone is this machine's.

Refuses, file by file and without a word of what is in it, what doesn't open, is no entry, or is larger than a secret of
kept may be. What was opened can't be wiped here: it becomes Python's objects at once.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct, field

from kept.frames import DEPTH, too_deep
from kept.wire import VALUE_BYTES, Name, Tags
from kept.wire.errors import Denied, InvalidParams
from kept.wire.vault import Category
from kept.wire.vault_import import INDEX, SUFFIX

from ..clock import to_micros
from . import names
from .cipher import KEY_BYTES, NONCE_BYTES, TAG_BYTES, wipe
from .entries import METADATA_BYTES

_ROUNDS = 100_000
_SALT = b"activemirror_vault"
_SALT_BYTES = 16
_IV_BYTES = 16
_NAME_CHARACTERS = 255
_WRAPPED = 8
"""Levels that a reply puts around a value."""

_encode = msgspec.json.Encoder().encode


class Found(NamedTuple):
    """An entry. `value` is JSON; times are in microseconds since 1970, None where there is none."""

    file: str
    name: str
    is_cleaned: bool
    """Whether it is called otherwise there (`names.cleaned`)."""
    value: bytes
    category: str
    tags: tuple[str, ...]
    metadata: dict[str, Any]
    created_at: int | None
    updated_at: int | None


class Unread(NamedTuple):
    """A file that could not be read, and why."""

    file: str
    why: str


class _Listed(Struct, frozen=True):
    file: str = ""


class _Index(Struct, frozen=True):
    entries: dict[str, _Listed]


class _Entry(Struct, frozen=True):
    key: str
    value: Any
    metadata: dict[str, Any] | None = None
    created_at: Any = None
    updated_at: Any = None
    created_in_javascript: Any = field(default=None, name="createdAt")
    updated_in_javascript: Any = field(default=None, name="updatedAt")


_decode_index = msgspec.json.Decoder(_Index).decode
_decode_entry = msgspec.json.Decoder(_Entry).decode


def read(password: str, files: Mapping[str, bytes]) -> tuple[list[Found], list[Unread]]:
    """The entries of a vault's files, by the names of these, and what can't be read. Takes tens of milliseconds.

    Raises `InvalidParams` where none of them is a vault's, and `Denied` where the password opens none.
    """
    index = files.get(INDEX)
    sealed = {name: data for name, data in sorted(files.items()) if name.endswith(SUFFIX)}
    if index is None and not sealed:
        raise InvalidParams(
            f"files: neither {INDEX} nor an entry (NAME{SUFFIX}) is among them",
            hint="Send the files of the vault's folder.",
            field="files",
        )
    opened = _opened(password, index, sealed)
    unread = [Unread(name, "it belongs to no vault") for name in sorted(files.keys() - sealed.keys() - {INDEX})]
    if index is not None:
        unread += _missing(opened.get(INDEX), sealed)
    read = [_entry(name, opened.get(name)) for name in sealed]
    unread += [one for one in read if isinstance(one, Unread)]
    return [one for one in read if isinstance(one, Found)], unread


def _opened(password: str, index: bytes | None, sealed: Mapping[str, bytes]) -> dict[str, bytes]:
    """What opens, by its file; under the salt of which anything opens."""
    for salt, body in _salts(index):
        key = bytearray(hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ROUNDS, KEY_BYTES))
        whole = sealed if body is None else {INDEX: body, **sealed}
        try:
            opened = {name: plain for name, data in whole.items() if (plain := _open(key, data)) is not None}
        finally:
            wipe(key)
        if opened:
            return opened
    raise Denied(
        "the password opens none of these files, or all of them are damaged",
        hint="Nothing was imported. It is the password of the vault in the files, not the one of kept's.",
    )


def _salts(index: bytes | None) -> Iterator[tuple[bytes, bytes | None]]:
    """Each salt that may be meant, and what of the index is sealed then."""
    yield _SALT, index
    if index is not None:
        yield index[:_SALT_BYTES], index[_SALT_BYTES:]


def _open(key: bytearray, sealed: bytes) -> bytes | None:
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - most daemons never need it.
    from cryptography.fernet import Fernet, InvalidToken  # noqa: PLC0415 - as above.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - as above.

    iv, tag, rest = sealed[:_IV_BYTES], sealed[_IV_BYTES : _IV_BYTES + TAG_BYTES], sealed[_IV_BYTES + TAG_BYTES :]
    for nonce, text in ((iv, rest + tag), (sealed[:NONCE_BYTES], sealed[NONCE_BYTES:])):
        if len(text) >= TAG_BYTES and len(tag) == TAG_BYTES:
            try:
                return AESGCM(key).decrypt(nonce, text, None)
            except InvalidTag:
                pass
    try:
        return Fernet(base64.urlsafe_b64encode(key)).decrypt(sealed)
    except InvalidToken:
        return None


def _missing(plain: bytes | None, sealed: Mapping[str, bytes]) -> Iterator[Unread]:
    """What the index lists and is not there."""
    if plain is None:
        yield Unread(INDEX, "it doesn't open, so that nobody can tell whether an entry is missing")
        return
    try:
        entries = _decode_index(plain).entries
    except (msgspec.DecodeError, RecursionError):
        yield Unread(INDEX, "it opens, but it is no index")
        return
    for key, listed in sorted(entries.items()):
        names = {listed.file.replace("\\", "/").rpartition("/")[2], f"{key}{SUFFIX}"}
        if not names & sealed.keys():
            yield Unread(f"{key}{SUFFIX}"[:_NAME_CHARACTERS], "the index lists it, and it is not there")


def _entry(file: str, plain: bytes | None) -> Found | Unread:
    if plain is None:
        return Unread(file, "it doesn't open: it is damaged, or another password sealed it")
    if too_deep(plain, DEPTH - _WRAPPED):
        return Unread(file, f"its value nests deeper than {DEPTH - _WRAPPED} levels")
    try:
        entry = _decode_entry(plain)
        name = msgspec.convert(names.cleaned(entry.key), Name)
    except (msgspec.DecodeError, RecursionError):
        return Unread(file, "it opens, but it is no entry with a name of 1 to 200 characters that show")
    value = _encode(entry.value)
    if len(value) > VALUE_BYTES:
        return Unread(file, f"its value is larger than {VALUE_BYTES:,} bytes of JSON")
    metadata = dict(entry.metadata or {})
    category, tags = _taken(metadata, "category", Category, "general"), _taken(metadata, "tags", Tags, ())
    if len(_encode(metadata)) > METADATA_BYTES:
        return Unread(file, f"its metadata is larger than {METADATA_BYTES:,} bytes of JSON")
    created, updated = entry.created_at or entry.created_in_javascript, entry.updated_at or entry.updated_in_javascript
    times = _moment(created), _moment(updated)
    return Found(file, name, name != entry.key, value, category, tags, metadata, *times)


def _taken(metadata: dict[str, Any], key: str, kind: Any, default: Any) -> Any:
    """What stands there, out of the metadata, where it is of this kind; else the default, and it stays."""
    try:
        value = msgspec.convert(metadata[key], kind)
    except (KeyError, msgspec.ValidationError):
        return default
    del metadata[key]
    return value


def _moment(text: Any) -> int | None:
    try:
        return to_micros(datetime.fromisoformat(text).astimezone(UTC))
    except (TypeError, ValueError, OverflowError):
        return None
