"""Where the homes of crash tests lie: on a disk, as a person's do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.places import on_disk


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with on_disk() as folder:
        yield folder
