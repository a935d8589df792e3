"""The power goes off, or the disk fails, at every step of what changes the vault's keys: one of the two passwords works
afterwards, everything opens, and the recovery code is the old one or the new."""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

import anyio
import apsw
import pytest

from kept.wire.errors import Conflict, KeptError, NotFound, StorageFailed
from kept.wire.vault import (
    ChangePassword,
    ExportKey,
    InitVault,
    ListSecrets,
    LockVault,
    RecoverVault,
    RotateKey,
    StatusOfVault,
    UnlockVault,
)
from keptd.store.background import write
from keptd.store.database import open_reader
from keptd.store.writer import Written
from keptd.vault import changing, recovery_code, store
from tests.faulty_vfs import SURVIVALS, Disk, Operation, Survival, after_cut, restore
from tests.harness import patience

from .strongbox import OTHER, PASSWORD, State, Strongbox, cheap, furnish, look, strongbox

Step = Callable[[Strongbox, str], Awaitable[str | None]]
"""A change of the keys, by the vault and its recovery code; gives the new code, where there is one."""


async def _change_password(box: Strongbox, _code: str) -> None:
    await box(ChangePassword(password=PASSWORD, new_password=OTHER))


async def _recover(box: Strongbox, code: str) -> None:
    await box(RecoverVault(code=code, new_password=OTHER))


async def _rotate(box: Strongbox, _code: str) -> None:
    await box(RotateKey(password=PASSWORD))


async def _export_key(box: Strongbox, _code: str) -> str:
    return (await box(ExportKey(password=PASSWORD))).code


class Case(NamedTuple):
    run: Step
    password: str
    """The one that works when it is done."""
    keeps_code: bool
    begins_locked: bool = False


CASES = {
    "change_password": Case(_change_password, OTHER, True),
    "recover": Case(_recover, OTHER, True, begins_locked=True),
    "rotate": Case(_rotate, PASSWORD, False),
    "export_key": Case(_export_key, PASSWORD, False),
}


@pytest.fixture(autouse=True)
def _cheap() -> Iterator[None]:
    with cheap():
        yield


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    made = Disk()
    monkeypatch.setattr(os, "fsync", made.fsync)
    yield made
    made.unregister()


class Found(NamedTuple):
    passwords: list[str]
    codes: list[str]


def found(path: Path, codes: list[str], truth: State) -> Found:
    """Which of two passwords and of the codes open a vault; whatever does opens all of it."""
    db = open_reader(path)
    try:
        passwords = []
        for password in (PASSWORD, OTHER):
            shown = look(db, password)
            if shown is not None:
                assert shown == (truth, True)
                passwords.append(password)
        header = store.header(db)
        assert header is not None
        good = [code for code in codes if changing._unwrapped(recovery_code.read(code), header) is not None]
        return Found(passwords, good)
    finally:
        db.close()


class Recorded(NamedTuple):
    begin: int
    """The steps of the disk before the change."""
    acknowledged: int
    code: str
    new_code: str | None
    truth: State


async def _record(folder: Path, disk: Disk, case: Case) -> Recorded:
    async with strongbox(folder, vfs=disk.name) as box:
        await furnish(box)
        code = (await box(ExportKey(password=PASSWORD))).code
        shown = look(box.store.inline)
        assert shown is not None
        if case.begins_locked:
            await box(LockVault())
        begin = len(disk.steps)
        new_code = await case.run(box, code)
        return Recorded(begin, len(disk.steps), code, new_code, shown[0])


@pytest.mark.parametrize("survival", SURVIVALS)
@pytest.mark.parametrize("name", CASES)
def test_after_a_power_cut_at_any_moment_the_old_password_works_or_the_new(
    tmp_path: Path, disk: Disk, name: str, survival: Survival
) -> None:
    case = CASES[name]
    (tmp_path / "live").mkdir()
    done = anyio.run(_record, tmp_path / "live", disk, case)
    codes = [done.code, *([done.new_code] if done.new_code else [])]
    before = Found([PASSWORD], [done.code])
    after = Found([case.password], [done.code] if case.keeps_code else codes[1:])
    seen = []
    for place in range(done.begin, len(disk.steps) + 1):
        restore(after_cut(disk.steps[:place], survival, Random(place)), tmp_path / "cut")
        outcome = found(tmp_path / "cut" / "kept.db", codes, done.truth)
        assert outcome in (before, after)
        assert outcome == after or place < done.acknowledged
        seen.append(outcome)
        shutil.rmtree(tmp_path / "cut")
    assert before in seen
    assert after in seen


async def _mended(box: Strongbox) -> None:
    """Wait until the writer takes a write again: after each that it refuses, it looks whether the disk works."""
    with patience("the disk works again"):
        while True:
            try:
                await write(box.store, box.clock, lambda _db: Written(b"", 0))
            except StorageFailed:
                box.clock.advance(10)
            else:
                return


async def _faulty(folder: Path, disk: Disk, case: Case, operation: Operation, at: int) -> bool:
    """Whether the fault struck."""
    async with strongbox(folder, vfs=disk.name) as box:
        await furnish(box)
        code = (await box(ExportKey(password=PASSWORD))).code
        shown = look(box.store.inline)
        assert shown is not None
        if case.begins_locked:
            await box(LockVault())
        disk.fail(operation, apsw.IOError, file="-wal", at=at)
        new_code, failed = None, True
        try:
            new_code = await case.run(box, code)
            failed = False
        except KeptError:
            pass
        disk.heal()
        codes = [code, *([new_code] if new_code else [])]
        outcome = found(folder / "kept.db", codes, shown[0])
        if not failed:
            assert outcome == Found([case.password], [code] if case.keeps_code else codes[1:])
        (works,) = outcome.passwords
        await _mended(box)
        await box(UnlockVault(password=works))
        assert len((await box(ListSecrets())).items) == len(shown[0])
        assert (await box(StatusOfVault())).failures == 0
    return failed


@pytest.mark.parametrize("operation", ["write", "sync"])
@pytest.mark.parametrize("name", CASES)
def test_after_a_fault_of_the_disk_at_any_moment_one_password_works_at_once(
    tmp_path: Path, disk: Disk, name: str, operation: Operation
) -> None:
    struck = []
    for at in range(1, 9, 3) if operation == "write" else (1, 2):
        folder = tmp_path / str(at)
        folder.mkdir()
        struck.append(anyio.run(_faulty, folder, disk, CASES[name], operation, at))
        disk.heal()
    assert any(struck)


def test_after_a_power_cut_while_it_is_made_there_is_a_vault_or_none(tmp_path: Path, disk: Disk) -> None:
    async def make() -> int:
        async with strongbox(tmp_path / "live", vfs=disk.name) as box:
            begin = len(disk.steps)
            await box(InitVault(password=PASSWORD))
            return begin

    async def outcome() -> bool:
        async with strongbox(tmp_path / "cut") as box:
            try:
                await box(UnlockVault(password=PASSWORD))
            except NotFound:
                await box(InitVault(password=OTHER))
                return False
            with pytest.raises(Conflict):
                await box(InitVault(password=OTHER))
            return True

    (tmp_path / "live").mkdir()
    begin = anyio.run(make)
    seen = set()
    for place in range(begin, len(disk.steps) + 1):
        restore(after_cut(disk.steps[:place], "torn", Random(place)), tmp_path / "cut")
        seen.add(anyio.run(outcome))
        shutil.rmtree(tmp_path / "cut")
    assert seen == {False, True}
