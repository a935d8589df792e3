from __future__ import annotations

import pytest

from tests.harness import Daemon, Peer

from .room import made


@pytest.fixture
async def peer(daemon: Daemon) -> Peer:
    """A connection to an unlocked vault."""
    return await made(daemon)
