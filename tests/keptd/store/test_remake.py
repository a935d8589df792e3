"""A text index that is made anew is the one that the migrations made, with every row of its table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from kept.wire.journal import AddDecision
from kept.wire.memory import SetMemory
from kept.wire.message import SendMessage
from kept.wire.session import CreateSession
from keptd.domain import SearchIndex
from keptd.store import search
from keptd.supervisor import DOMAINS
from tests.rooms import Rooms

INDEXES = [index for domain in DOMAINS for index in domain.indexes]


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Rooms]:
    made = Rooms(tmp_path, DOMAINS)
    for number in range(20):
        session = made(CreateSession(title=f"zebra {number}"))
        made(SendMessage(session_id=session.id, content="zebra"))
        made(SetMemory(key=f"k{number}", value="zebra"))
        made(AddDecision(decision=f"d{number}", reasoning="zebra"))
        session = made(CreateSession(title=f"s{number}"))
        made(SendMessage(session_id=session.id, content="zebra"))
    yield made
    made.close()


def form(db: apsw.Connection, index: SearchIndex) -> list[object]:
    schema = db.execute("SELECT name, sql FROM sqlite_schema WHERE name GLOB ? ORDER BY name", (f"{index.name}*",))
    config = db.execute(f"SELECT k, v FROM {index.name}_config WHERE k <> 'version' ORDER BY k")
    rows = db.execute(f"SELECT id FROM {index.name}_docsize ORDER BY id")
    return [list(schema), list(config), list(rows)]


@pytest.mark.parametrize("index", INDEXES, ids=[index.name for index in INDEXES])
def test_its_form_and_its_rows_are_the_same(rooms: Rooms, index: SearchIndex) -> None:
    before = form(rooms.writer, index)
    assert before[1]
    assert before[2]
    with rooms.writer:
        search.remake(rooms.writer, index)
    assert form(rooms.writer, index) == before
