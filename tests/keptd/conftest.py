from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.keptd.house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterable[House]:
    made = House(tmp_path)
    yield made
    made.rooms.close()
