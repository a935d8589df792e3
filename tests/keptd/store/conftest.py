"""A faulty disk, and a writer on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faulty_vfs import Disk

from .desk import Desk, desk


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    made = Disk()
    monkeypatch.setattr(os, "fsync", made.fsync)
    yield made
    made.unregister()


@pytest.fixture
def work(tmp_path: Path, disk: Disk) -> Iterator[Desk]:
    with desk(tmp_path, vfs=disk.name) as made:
        yield made
