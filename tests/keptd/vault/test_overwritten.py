"""Every key, password and code that the room had in a form that can be overwritten is zeros when its time is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kept.wire import Call
from kept.wire.errors import KeptError
from kept.wire.vault import (
    ChangePassword,
    ExportKey,
    InitVault,
    ListSecrets,
    LockVault,
    RecoverVault,
    RetrieveSecret,
    RotateKey,
    StoreSecret,
    UnlockVault,
    UpdateSecret,
)
from keptd.config import Vault
from keptd.vault import cipher, entries, keys, recovery_code

from .strongbox import OTHER, PASSWORD, Strongbox, beside, cheap, strongbox

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _cheap() -> Iterator[None]:
    with cheap():
        yield


Made = dict[int, tuple[str, bytearray]]
"""What was made, and by what; by the number of the array."""


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    found: Made = {}

    def watch(module: Any, name: str) -> None:
        real: Callable[..., Any] = getattr(module, name)

        def run(*given: Any) -> Any:
            result = real(*given)
            secret = result[1] if isinstance(result, tuple) else result
            assert isinstance(secret, bytearray)
            found[id(secret)] = name, secret
            return result

        monkeypatch.setattr(module, name, run)

    for name in ("password_bytes", "derive_kek", "derive_code_kek", "unwrap", "_expand"):
        watch(keys, name)
    for name in ("open", "pad", "unpad"):
        watch(cipher, name)
    watch(entries, "open_value")
    watch(recovery_code, "make")
    watch(recovery_code, "read")
    return found


def left(made: Made) -> list[str]:
    """What made something that is not overwritten."""
    return sorted({name for name, secret in made.values() if any(secret)})


async def attempt(box: Strongbox, call: Call[Any]) -> None:
    with pytest.raises(KeptError):
        await box(call)


async def test_nothing_that_can_be_overwritten_is_left_after_a_lock(tmp_path: Path, made: Made) -> None:
    async with strongbox(tmp_path) as box:
        await box(InitVault(password=PASSWORD))
        await box(StoreSecret(name="a", value="v"))
        await box(UpdateSecret(id="a", tags=("t",)))
        await box(RetrieveSecret(id="a"))
        await box(ChangePassword(password=PASSWORD, new_password=OTHER))
        assert {"password_bytes", "derive_kek", "unwrap", "_expand"} <= {name for name, _ in made.values()}
        assert left(made) == ["_expand"]
        await box(RotateKey(password=OTHER))
        code = (await box(ExportKey(password=OTHER))).code
        assert left(made) == ["_expand"]
        await box(LockVault())
        assert not left(made)
        await box(RecoverVault(code=code, new_password=PASSWORD))
        await box(LockVault())
        assert not left(made)


async def test_nothing_is_left_by_what_is_refused(tmp_path: Path, made: Made) -> None:
    async with strongbox(tmp_path) as box:
        await box(InitVault(password=PASSWORD))
        code = (await box(ExportKey(password=PASSWORD))).code
        await box(StoreSecret(name="a", value="v"))
        await box(LockVault())
        made.clear()
        other, _ = recovery_code.make()
        for call in (
            UnlockVault(password="wrong"),
            RotateKey(password=PASSWORD),
            ChangePassword(password=PASSWORD, new_password=OTHER),
            ExportKey(password=PASSWORD),
            RecoverVault(code=code.replace(" ", "", 1), new_password=OTHER),
            ListSecrets(),
        ):
            await attempt(box, call)
        await attempt(box, RecoverVault(code=other, new_password=OTHER))
    with beside(tmp_path) as db:
        db.execute("UPDATE vault_entry SET revision = 9")
    async with strongbox(tmp_path) as box:
        await attempt(box, UnlockVault(password=PASSWORD))
    assert {name for name, _ in made.values()} >= {"password_bytes", "derive_kek", "derive_code_kek", "unwrap"}
    # The test's own code is the only one that nobody used.
    assert left(made) == ["make"]


async def test_nothing_is_left_where_the_cost_of_a_password_is_raised(tmp_path: Path, made: Made) -> None:
    async with strongbox(tmp_path) as box:
        await box(InitVault(password=PASSWORD))
    dear = Vault(memory_kib=256, passes=2, lanes=2)
    async with strongbox(tmp_path, settings=dear) as box:
        status = await box(UnlockVault(password=PASSWORD))
        assert status.kdf is not None
        assert status.kdf.memory_kib == 256
        await box(LockVault())
    assert not left(made)
