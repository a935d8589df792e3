"""The memory of a real daemon, read from outside after a lock: none of its keys is left anywhere in it.

Of the password and of what was told last there are copies in memory that is free and not used again yet: Python's texts
can't be overwritten. So much is said of it where the keys are (`keptd.vault.keys`), and not shown here.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from types import CoroutineType

import pytest

from kept.wire.vault import (
    ChangePassword,
    ExportKey,
    InitVault,
    ListSecrets,
    LockVault,
    RetrieveSecret,
    RotateKey,
    SearchSecrets,
    StoreSecret,
    UnlockVault,
)
from keptd.store.database import open_reader
from keptd.vault import keys, store
from keptd.vault.keys import DataKey
from tests.crash.homes import home as home_of
from tests.reachable import reachable

from .room import OTHER, PASSWORD, guarded


def word() -> str:
    """A password that no code has among its constants."""
    return "kanarienvogel".swapcase()


SETTINGS = {"KEPT_VAULT_MEMORY_KIB": "19456", "KEPT_VAULT_PASSES": "2", "KEPT_VAULT_LANES": "1"}


def memory(pid: int) -> Iterator[bytes]:
    """All that a process has written to, or could."""
    with open(f"/proc/{pid}/mem", "rb", 0) as file:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights, *_ = line.split()
            begin, end = (int(part, 16) for part in place.split("-"))
            if rights.startswith("rw"):
                with suppress(OSError):
                    file.seek(begin)
                    yield file.read(end - begin)


def found(pid: int, wanted: dict[str, bytes]) -> set[str]:
    """Which of these stand in its memory."""
    return {name for part in memory(pid) for name, secret in wanted.items() if secret in part}


def all_keys(folder: Path, password: str) -> dict[str, bytes]:
    """Every key that this password leads to, by its name."""
    with closing(open_reader(folder / "kept.db")) as db:
        header = store.header(db)
    assert header is not None
    kek = keys.derive_kek(keys.password_bytes(password), header.salt, header.kdf)
    context = keys.context(header.id, header.key_version, header.salt, header.kdf)
    secret = bytes(keys.unwrap(kek, header.wrapped, context))
    key = DataKey(header.id, header.key_version, bytearray(secret))
    purposes = {purpose: bytes(one) for purpose, one in key._keys.items()}
    # HMAC hashes its key with a constant mixed in (RFC 2104).
    inner = {f"{name}, in HMAC": bytes(byte ^ 0x36 for byte in one) for name, one in purposes.items()}
    key.wipe()
    return {"key-encryption key": bytes(kek), "data key": secret, **purposes, **inner}


def holders() -> list[str]:
    """What in this process holds the word, or bytes with it in them: tasks, and whatever is kept's."""
    text = word()
    with reachable() as objects:
        return [type(one).__qualname__ for one in objects if any(map(partial(_has, text), _held(one)))]


def _held(one: object) -> list[object]:
    is_kept = type(one).__module__.partition(".")[0] in ("kept", "keptd")
    if not is_kept and not isinstance(one, CoroutineType):
        return []
    held = gc.get_referents(one)
    return held + [part for members in held if is_kept and isinstance(members, dict) for part in members.values()]


def _has(text: str, held: object) -> bool:
    return (isinstance(held, str) and text in held) or (isinstance(held, (bytes, bytearray)) and text.encode() in held)


@pytest.mark.anyio
async def test_a_connection_that_waits_does_not_hold_the_password_that_it_sent(home: Path) -> None:
    async with guarded(home) as daemon:
        peer, other = await daemon.connect(), await daemon.connect()
        await peer.result("vault.init", password=word())
        await other.result("vault.lock")
        assert not holders()
        await peer.result("vault.unlock", password=word())
        # As long as a message is, as well: those are read in a thread.
        await peer.result("vault.store", name=word(), value=word() * 30_000)
        assert holders()
        await other.result("vault.lock")
        assert not holders()


def test_after_a_lock_no_key_is_in_the_daemons_memory(home: Path) -> None:
    with home_of(home, **SETTINGS) as made, made.connect() as client:
        client.call(InitVault(password=PASSWORD))
        for number in range(20):
            client.call(StoreSecret(name=f"n{number}", value=f"v{number}"))
        first = all_keys(home, PASSWORD)
        try:
            assert "data key" in found(made.pid(), first)
        except PermissionError:
            pytest.skip(f"user {os.getuid()} can't read the memory of a process that isn't dumpable")
        client.call(RotateKey(password=PASSWORD))
        client.call(ChangePassword(password=PASSWORD, new_password=OTHER))
        client.call(ExportKey(password=OTHER))
        client.call(LockVault())
        client.call(UnlockVault(password=OTHER))
        client.call(SearchSecrets(query="n"))
        client.call(ListSecrets())
        client.call(RetrieveSecret(id="n1"))
        second = all_keys(home, OTHER)
        assert "data key" in found(made.pid(), second)
        assert not found(made.pid(), first)
        client.call(LockVault())
        assert not found(made.pid(), second)
