"""Whatever is called in whatever order: the vault holds what a dictionary would, through locks, restarts and changes of
the keys."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kept.wire.errors import Conflict, Denied, KeptError, Locked, NotFound
from kept.wire.vault import (
    ChangePassword,
    DeleteSecret,
    InitVault,
    ListSecrets,
    LockVault,
    RetrieveSecret,
    RotateKey,
    SearchSecrets,
    StatusOfVault,
    StoreSecret,
    UnlockVault,
    UpdateSecret,
)
from keptd.config import Vault
from keptd.vault.throttle import LONGEST

from .strongbox import CHEAP, OTHER, PASSWORD, Strongbox, cheap, strongbox

ALL = os.environ.get("KEPT_VAULT") == "all"

NAMES = st.sampled_from(["a", "Zu\u0308rich", "Z\u00fcrich", "x" * 200])
VALUES = st.sampled_from(["", "v", "w" * 70, None, {"k": ["ü", 1]}, False])
RIGHT = st.sampled_from([True, True, True, False])

Kind = Literal["store", "update", "rename", "delete", "rotate", "password", "lock", "unlock", "restart", "again"]

KINDS: tuple[Kind, ...] = (
    *("store",) * 4,
    *("update",) * 2,
    *("rename", "delete", "delete", "rotate", "password", "lock"),
    *("unlock",) * 3,
    *("restart", "again"),
)


@dataclass(frozen=True)
class Op:
    kind: Kind
    name: str
    to: str
    value: Any
    is_right: bool
    """Whether the password is."""


OPS = st.lists(
    st.builds(
        Op,
        kind=st.sampled_from(KINDS),
        name=NAMES,
        to=NAMES,
        value=VALUES,
        is_right=RIGHT,
    ),
    min_size=5,
    max_size=25,
)


@dataclass
class Model:
    """What should be there: each entry by its name, and the word that opens it."""

    entries: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    password: str = PASSWORD
    is_open: bool = True
    counter: int = 0
    key_version: int = 1
    keys: int = 0
    """Idempotency keys so far."""


def same(name: str) -> str:
    return name.replace("u\u0308", "\u00fc")


PATIENT = Vault(
    memory_kib=CHEAP.memory_kib,
    passes=CHEAP.passes,
    lanes=CHEAP.lanes,
    idle_seconds=604_800,
    hard_seconds=604_800,
)
"""A vault that stays open while passwords wait."""


def password_of(model: Model, op: Op) -> str:
    return model.password if op.is_right else "wrong password"


async def refused(box: Strongbox, call: Any, kind: type[KeptError]) -> None:
    with pytest.raises(kind):
        await box(call)


async def carry_out(box: Strongbox, model: Model, op: Op) -> None:
    match op.kind:
        case "lock":
            await box(LockVault())
            model.is_open = False
        case "unlock":
            call = UnlockVault(password=password_of(model, op))
            if op.is_right:
                await box(call)
                model.is_open = True
            else:
                await refused(box, call, Denied)
                box.clock.advance(LONGEST)
        case "store" | "again":
            await _stored(box, model, op)
        case "update" | "rename" | "delete":
            await _changed(box, model, op)
        case "rotate" | "password":
            await _rekeyed(box, model, op)
        case "restart":
            raise AssertionError("not here")


async def _stored(box: Strongbox, model: Model, op: Op) -> None:
    """Twice with the same key where it is to be `again`."""
    model.keys += 1
    call = StoreSecret(name=op.name, value=op.value, idempotency_key=f"{model.keys}" if op.kind == "again" else None)
    if not model.is_open:
        await refused(box, call, Locked)
    elif same(op.name) in model.entries:
        await refused(box, call, Conflict)
    else:
        stored = await box(call)
        model.entries[same(op.name)], model.versions[same(op.name)] = op.value, 1
        if op.kind == "again":
            assert await box(call) == stored


async def _changed(box: Strongbox, model: Model, op: Op) -> None:
    name, to = same(op.name), same(op.to)
    call: Any = DeleteSecret(id=op.name)
    if op.kind == "update":
        call = UpdateSecret(id=op.name, value=op.value)
    elif op.kind == "rename":
        call = UpdateSecret(id=op.name, name=op.to)
    if not model.is_open:
        await refused(box, call, Locked)
    elif name not in model.entries:
        await refused(box, call, NotFound)
    elif op.kind == "rename" and to in model.entries and to != name:
        await refused(box, call, Conflict)
    else:
        await box(call)
        value, version = model.entries.pop(name), model.versions.pop(name)
        if op.kind == "update":
            model.entries[name], model.versions[name] = op.value, version + 1
        elif op.kind == "rename":
            model.entries[to], model.versions[to] = value, version + 1


async def _rekeyed(box: Strongbox, model: Model, op: Op) -> None:
    password = password_of(model, op)
    call: Any = RotateKey(password=password)
    other = OTHER if model.password == PASSWORD else PASSWORD
    if op.kind == "password":
        call = ChangePassword(password=password, new_password=other)
    if not op.is_right:
        await refused(box, call, Denied)
        box.clock.advance(LONGEST)
    elif not model.is_open:
        await refused(box, call, Locked)
    else:
        await box(call)
        if op.kind == "rotate":
            model.key_version += 1
        else:
            model.password = other


async def agree(box: Strongbox, model: Model) -> None:
    status = await box(StatusOfVault())
    assert (status.state, status.entries) == ("unlocked" if model.is_open else "locked", len(model.entries))
    assert status.key_version == model.key_version
    assert status.counter >= model.counter
    model.counter = status.counter
    if not model.is_open:
        for call in (ListSecrets(), SearchSecrets(query="a"), RetrieveSecret(id="a")):
            await refused(box, call, Locked)
        return
    listed = (await box(ListSecrets(limit=100))).items
    assert {same(entry.name): entry.version for entry in listed} == model.versions
    for entry in listed:
        assert await box.value(entry.id) == model.entries[same(entry.name)]
        assert await box.value(entry.name) == model.entries[same(entry.name)]


async def run(ops: list[Op]) -> None:
    model = Model()
    with tempfile.TemporaryDirectory() as folder:
        waiting = list(ops)
        clock = None
        while True:
            async with strongbox(Path(folder), clock, settings=PATIENT) as box:
                if clock is None:
                    await box(InitVault(password=PASSWORD))
                clock = box.clock
                while waiting:
                    op = waiting.pop(0)
                    if op.kind == "restart":
                        model.is_open = False
                        break
                    await carry_out(box, model, op)
                    await agree(box, model)
                else:
                    await box(UnlockVault(password=model.password))
                    model.is_open = True
                    await agree(box, model)
                    return


@settings(max_examples=400 if ALL else 25, deadline=None)
@given(OPS)
def test_the_vault_holds_what_a_dictionary_would(ops: list[Op]) -> None:
    with cheap():
        anyio.run(run, ops)
