"""A daemon with a vault, and what tests of the vault do to it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import patch

import anyio
import apsw
import pytest
from cryptography.hazmat.primitives.kdf import argon2

from keptd.store.database import open_reader
from keptd.vault import store
from keptd.vault.keyring import Keyring
from keptd.vault.store import EntryRow
from tests.harness import PATIENCE, Daemon, Peer, StageClock, request, running

PASSWORD = "correct horse"
OTHER = "battery staple"


@asynccontextmanager
async def guarded(home: Path, clock: StageClock | None = None, /, **settings: str) -> AsyncIterator[Daemon]:
    """A daemon, with the clock of a former one."""
    async with running(home, None, clock, **settings) as daemon:
        yield daemon


async def made(daemon: Daemon) -> Peer:
    """A connection to a vault that is unlocked: made, if there is none."""
    peer = await daemon.connect()
    is_absent = (await peer.result("vault.status"))["state"] == "absent"
    await peer.result("vault.init" if is_absent else "vault.unlock", password=PASSWORD)
    return peer


async def agent(daemon: Daemon) -> Peer:
    """A connection that said that it is an agent."""
    peer = await daemon.connect()
    await peer.result("daemon.hello", client="bot", kind="agent")
    return peer


async def progress_of(peer: Peer, method: str, **params: Any) -> tuple[Any, list[tuple[int, int, str]]]:
    """What a call gives, and what was told of it meanwhile."""
    await peer.send(request("long", method, **params))
    told = []
    while (message := await peer.receive()).get("method") == "$/progress":
        assert message["params"]["id"] == "long"
        told.append((message["params"]["done"], message["params"]["total"], message["params"]["text"]))
    return message["result"], told


def keyring(daemon: Daemon) -> Keyring:
    return daemon.supervisor._store.attached.of(Keyring)


async def accesses(peer: Peer, **filters: Any) -> list[tuple[str, str]]:
    """What the audit list tells, oldest first, when all of it is written."""
    await peer.result("memory.set", key="after what was handed over before", value=0)
    items = (await peer.result("vault.audit", limit=1000, **filters))["items"]
    return [(item["action"], item["outcome"]) for item in reversed(items)]


class Gate:
    """Holds a function that runs in a thread, until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
        self._real = getattr(module, name)
        self._reached = threading.Event()
        self._open = threading.Event()
        monkeypatch.setattr(module, name, self._run)

    def _run(self, *given: Any) -> Any:
        self._reached.set()
        assert self._open.wait(PATIENCE)
        return self._real(*given)

    async def reached(self) -> None:
        assert await anyio.to_thread.run_sync(self._reached.wait, PATIENCE)

    def open(self) -> None:
        self._open.set()


@contextmanager
def quick() -> Iterator[None]:
    """Derive keys from passwords without the memory that a search through passwords is to cost: a daemon takes no
    cheaper parameters, and most of what a test does with passwords would be to wait for them. Other parameters still
    give another key."""
    real = argon2.Argon2id

    def cheap(*, salt: bytes, length: int, iterations: int, lanes: int, memory_cost: int) -> argon2.Argon2id:
        asked = f"{iterations} {memory_cost}".encode()
        return real(salt=salt + asked, length=length, iterations=1, lanes=lanes, memory_cost=8 * lanes)

    with patch.object(argon2, "Argon2id", cheap):
        yield


@contextmanager
def disk(daemon: Daemon, fault: type[apsw.Error]) -> Iterator[None]:
    """Nothing can be committed meanwhile."""

    def fail(_batch: Any) -> NoReturn:
        raise fault

    writer: Any = daemon.supervisor._store.writer
    writer._transact = fail
    try:
        yield
    finally:
        del writer._transact


def rows(daemon: Daemon) -> list[EntryRow]:
    """The entries as they are stored."""
    db = open_reader(Path(daemon.paths.database))
    try:
        return list(store.whole(db))
    finally:
        db.close()


def tampered(home: Path, change: Callable[[apsw.Connection], object]) -> None:
    """Change the database of a daemon that has ended."""
    db = apsw.Connection(str(home / "kept.db"), vfs="cksmvfs")
    try:
        change(db)
    finally:
        db.close()
