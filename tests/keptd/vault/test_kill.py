"""A real daemon is killed while it changes the vault's keys: the old password works or the new, and all opens."""

from __future__ import annotations

import os
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
        password = PASSWORD
        for number in range(ROUNDS):
            former, new = password, OTHER if password == PASSWORD else PASSWORD
            call: ChangePassword | RotateKey = RotateKey(password=former)
            if number % 3 < 2:
                call = ChangePassword(password=former, new_password=new)
            with closing(socket.socket(socket.AF_UNIX)) as doomed:
                doomed.connect(made.paths.socket)
                doomed.sendall(request(1, call.method, **msgspec.structs.asdict(call)) + b"\n")
                # So that it is at another step each time.
                for _ in range(number * 7 % 40):
                    client.call(Ping())
                made.end(signal.SIGKILL)
            password = unlocked(client, former, new)
            assert client.call(StatusOfVault()).entries == ENTRIES
            for entry in client.call(ListSecrets(limit=100)).items:
                assert client.call(RetrieveSecret(id=entry.id)).value == int(entry.name[1:])
