"""A person's account for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .in_terminal import Account


@pytest.fixture
def account(home: Path) -> Iterator[Account]:
    """With a home near the root, since a socket's path is short."""
    made = Account(home)
    yield made
    made.end()
