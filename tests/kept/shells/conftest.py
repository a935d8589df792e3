"""A person's account for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from .in_terminal import Account


@pytest.fixture(scope="module")
def informed() -> Iterator[Account]:
    """For all tests of a module: with a daemon that has something to say. A test writes the start-up file it needs."""
    with TemporaryDirectory(prefix="kept-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        made = Account(Path(folder))
        made.knows("use SQLite")
        yield made
        made.end()


@pytest.fixture
def account(home: Path) -> Iterator[Account]:
    """With a home near the root, since a socket's path is short."""
    made = Account(home)
    yield made
    made.end()
