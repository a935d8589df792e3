from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.places import DISK


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """On a disk: what is killed here is killed as a person's daemon is, between two syncs that take their time."""
    with tempfile.TemporaryDirectory(prefix="kept-crash-", dir=DISK) as folder:
        yield Path(folder)
