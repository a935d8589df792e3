"""Databases of former versions, as SQL: one file for every version whose schema differs from the one before.

With the version that has a new migration, its own is added, before the next one changes anything:

    python -m tests.keptd.store.versions > tests/keptd/store/versions/2.sql
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import apsw.shell

from kept.wire import Call
from kept.wire.component import SetComponent
from kept.wire.journal import AddDecision, LogAction, RecordError, ResolveDecision
from kept.wire.memory import DeleteMemory, SetMemory
from keptd.domain import Domain
from tests.rooms import Rooms

FOLDER = Path(__file__).parent

CALLS: tuple[Call[Any], ...] = (
    SetMemory(key="editor", value="vim", tags=("tool",)),
    SetMemory(key="editor", value={"name": "helix", "since": 2024}, tags=("tool", "new")),
    SetMemory(key="gone", value=1, scope="p-1"),
    DeleteMemory(key="gone", scope="p-1"),
    LogAction(action="built", details={"minutes": 3}),
    AddDecision(decision="use sqlite", reasoning="one file", contradicts=("editor",)),
    RecordError(error="it broke", context=None),
    SetComponent(name="disk", status="operational"),
)


def versions() -> list[Path]:
    """The files, oldest first."""
    return sorted(FOLDER.glob("*.sql"), key=lambda path: int(path.stem))


def make(folder: Path, domains: Sequence[Domain]) -> str:
    """A small database of these rooms, as SQL."""
    rooms = Rooms(folder, domains)
    for call in CALLS:
        made = rooms(call)
        if isinstance(call, AddDecision):
            rooms(ResolveDecision(id=made.id, outcome="it was fast"))
    rooms.close()
    out = io.StringIO()
    apsw.shell.Shell(stdout=out, args=[str(folder / "kept.db"), ".dump"], stderr=io.StringIO())
    return re.sub(r"^--.*\n", "", out.getvalue(), flags=re.MULTILINE)


def load(path: Path, sql: str) -> None:
    """Make the database that a file describes."""
    with closing(apsw.Connection(str(path))) as db:
        db.pragma("auto_vacuum", "INCREMENTAL")
        db.execute(sql)
