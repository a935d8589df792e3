from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness import Daemon, Peer

from .room import made, quick


@pytest.fixture
def quick_passwords() -> Iterator[None]:
    with quick():
        yield


@pytest.fixture
async def peer(daemon: Daemon) -> Peer:
    """A connection to an unlocked vault."""
    return await made(daemon)
