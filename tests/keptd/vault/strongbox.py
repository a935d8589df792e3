"""The vault's room on a real store, without a socket: a call goes in, what its handler gives comes out.

Passwords cost next to nothing here, far below what the room accepts elsewhere, so that thousands can be tried.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import anyio
import apsw
import msgspec

from kept.wire import Actor, Call
from kept.wire.vault import InitVault, OpenEntry, RetrieveSecret, StoreSecret
from keptd import vault
from keptd.config import Config, Storage, Vault
from keptd.domain import to_nobody
from keptd.rpc.control import ControlCtx
from keptd.store import Store, checksums
from keptd.vault import entries, inspection, opening, store
from keptd.vault.cipher import Damaged
from keptd.vault.entries import About
from keptd.vault.keyring import Keyring
from keptd.vault.keys import DataKey, KdfParameters
from tests.rooms import ACTOR, FakeClock

R = TypeVar("R")

CHEAP = KdfParameters(128, 1, 1)
"""The least that Argon2id can do with every number of lanes."""

PASSWORD = "correct horse"
OTHER = "battery staple"

HANDLERS = {handler.call: handler for handler in vault.DOMAIN.handlers}

State = dict[str, tuple[About, bytes]]
"""All entries by id: what is known of each, and its value as JSON."""


@contextmanager
def cheap() -> Iterator[None]:
    """Let passwords cost next to nothing."""
    from keptd.vault import keys

    before = keys.FLOOR
    keys.FLOOR = CHEAP
    try:
        yield
    finally:
        keys.FLOOR = before


class Strongbox:
    """The room over one database; one for each run of a daemon."""

    def __init__(self, folder: Path, clock: FakeClock, vfs: str, settings: Vault) -> None:
        self.clock = clock
        self.store = Store(
            folder / "kept.db",
            (("vault", vault.DOMAIN.migrations),),
            Storage(ballast_bytes=0),
            clock,
            lambda _seq: None,
            vfs,
        )
        self.config = Config(vault=settings)

    @property
    def keyring(self) -> Keyring:
        return self.store.attached.of(Keyring)

    async def __call__(self, call: Call[R], caller: Actor = ACTOR) -> R:
        """What the handler gives. Raises what it raises."""
        peer = SimpleNamespace(actor=caller)
        given_it = SimpleNamespace(
            store=self.store, clock=self.clock, config=self.config, peer=peer, progress=to_nobody
        )
        ctx = cast("ControlCtx", given_it)
        given = HANDLERS[type(call)].run(ctx, call)
        return cast("R", await given if inspect.isawaitable(given) else given)

    async def value(self, ref: str) -> Any:
        """What is kept under a name."""
        found: OpenEntry = await self(RetrieveSecret(id=ref))
        return msgspec.json.decode(msgspec.json.encode(found))["value"]

    def audited(self) -> list[tuple[str, str]]:
        """Action and outcome of what the audit list has, oldest first."""
        return list(self.store.inline.execute("SELECT action, outcome FROM vault_audit ORDER BY seq"))

    def told(self) -> list[str]:
        """The methods and notices of the change log, oldest first."""
        return [str(row[0]) for row in self.store.inline.execute("SELECT method FROM change ORDER BY seq")]


@asynccontextmanager
async def strongbox(
    folder: Path, clock: FakeClock | None = None, vfs: str = "", settings: Vault | None = None
) -> AsyncIterator[Strongbox]:
    """The room at work; closed at the end as by a daemon that ends."""
    weak = settings or Vault(memory_kib=CHEAP.memory_kib, passes=CHEAP.passes, lanes=CHEAP.lanes)
    made = Strongbox(folder, clock or FakeClock(), vfs, weak)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(made.store.completions.deliver)
            try:
                yield made
            finally:
                tasks.cancel_scope.cancel()
    finally:
        made.store.close()


@contextmanager
def beside(folder: Path) -> Iterator[apsw.Connection]:
    """The database of a room that is closed, with the checksums of its pages made right whatever is written."""
    with closing(apsw.Connection(str(folder / "kept.db"), vfs=checksums.VFS)) as db:
        yield db


async def furnish(box: Strongbox, number: int = 4) -> None:
    """A vault with some entries, of several sizes."""
    await box(InitVault(password=PASSWORD))
    for place in range(number):
        await box(
            StoreSecret(
                name=f"name {place}",
                value={"n": place} if place % 2 else "v" * (60 * place + 1),
                category="credential" if place % 2 else "health",
                tags=(f"t{place}",) * (place % 2),
                metadata={"user": place},
                agent_readable=bool(place % 2),
                idempotency_key=f"key {place}",
            )
        )


def unlocked(db: apsw.Connection, password: str = PASSWORD) -> DataKey | None:
    """The data key that a password opens, if it does."""
    header = store.header(db)
    assert header is not None
    secret = opening._unwrapped(password, header)
    return None if secret is None else DataKey(header.id, header.key_version, secret)


def look(db: apsw.Connection, password: str = PASSWORD) -> tuple[State, bool] | None:
    """What a password shows of a vault, and whether it would be served without a word of damage; None where it opens
    nothing."""
    key = unlocked(db, password)
    if key is None:
        return None
    try:
        found = inspection.look(db, key)
        assert found is not None
        shown = {}
        whole = {row.id: row for row in store.whole(db)}
        is_sound = found.trouble is None
        for known in found.known:
            try:
                shown[known.id] = (known.about, bytes(entries.open_value(key, whole[known.id])))
            except Damaged:
                is_sound = False
        return shown, is_sound
    finally:
        key.wipe()
