"""A recorder, and a command line in front of real domains."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keptd import component, context, journal, memory, sessions
from tests.rooms import Rooms

from .typing_at import OverTheWire, Recorder


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[OverTheWire]:
    opened = Rooms(tmp_path, (memory.DOMAIN, journal.DOMAIN, component.DOMAIN, sessions.DOMAIN, context.DOMAIN))
    yield OverTheWire(opened)
    opened.close()
