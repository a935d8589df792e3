"""What is asked of the tables of the jobs is served by an index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keptd.jobs import DOMAIN, store
from tests.keptd.plans import growing, plan
from tests.rooms import Rooms


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Rooms]:
    opened = Rooms(tmp_path, [DOMAIN])
    yield opened
    opened.close()


@pytest.mark.parametrize("name", [None, "memory.expire"])
def test_the_history_is_read_from_an_index(rooms: Rooms, name: str | None) -> None:
    assert growing(plan(rooms.reader, *store.history_query(name, 100, 50))) == []


@pytest.mark.parametrize("sql", [store.LAST, store.FAILURES, store.PRUNE, store.INTERRUPT])
def test_what_each_run_and_each_start_asks_scans_nothing(rooms: Rooms, sql: str) -> None:
    bindings = {"job": "memory.expire", "kept": 200, "summary": "x"}
    lines = plan(rooms.writer, sql.replace("?", ":job"), bindings)
    assert [line for line in growing(lines) if "job_run_open" not in line] == []
