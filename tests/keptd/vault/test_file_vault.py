"""Vaults in files are read in each form that there is; whatever is wrong with a file is told, and not what is in it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from kept.wire.errors import Denied, InvalidParams
from kept.wire.vault_import import INDEX
from keptd.vault import file_vault
from keptd.vault.file_vault import read

FIXED_SALT = b"activemirror_vault"
PASSWORD = "a password"


@pytest.fixture(scope="module", autouse=True)
def few_rounds() -> Iterator[None]:
    """These tests are about the form, and derive hundreds of keys; one of known answers has all rounds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_vault, "_ROUNDS", 1)
        yield


def key_of(salt: bytes, password: str = PASSWORD) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, file_vault._ROUNDS, 32)


def as_javascript(key: bytes, plain: bytes) -> bytes:
    iv = os.urandom(16)
    sealed = AESGCM(key).encrypt(iv, plain, None)
    return iv + sealed[-16:] + sealed[:-16]


def as_usual(key: bytes, plain: bytes) -> bytes:
    nonce = os.urandom(12)
    return nonce + AESGCM(key).encrypt(nonce, plain, None)


def as_python(key: bytes, plain: bytes) -> bytes:
    return Fernet(base64.urlsafe_b64encode(key)).encrypt(plain)


Seal = Callable[[bytes, bytes], bytes]
SEALS = (as_javascript, as_usual, as_python)


def vault(seal: Seal, *entries: dict[str, Any], salt: bytes | None = None) -> dict[str, bytes]:
    """A vault's files; with a salt of its own where one is given."""
    key = key_of(salt or FIXED_SALT)
    listed = {entry["key"]: {"file": f"/x/vault/{entry['key']}.vault", "metadata": {}} for entry in entries}
    files = {f"{entry['key']}.vault": seal(key, json.dumps(entry).encode()) for entry in entries}
    return {INDEX: (salt or b"") + seal(key, json.dumps({"entries": listed}).encode()), **files}


@pytest.mark.parametrize("salt", [None, b"0123456789abcdef"])
@pytest.mark.parametrize("seal", SEALS)
def test_each_form_is_read_under_either_salt(seal: Seal, salt: bytes | None) -> None:
    files = vault(seal, {"key": "a", "value": 1}, {"key": "b", "value": "two"}, salt=salt)
    entries, unread = read(PASSWORD, files)
    assert [(entry.file, entry.name, entry.value) for entry in entries] == [
        ("a.vault", "a", b"1"),
        ("b.vault", "b", b'"two"'),
    ]
    assert unread == []


@pytest.mark.parametrize("seal", SEALS)
def test_another_password_opens_nothing_and_is_told_so(seal: Seal) -> None:
    with pytest.raises(Denied, match="the password opens none"):
        read("another", vault(seal, {"key": "a", "value": 1}))


def test_entries_are_read_without_an_index_and_beside_another_password_s() -> None:
    files = vault(as_javascript, {"key": "a", "value": 1})
    del files[INDEX]
    files["z.vault"] = as_javascript(key_of(FIXED_SALT, "another"), b"{}")
    entries, unread = read(PASSWORD, files)
    assert [entry.name for entry in entries] == ["a"]
    assert [one.file for one in unread] == ["z.vault"]
    assert "another password" in unread[0].why


def test_what_the_index_lists_and_is_not_there_is_told() -> None:
    files = vault(as_javascript, {"key": "a", "value": 1}, {"key": "b", "value": 2})
    del files["b.vault"]
    entries, unread = read(PASSWORD, files)
    assert [entry.name for entry in entries] == ["a"]
    assert [(one.file, "not there" in one.why) for one in unread] == [("b.vault", True)]


def test_an_index_that_does_not_open_costs_no_entry() -> None:
    files = vault(as_javascript, {"key": "a", "value": 1}) | {INDEX: b"x" * 80}
    entries, unread = read(PASSWORD, files)
    assert [entry.name for entry in entries] == ["a"]
    assert [one.file for one in unread] == [INDEX]


@pytest.mark.parametrize(
    ("plain", "why"),
    [
        (b"[]", "no entry"),
        (b"not JSON", "no entry"),
        (b'{"key": "k"}', "no entry"),
        (b'{"key": "", "value": 1}', "1 to 200"),
        (b'{"key": "\\u0000", "value": 1}', "1 to 200"),
        (b'{"key": "k", "value": NaN}', "no entry"),
        (b'{"key": "k", "value": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nests deeper"),
        (json.dumps({"key": "k", "value": "x" * 2**20}).encode(), "1,048,576"),
        (json.dumps({"key": "k", "value": 1, "metadata": {"x": "x" * 2**17}}).encode(), "65,536"),
    ],
)
def test_what_is_no_entry_of_kept_s_is_left_out_with_the_reason(plain: bytes, why: str) -> None:
    files = vault(as_javascript, {"key": "a", "value": 1}) | {"x.vault": as_javascript(key_of(FIXED_SALT), plain)}
    entries, unread = read(PASSWORD, files)
    assert [entry.name for entry in entries] == ["a"]
    assert [(one.file, why in one.why) for one in unread] == [("x.vault", True)]


def test_a_category_or_tags_that_are_none_stay_in_the_metadata() -> None:
    metadata = {"category": 7, "tags": ["x" * 65], "user": "ann"}
    ((entry,), _) = read(PASSWORD, vault(as_python, {"key": "a", "value": None, "metadata": metadata}))
    assert (entry.category, entry.tags, entry.metadata) == ("general", (), metadata)
    assert (entry.value, entry.created_at) == (b"null", None)


def test_other_files_belong_to_no_vault() -> None:
    _, unread = read(PASSWORD, vault(as_python) | {"notes.txt": b"x"})
    assert [one.file for one in unread] == ["notes.txt"]
    with pytest.raises(InvalidParams) as refusal:
        read(PASSWORD, {"notes.txt": b"x"})
    assert refusal.value.data == {"field": "files"}


@given(at=st.integers(min_value=0), bit=st.integers(0, 7), seal=st.sampled_from(SEALS))
def test_no_changed_bit_gives_another_value(at: int, bit: int, seal: Seal) -> None:
    files = vault(seal, {"key": "a", "value": "sound"})
    changed = bytearray(files["a.vault"])
    changed[at % len(changed)] ^= 1 << bit
    entries, unread = read(PASSWORD, files | {"a.vault": bytes(changed)})
    # A Fernet token is base64, whose last character has bits that say nothing.
    assert [one.file for one in unread] == ["a.vault"] or [entry.value for entry in entries] == [b'"sound"']
    assert seal is as_python or not entries


@given(st.dictionaries(st.sampled_from([INDEX, "a.vault", "b.vault", ".vault"]), st.binary(max_size=200), min_size=1))
def test_files_of_any_bytes_are_refused(files: dict[str, bytes]) -> None:
    with pytest.raises(Denied):
        read(PASSWORD, files)
