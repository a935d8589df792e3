"""A real daemon is killed while it changes the vault's keys: the old password works or the new, and all opens."""

from __future__ import annotations

import os
import select
import signal
import socket
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from kept.client import Client
from kept.wire.daemon import Ping
from kept.wire.errors import Denied
from kept.wire.vault import (
    ChangePassword,
    InitVault,
    ListSecrets,
    RetrieveSecret,
    RotateKey,
    StatusOfVault,
    StoreSecret,
    UnlockVault,
)
from tests.crash.homes import Home
from tests.crash.homes import home as home_of
from tests.harness import request

from .room import OTHER, PASSWORD

ROUNDS = 30 if os.environ.get("KEPT_VAULT") == "all" else 3
ENTRIES = 30
SETTINGS = {"KEPT_VAULT_MEMORY_KIB": "19456", "KEPT_VAULT_PASSES": "2", "KEPT_VAULT_LANES": "1"}


def unlocked(client: Client, *passwords: str) -> str:
    """The one of the passwords that opens the vault."""
    for password in passwords:
        try:
            client.call(UnlockVault(password=password))
        except Denied:
            continue
        return password
    pytest.fail("neither password works")


def test_a_daemon_that_is_killed_while_it_changes_its_keys_loses_nothing(home: Path) -> None:
    with home_of(home, **SETTINGS) as made, made.connect() as client:
        client.call(InitVault(password=PASSWORD))
        client.batch([StoreSecret(name=f"n{number}", value=number) for number in range(ENTRIES)])
        password, new = PASSWORD, OTHER
        for method in (ChangePassword, RotateKey):
            whole, password, new = _changed(made, client, method, password, new, None)
            for number in range(ROUNDS):
                # From the first moment to the last, as far as what else the daemon serves meanwhile is a measure.
                _, password, new = _changed(made, client, method, password, new, whole * number // ROUNDS)
                assert client.call(StatusOfVault()).entries == ENTRIES
                for entry in client.call(ListSecrets(limit=100)).items:
                    assert client.call(RetrieveSecret(id=entry.id)).value == int(entry.name[1:])


def _changed(
    made: Home, client: Client, method: type[ChangePassword | RotateKey], password: str, new: str, most: int | None
) -> tuple[int, str, str]:
    """Begin to change the key or the password, and kill the daemon after so many pings, or after the reply where that
    comes before. How many pings there were, the password that works, and the other."""
    call: ChangePassword | RotateKey
    call = RotateKey(password=password) if method is RotateKey else ChangePassword(password=password, new_password=new)
    version = client.call(StatusOfVault()).key_version
    with closing(socket.socket(socket.AF_UNIX)) as doomed:
        doomed.connect(made.paths.socket)
        doomed.sendall(request(1, call.method, **msgspec.structs.asdict(call)) + b"\n")
        pings, told = 0, b""
        while not (is_done := b'"result"' in told) and pings != most:
            if select.select([doomed], [], [], 0)[0]:
                told += doomed.recv(65_536)
            client.call(Ping())
            pings += 1
        made.end(signal.SIGKILL)
    works = unlocked(client, password, new)
    if is_done:
        # What was acknowledged outlasts the kill.
        assert (works, client.call(StatusOfVault()).key_version) == (
            (password, version + 1) if method is RotateKey else (new, version)
        )
    return pings, works, new if works == password else password
