"""What all tests share: the loops on which an asynchronous test runs."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Every test that is marked `anyio` runs on both."""
    return str(request.param)
