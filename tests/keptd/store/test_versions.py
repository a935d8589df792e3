"""Databases of every former version become what a new one is, and keep what was in them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from kept.wire.component import GetComponent
from kept.wire.journal import ListActions, ListErrors, SearchDecisions
from kept.wire.memory import GetMemory, ListMemories, MemoryHistory, SearchMemories
from keptd.store import OWN
from keptd.store.database import open_writer
from keptd.store.migrations import NewerDatabase, migrate
from keptd.supervisor import DOMAINS
from tests.rooms import Rooms

from .versions import load, versions

SETS = (*OWN, *((domain.name, domain.migrations) for domain in DOMAINS))

every_version = pytest.mark.parametrize("file", versions(), ids=lambda path: path.stem)


def schema(db: apsw.Connection) -> set[tuple[str, str, str]]:
    """Without layout: a table that was renamed or dumped is written differently."""
    found = db.execute("SELECT type, name, ifnull(sql, '') FROM sqlite_schema")
    return {(str(kind), str(name), "".join(str(sql).replace('"', "").split())) for kind, name, sql in found}


@every_version
def test_a_database_of_a_former_version_gets_the_schema_of_a_new_one(tmp_path: Path, file: Path) -> None:
    load(tmp_path / "kept.db", file.read_text())
    with closing(open_writer(tmp_path / "new.db")) as db:
        migrate(db, SETS, 1)
        wanted = schema(db)
    with closing(open_writer(tmp_path / "kept.db")) as db:
        migrate(db, SETS, 1)
        assert schema(db) == wanted
        assert db.pragma("integrity_check") == "ok"
        assert db.execute("PRAGMA foreign_key_check").fetchone() is None


@every_version
def test_what_was_in_it_is_served(tmp_path: Path, file: Path) -> None:
    load(tmp_path / "kept.db", file.read_text())
    rooms = Rooms(tmp_path, DOMAINS)
    try:
        assert bytes(rooms(GetMemory(key="editor")).value) == b'{"name":"helix","since":2024}'
        assert [bytes(former.value) for former in rooms(MemoryHistory(key="editor")).items] == [b'"vim"']
        assert [entry.key for entry in rooms(ListMemories(tag="new")).items] == ["editor"]
        assert [found.key for found in rooms(SearchMemories(query="helix")).items] == ["editor"]
        (decision,) = rooms(SearchDecisions(query="sqlite")).items
        assert decision.outcome == "it was fast"
        assert [action.action for action in rooms(ListActions()).items] == ["built"]
        assert [error.error for error in rooms(ListErrors()).items] == ["it broke"]
        assert rooms(GetComponent(name="disk")).health == 100
    finally:
        rooms.close()


@every_version
def test_a_migration_of_it_that_is_killed_at_any_statement_can_be_finished(tmp_path: Path, file: Path) -> None:
    sql = file.read_text()
    for last in range(1000):
        path = tmp_path / f"{last}.db"
        load(path, sql)
        with closing(open_writer(path)) as db:
            left = iter([True] * last)
            db.set_exec_trace(_stop_after(left))
            try:
                migrate(db, SETS, 1)
            except apsw.ExecTraceAbort:
                db.set_exec_trace(None)
                migrate(db, SETS, 1)
                assert db.execute("SELECT count(*) FROM memory").fetchone() == (1,)
            else:
                return
    pytest.fail("it never came to its end")


def _stop_after(left: object) -> Callable[..., bool]:
    def trace(_cursor: apsw.Cursor, _sql: str, _bindings: object) -> bool:
        return next(left, False)  # type: ignore[call-overload, no-any-return]

    return trace


@every_version
def test_a_version_that_knows_less_refuses_it_untouched(tmp_path: Path, file: Path) -> None:
    load(tmp_path / "kept.db", file.read_text())
    before = (tmp_path / "kept.db").read_bytes()
    with closing(apsw.Connection(str(tmp_path / "kept.db"))) as db, pytest.raises(NewerDatabase):
        migrate(db, SETS[:1], 1)
    assert (tmp_path / "kept.db").read_bytes() == before


def test_the_newest_version_has_its_file_or_is_still_being_made() -> None:
    """A file that is not the last is never changed again; its name says which version it is."""
    assert [int(path.stem) for path in versions()] == list(range(1, len(versions()) + 1))
