"""Wrong passwords: counted before they are told, slower each time, tried one at a time, at the same cost whatever is
wrong."""

from __future__ import annotations

import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

from kept.wire import Call
from kept.wire.errors import Busy, Denied, KeptError
from kept.wire.vault import ChangePassword, InitVault, LockVault, RotateKey, StatusOfVault, UnlockVault
from keptd.store.database import open_reader
from keptd.vault import keys, store, throttle
from tests.faulty_vfs import Disk, after_cut, restore
from tests.harness import PATIENCE, Peer, request
from tests.rooms import FakeClock

from .room import guarded, made
from .strongbox import OTHER, PASSWORD, Strongbox, beside, cheap, strongbox

pytestmark = pytest.mark.anyio

YEARS = 10 * 365 * 86_400.0


@pytest.fixture(autouse=True)
def _cheap() -> Iterator[None]:
    with cheap():
        yield


class Derivations:
    """How many passwords were made keys of, and how many at once at most. Where a test closes it, they wait."""

    def __init__(self, real: Callable[..., bytearray]) -> None:
        self._real = real
        self._lock = threading.Lock()
        self._open = threading.Event()
        self._open.set()
        self.begun = threading.Event()
        self.number = self.most = self._now = 0

    def __call__(self, *given: Any) -> bytearray:
        with self._lock:
            self.number += 1
            self._now += 1
            self.most = max(self.most, self._now)
        self.begun.set()
        try:
            assert self._open.wait(PATIENCE)
            return self._real(*given)
        finally:
            with self._lock:
                self._now -= 1

    @contextmanager
    def held(self) -> Iterator[None]:
        self._open.clear()
        self.begun.clear()
        try:
            yield
        finally:
            self._open.set()


@pytest.fixture
def derivations(monkeypatch: pytest.MonkeyPatch) -> Derivations:
    counted = Derivations(keys.derive_kek)
    monkeypatch.setattr(keys, "derive_kek", counted)
    return counted


async def wrong(box: Strongbox, times: int = 1) -> None:
    """So many wrong passwords, each after its wait."""
    for _ in range(times):
        box.clock.advance(throttle.LONGEST)
        with pytest.raises(Denied):
            await box(UnlockVault(password="wrong"))


async def wait_of(box: Strongbox) -> float:
    """How long the right password has to wait, in seconds."""
    try:
        await box(UnlockVault(password=PASSWORD))
    except Busy as busy:
        return float(busy.data["retry_after_ms"]) / 1000
    return 0


async def test_the_wait_grows_to_its_limit_and_outlasts_restarts(tmp_path: Path) -> None:
    async with strongbox(tmp_path) as box:
        await box(InitVault(password=PASSWORD))
        clock = box.clock
    waits = []
    for _ in range(15):
        async with strongbox(tmp_path, clock) as box:
            await wrong(box)
            waits.append((await box(StatusOfVault())).retry_after_ms // 1000)
        clock.pause(0, "another")
        async with strongbox(tmp_path, clock) as box:
            assert (await box(StatusOfVault())).retry_after_ms // 1000 == waits[-1]
    assert waits == [0, 0, *(min(900, 1 << number) for number in range(13))]
    async with strongbox(tmp_path, clock) as box:
        assert await wait_of(box) == 900
        clock.advance(899)
        assert await wait_of(box) == 1
        clock.advance(1)
        assert await wait_of(box) == 0
        assert (await box(StatusOfVault())).failures == 0


@pytest.mark.parametrize("leap", [-YEARS, -5.0])
async def test_a_clock_that_is_set_back_makes_no_wait_longer(tmp_path: Path, leap: float) -> None:
    clock = FakeClock()
    async with strongbox(tmp_path, clock) as box:
        await box(InitVault(password=PASSWORD))
        await wrong(box, 6)
        clock.put(leap)
        assert await wait_of(box) == 8
    clock.pause(0, "another")
    async with strongbox(tmp_path, clock) as box:
        assert await wait_of(box) == 8
        clock.advance(8)
        assert await wait_of(box) == 0


async def test_a_password_that_must_wait_is_not_tried(tmp_path: Path, derivations: Derivations) -> None:
    async with strongbox(tmp_path) as box:
        await box(InitVault(password=PASSWORD))
        await wrong(box, 3)
        derivations.number = 0
        calls: tuple[Call[Any], ...] = (
            UnlockVault(password=PASSWORD),
            RotateKey(password=PASSWORD),
            UnlockVault(password="wrong"),
        )
        for call in calls:
            with pytest.raises(Busy):
                await box(call)
        assert derivations.number == 0


async def test_many_at_once_get_no_more_tries_than_one_after_another(tmp_path: Path, derivations: Derivations) -> None:
    seen: Counter[str] = Counter()
    async with strongbox(tmp_path) as box:
        await box(InitVault(password=PASSWORD))
        await box(LockVault())
        derivations.number = 0

        async def attempt() -> None:
            with pytest.raises((Busy, Denied)) as refused:
                await box(UnlockVault(password="wrong"))
            seen[refused.value.type] += 1

        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(attempt)
        assert seen == {"denied": throttle.FREE, "busy": 50 - throttle.FREE}
        assert derivations.number == throttle.FREE
        assert (await box(StatusOfVault())).failures == throttle.FREE


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE vault SET wrapped = zeroblob(60)",
        "UPDATE vault SET salt = zeroblob(16)",
        "UPDATE vault SET head = zeroblob(32)",
        "UPDATE vault SET key_version = 9",
        "UPDATE vault SET id = 'other'",
    ],
)
@pytest.mark.parametrize("password", [PASSWORD, "wrong", "w" * 1000])
async def test_one_key_is_derived_whatever_is_wrong(
    tmp_path: Path, derivations: Derivations, change: str, password: str
) -> None:
    async with strongbox(tmp_path) as box:
        await box(InitVault(password=PASSWORD))
    with beside(tmp_path) as db:
        db.execute(change)
    async with strongbox(tmp_path) as box:
        derivations.number = 0
        with pytest.raises(KeptError):
            await box(UnlockVault(password=password))
        assert derivations.number == 1
        with pytest.raises(KeptError):
            await box(ChangePassword(password=password, new_password=OTHER))
        assert derivations.number == 2


