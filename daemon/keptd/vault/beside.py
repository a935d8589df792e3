"""What the vault does beside serving: it heeds the machine's sleep, and writes looks down in good time."""

from __future__ import annotations

import anyio

from ..clock import Clock
from ..store import Store
from . import sleep
from .keyring import Keyring


async def follow(store: Store, clock: Clock) -> None:
    """Both, without end; cancel it to end them."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sleep.follow, store, clock)
        tasks.start_soon(store.attached.of(Keyring).diary.pace, clock)
