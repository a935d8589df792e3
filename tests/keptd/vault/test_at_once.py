"""Several at the vault at the same time: what was acknowledged is there, and a lock leaves no key whatever runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from kept.wire import Actor, Call
from kept.wire.errors import Busy, Conflict, KeptError, Locked, NotFound
from kept.wire.vault import (
    ChangePassword,
    ExportKey,
    InitVault,
    ListRequests,
    ListSecrets,
    LockVault,
    RecoverVault,
    RetrieveSecret,
    RotateKey,
    StatusOfVault,
    StoreSecret,
    UnlockVault,
    UpdateSecret,
)
from keptd.vault import changing, inspection, keys, opening, store
from keptd.vault.keys import DataKey
from tests.harness import PATIENCE
from tests.reachable import reachable

from .room import Gate
from .strongbox import OTHER, PASSWORD, Strongbox, beside, cheap, furnish, strongbox

pytestmark = pytest.mark.anyio

CLIENTS = 8


@pytest.fixture(autouse=True)
def _cheap() -> Iterator[None]:
    with cheap():
        yield


def keys_left(vault_id: str) -> list[DataKey]:
    """The keys of a vault that can still be reached and used."""
    with reachable() as objects:
        return [
            one
            for one in objects
            if isinstance(one, DataKey) and one.vault_id == vault_id and (any(one.secret) or not one.is_wiped)
        ]


def vault_id_of(box: Strongbox) -> str:
    header = store.header(box.store.inline)
    assert header is not None
    return header.id


async def test_what_was_acknowledged_is_there_whoever_locks_and_unlocks(tmp_path: Path) -> None:
    kept: dict[str, int] = {}

    async def work(box: Strongbox, number: int) -> None:
        for place in range(6):
            name = f"{number} {place}"
            for call in (
                StoreSecret(name=name, value=0),
                UpdateSecret(id=name, value=1),
                RetrieveSecret(id=name),
                *((LockVault(), UnlockVault(password=PASSWORD)) if number % 4 == 0 else ()),
                *((RotateKey(password=PASSWORD),) if number == 1 and place % 3 == 0 else ()),
            ):
                try:
                    await box(call)
                except (Locked, NotFound, Busy, Conflict):
                    await try_unlock(box)
                    continue
                if isinstance(call, StoreSecret):
                    kept[name] = 0
                elif isinstance(call, UpdateSecret):
                    kept[name] = 1

    async def try_unlock(box: Strongbox) -> None:
        try:
            await box(UnlockVault(password=PASSWORD))
        except (Busy, Conflict):
            await anyio.lowlevel.checkpoint()

    async with strongbox(tmp_path) as box:
        await box(InitVault(password=PASSWORD))
        async with anyio.create_task_group() as tasks:
            for number in range(CLIENTS):
                tasks.start_soon(work, box, number)
    async with strongbox(tmp_path) as box:
        status = await box(UnlockVault(password=PASSWORD))
        assert status.state == "unlocked"
        assert {entry.name: await box.value(entry.id) for entry in (await box(ListSecrets(limit=1000))).items} == kept
        assert kept


async def test_a_lock_while_a_vault_is_made_leaves_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch, opening, "wrapped_by")
    async with strongbox(tmp_path) as box:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(box, InitVault(password=PASSWORD))
            await gate.reached()
            with pytest.raises(NotFound):
                await box(LockVault())
            gate.open()
        status = await box(StatusOfVault())
        assert status.state == "locked"
        assert not keys_left(vault_id_of(box))


async def test_who_looks_while_a_vault_is_made_does_not_lock_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, opening, "wrapped_by")
    async with strongbox(tmp_path) as box:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(box, InitVault(password=PASSWORD))
            await gate.reached()
            with pytest.raises(NotFound):
                await box(ListSecrets())
            gate.open()
        assert (await box(StatusOfVault())).state == "unlocked"


@pytest.mark.parametrize("before", [True, False], ids=["before its write", "after its write"])
async def test_an_unlock_that_a_lock_overtook_is_not_said_to_have_been_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, before: bool
) -> None:
    """Nothing that was asked for is left open, and neither log says otherwise."""
    gate = Gate(monkeypatch, *((inspection, "look") if before else (store, "forgive")))

    async def unlock(box: Strongbox) -> None:
        with pytest.raises(Conflict):
            await box(UnlockVault(password=PASSWORD))

    async with strongbox(tmp_path) as box:
        await furnish(box, 1)
        await box(LockVault())
        told = len(box.told())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(unlock, box)
            await gate.reached()
            await box(LockVault())
            gate.open()
        made = [] if before else [("unlock", "ok")]
        assert box.audited()[-len(made) - 1 :] == [*made, ("unlock", "locked")]
        assert box.told()[told:] == ([] if before else ["vault.unlock", "vault.lock"])


@pytest.mark.parametrize("before", [True, False], ids=["before its write", "after its write"])
async def test_a_recovery_that_a_lock_overtook_says_which_password_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, before: bool
) -> None:
    refused: list[Conflict] = []

    async def recover(box: Strongbox, code: str) -> None:
        with pytest.raises(Conflict) as refusal:
            await box(RecoverVault(code=code, new_password=OTHER))
        refused.append(refusal.value)

    async with strongbox(tmp_path) as box:
        await furnish(box, 1)
        code = (await box(ExportKey(password=PASSWORD))).code
        await box(LockVault())
        gate = Gate(monkeypatch, *((inspection, "look") if before else (store, "forgive")))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(recover, box, code)
            await gate.reached()
            await box(LockVault())
            gate.open()
        assert ("new password" in str(refused[0].hint)) == (not before)
        await box(UnlockVault(password=PASSWORD if before else OTHER))
        assert await box.value("name 0") == "v"


CALLS: dict[str, tuple[Call[Any], Any, str]] = {
    "rotate, sealing": (RotateKey(password=PASSWORD), changing, "_sealed_anew"),
    "rotate, wrapping": (RotateKey(password=PASSWORD), opening, "wrapped_by"),
    "change_password": (ChangePassword(password=PASSWORD, new_password=OTHER), opening, "wrapped_by"),
    "unlock": (UnlockVault(password=PASSWORD), opening, "_unwrapped"),
    "unlock, looking": (UnlockVault(password=PASSWORD), inspection, "look"),
    "unlock, writing": (UnlockVault(password=PASSWORD), store, "forgive"),
    "export_key": (ExportKey(password=PASSWORD), keys, "derive_kek"),
}


@pytest.mark.parametrize("what", CALLS)
async def test_a_lock_while_keys_are_worked_on_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    call, module, name = CALLS[what]
    outcome: list[object] = []

    async def run(box: Strongbox) -> None:
        try:
            outcome.append(await box(call))
        except KeptError as refusal:
            outcome.append(refusal)

    async with strongbox(tmp_path) as box:
        await furnish(box)
        vault_id = vault_id_of(box)
        assert len(keys_left(vault_id)) == 1
        if isinstance(call, UnlockVault):
            await box(LockVault())
        gate = Gate(monkeypatch, module, name)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, box)
            await gate.reached()
            await box(LockVault())
            gate.open()
        (result,) = outcome
        assert box.keyring.opened is None
        assert not keys_left(vault_id)
        is_changed = what == "change_password" and not isinstance(result, KeptError)
        assert isinstance(result, (Locked, Conflict)) or not isinstance(result, KeptError)
        outcome.clear()
        del result
        await box(UnlockVault(password=OTHER if is_changed else PASSWORD))
        assert await box.value("name 1") == {"n": 1}


async def test_a_vault_that_is_locked_while_a_rotation_mends_it_is_said_to_be_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with strongbox(tmp_path) as box:
        await furnish(box)
    with beside(tmp_path) as db:
        db.execute("DELETE FROM vault_entry WHERE seq = 1")
    async with strongbox(tmp_path) as box:
        await box(UnlockVault(password=PASSWORD, despite_damage=True))
        gate = Gate(monkeypatch, changing, "_sealed_anew")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(box, RotateKey(password=PASSWORD, drop_damaged=True))
            await gate.reached()
            await box(LockVault())
            gate.open()
        status = await box(StatusOfVault())
        assert (status.state, status.problem, status.damaged) == ("locked", None, ())


async def test_a_lock_that_falls_shut_while_an_agent_waits_refuses_it(tmp_path: Path) -> None:
    agent = Actor(client="bot", uid=1000, pid=7, kind="agent")
    refused: list[KeptError] = []

    async def ask(box: Strongbox) -> None:
        with pytest.raises(Locked) as refusal:
            await box(RetrieveSecret(id="name 0", wait_seconds=600), agent)
        refused.append(refusal.value)

    async with strongbox(tmp_path) as box:
        await furnish(box)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, box)
            with anyio.fail_after(PATIENCE):
                while not (await box(ListRequests())).items:
                    await anyio.lowlevel.checkpoint()
            # The asking ends with its own time and the lock with nobody's use: the lock is first.
            box.config = type(box.config)(vault=type(box.config.vault)(idle_seconds=10))
            box.clock.advance(11)
            assert (await box(StatusOfVault())).state == "locked"
        assert len(refused) == 1


async def test_after_a_lock_nothing_of_the_entries_can_be_reached(tmp_path: Path) -> None:
    async with strongbox(tmp_path) as box:
        await box(InitVault(password=PASSWORD))
        opened = box.keyring.opened
        assert opened is not None
        vault_id = opened.header.id
        secrets = [opened.key.secret, *opened.key._keys.values()]
        await box(StoreSecret(name=_bird(), value=_bird(), tags=(_bird(),)))
        await box(ListSecrets())
        assert _birds()
        del opened
        await box(LockVault())
        assert not _birds()
        assert all(secret == bytes(32) for secret in secrets)
        assert not keys_left(vault_id)


def _bird() -> str:
    """A word that stands in no source, as it is."""
    return "".join(reversed("remmadlog"))


def _birds() -> list[str]:
    """The birds that containers and the room's own objects hold."""
    bird = _bird()
    with reachable() as objects:
        texts = (text for one in objects for text in _members(one) if isinstance(text, str))
        return [text for text in texts if bird in text]


def _members(one: object) -> list[object]:
    if type(one) is dict:
        return [*one.keys(), *one.values()]
    if isinstance(one, (list, tuple, set, frozenset)):
        return list(one)
    slots = getattr(type(one), "__slots__", ()) if str(type(one).__module__).startswith("keptd.vault") else ()
    return [getattr(one, slot, None) for slot in slots]
