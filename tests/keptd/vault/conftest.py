from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness import Daemon, Peer

from .room import guarded, made


@pytest.fixture
async def daemon(home: Path, anyio_backend: object) -> AsyncIterator[Daemon]:
    """A daemon whose passwords are cheap to try."""
    async with guarded(home) as started:
        yield started


@pytest.fixture
async def peer(daemon: Daemon) -> Peer:
    """A connection to an unlocked vault."""
    return await made(daemon)
