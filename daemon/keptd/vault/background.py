"""What the vault does beside serving: it heeds the machine's sleep, locks itself in time, and writes looks down soon.

The lock is no job's, which anybody may pause.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import anyio

from kept.wire import Actor
from kept.wire.vault import LockVault

from ..clock import Clock
from ..config import Config
from ..store import Store
from . import sleep
from .keyring import Keyring
from .visit import Visit


async def follow(store: Store, clock: Clock, config: Callable[[], Config]) -> None:
    """All three, without end; cancel it to end them."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sleep.follow, store, clock)
        tasks.start_soon(_lock_in_time, store, clock, config)
        tasks.start_soon(store.attached.of(Keyring).audit_queue.pace, clock)


async def _lock_in_time(store: Store, clock: Clock, config: Callable[[], Config]) -> None:
    keyring = store.attached.of(Keyring)
    actor = Actor(client="keptd", uid=os.getuid(), pid=os.getpid())
    while True:
        opened = await keyring.until_open()
        visit = Visit(store, clock, config().vault, actor, LockVault.method)
        if not visit.lock_if_due():
            # A use meanwhile puts it off, and is seen when this time is over.
            await clock.wait(opened.seconds_left(visit.settings, clock.boot())[0])
