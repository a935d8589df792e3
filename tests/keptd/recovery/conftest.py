"""One sample home for all tests of the recovery: making it takes longer than damaging it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.damage import Sample

Home = Callable[[str], Path]


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return Sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture
def copy(sample: Sample, tmp_path: Path) -> Home:
    """A home of one's own: `copy("clean")` or `copy("crashed")`."""

    def make(origin: str) -> Path:
        home = tmp_path / "home"
        shutil.copytree(sample.folder / origin, home)
        return home

    return make