async def test_a_wrong_password_is_on_disk_before_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever the daemon is killed, or the power goes off: who was told that it was wrong has been counted."""
    disk = Disk()
    monkeypatch.setattr(os, "fsync", disk.fsync)
    told = []
    (tmp_path / "live").mkdir()
    async with strongbox(tmp_path / "live", vfs=disk.name) as box:
        await box(InitVault(password=PASSWORD))
        for _ in range(3):
            await wrong(box)
            told.append(len(disk.steps))
    disk.unregister()
    for number, place in enumerate(told, 1):
        restore(after_cut(disk.steps[:place], "dropped", Random(place)), tmp_path / "cut")
        db = open_reader(tmp_path / "cut" / "kept.db")
        assert store.failures(db, False).number == number
        db.close()
        shutil.rmtree(tmp_path / "cut")


async def test_who_hangs_up_in_time_has_tried_as_well(tmp_path: Path, derivations: Derivations) -> None:
    async with strongbox(tmp_path) as box:
        await box(InitVault(password=PASSWORD))

        async def attempt() -> None:
            # Whether it is told is nobody's concern any more.
            with suppress(Denied):
                await box(UnlockVault(password="wrong"))

        async with anyio.create_task_group() as tasks:
            with derivations.held():
                tasks.start_soon(attempt)
                await anyio.to_thread.run_sync(derivations.begun.wait, PATIENCE)
                tasks.cancel_scope.cancel()
        assert (await box(StatusOfVault())).failures == 1


async def test_a_storm_of_passwords_is_tried_one_by_one_while_others_are_served(
    home: Path, derivations: Derivations
) -> None:
    """Each derivation takes much memory; waiting for one takes none of the loop's time."""
    seen: Counter[str] = Counter()
    async with guarded(home) as daemon:
        peer = await made(daemon)
        await peer.result("vault.lock")
        derivations.most = 0
        stormers = [await daemon.connect() for _ in range(5)]

        async def storm(stormer: Peer) -> None:
            await stormer.send(*(request(number, "vault.unlock", password=PASSWORD) for number in range(20)))
            for _ in range(20):
                reply = await stormer.receive()
                seen[reply["error"]["data"]["type"] if "error" in reply else reply["result"]["state"]] += 1

        async with anyio.create_task_group() as tasks:
            with derivations.held():
                for stormer in stormers:
                    tasks.start_soon(storm, stormer)
                await anyio.to_thread.run_sync(derivations.begun.wait, PATIENCE)
                for _ in range(20):
                    await peer.is_served()
                    assert (await peer.result("vault.status"))["state"] == "locked"
        assert derivations.most == 1
        assert seen.keys() == {"busy", "unlocked"}
        assert seen.total() == 100
        assert (await peer.result("vault.status"))["failures"] == 0
