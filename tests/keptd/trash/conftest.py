from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keptd import component, memory
from tests.rooms import Rooms


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Rooms]:
    opened = Rooms(tmp_path, [memory.DOMAIN, component.DOMAIN])
    yield opened
    opened.close()
