from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keptd.sessions import DOMAIN
from tests.rooms import Rooms


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Rooms]:
    opened = Rooms(tmp_path, [DOMAIN])
    yield opened
    opened.close()
