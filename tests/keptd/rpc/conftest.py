from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.harness import Daemon, Peer


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
        pytest.param(("trio", {}), id="trio"),
    ],
)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """The wire is also tested on the loop that the daemon runs on where it can."""
    return request.param


@pytest.fixture
async def other(daemon: Daemon, peer: Peer) -> AsyncIterator[Peer]:
    """A second connection, which must notice nothing."""
    second = await daemon.connect()
    await second.is_served()
    yield second
    await second.close()
