from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from kept.wire.event import Change
from keptd.clock import to_time
from keptd.store import changes
from keptd.store.changes import ChangeLog
from keptd.store.database import open_writer
from keptd.store.migrations import migrate
from tests.keptd.plans import growing
from tests.rooms import ACTOR


@pytest.fixture
def db(tmp_path: Path) -> Iterator[apsw.Connection]:
    made = open_writer(tmp_path / "kept.db")
    migrate(made, [("changes", changes.MIGRATIONS)], 1)
    yield made
    made.close()


def fill(db: apsw.Connection) -> None:
    """1 memory.set, 2 memory.delete, 3 decision.add (twice: 3 and 4), 5 memory.set."""
    for method, entity, number in [
        ("memory.set", "memory", 1),
        ("memory.delete", "memory", 1),
        ("decision.add", "decision", 2),
        ("memory.set", "memory", 1),
    ]:
        log = ChangeLog(db, 7_000_000, ACTOR, method)
        for part in range(number):
            log.add(entity, f"id-{part}", f"{method} label")


def seqs(db: apsw.Connection, after: int, topics: list[str] | None, limit: int = 100) -> list[int]:
    return [change.seq for change in changes.after(db, after, topics, limit)]


def test_an_empty_log_ends_at_0(db: apsw.Connection) -> None:
    assert changes.last_seq(db) == 0
    assert seqs(db, 0, None) == []


def test_each_change_has_the_next_sequence_and_says_who_when_and_what(db: apsw.Connection) -> None:
    fill(db)
    assert changes.last_seq(db) == 5
    first = changes.after(db, 0, None, 1)[0]
    assert (first.seq, first.method, first.entity, first.entity_id) == (1, "memory.set", "memory", "id-0")
    assert (first.actor, first.at, first.label) == (ACTOR, to_time(7_000_000), "memory.set label")


def test_a_request_knows_its_last_change(db: apsw.Connection) -> None:
    log = ChangeLog(db, 1, ACTOR, "memory.set")
    assert log.last_seq == 0
    log.add("memory", "a")
    log.add("memory", "b")
    assert log.last_seq == 2


def test_a_long_label_is_cut(db: apsw.Connection) -> None:
    ChangeLog(db, 1, ACTOR, "memory.set").add("memory", "a", "ä" * 500)
    assert changes.after(db, 0, None, 1)[0].label == "ä" * 80


@pytest.mark.parametrize(
    ("after", "topics", "limit", "found"),
    [
        (0, None, 100, [1, 2, 3, 4, 5]),
        (2, None, 100, [3, 4, 5]),
        (0, None, 2, [1, 2]),
        (5, None, 100, []),
        (0, ["memory"], 100, [1, 2, 5]),
        (0, ["memory.set"], 100, [1, 5]),
        (0, ["memory.set", "memory"], 100, [1, 2, 5]),
        (0, ["decision", "memory.delete"], 2, [2, 3]),
        (1, ["memory"], 1, [2]),
        (0, ["nothing", "no.method"], 100, []),
        (0, [], 100, []),
    ],
)
def test_what_comes_after_a_sequence_is_given_in_order_by_topic(
    db: apsw.Connection, after: int, topics: list[str] | None, limit: int, found: list[int]
) -> None:
    fill(db)
    assert seqs(db, after, topics, limit) == found


def test_a_change_that_is_rolled_back_leaves_no_gap(db: apsw.Connection) -> None:
    fill(db)
    db.execute("BEGIN; SAVEPOINT request")
    ChangeLog(db, 1, ACTOR, "memory.set").add("memory", "a")
    db.execute("ROLLBACK TO request; RELEASE request; COMMIT")
    log = ChangeLog(db, 1, ACTOR, "memory.set")
    log.add("memory", "a")
    assert log.last_seq == 6


def test_no_question_scans_the_log(db: apsw.Connection) -> None:
    fill(db)
    asked: list[str] = []

    def note(_cursor: apsw.Cursor, sql: str, _bindings: object) -> bool:
        asked.append(sql)
        return True

    db.set_exec_trace(note)
    changes.last_seq(db)
    changes.after(db, 1, None, 10)
    changes.after(db, 1, ["memory", "memory.set"], 10)
    changes.after(db, 1, ["session:s"], 10)
    changes.anonymize(db, "s", 10)
    db.set_exec_trace(None)
    plans = []
    for sql in asked:
        lines = [str(row[3]) for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", (1,) * sql.count("?"))]
        assert growing(lines) == []
        plans += lines
    assert plans == [
        "SEARCH change",
        "SEARCH change USING INTEGER PRIMARY KEY (rowid>?)",
        "SEARCH change USING INTEGER PRIMARY KEY (rowid=?)",
        "LIST SUBQUERY 2",
        "MERGE (UNION)",
        "LEFT",
        "SEARCH change USING COVERING INDEX change_by_entity (entity=? AND seq>?)",
        "RIGHT",
        "SEARCH change USING COVERING INDEX change_by_method (method=? AND seq>?)",
        "SEARCH change USING INTEGER PRIMARY KEY (rowid=?)",
        "LIST SUBQUERY 1",
        "SEARCH change USING COVERING INDEX change_by_session (session=? AND seq>?)",
        "SEARCH change USING INTEGER PRIMARY KEY (rowid=?)",
        "LIST SUBQUERY 1",
        "SEARCH change USING INDEX change_by_session (session=?)",
    ]


def test_of_many_topics_only_what_is_given_is_decoded(db: apsw.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(db)
    made: list[int] = []
    decode = changes._change

    def note(row: Any) -> Change:
        made.append(row[0])
        return decode(row)

    monkeypatch.setattr(changes, "_change", note)
    assert seqs(db, 0, ["memory", "memory.set", "decision", "memory"], 2) == made == [1, 2]


def test_the_log_knows_the_topics_of_its_changes_and_no_other(db: apsw.Connection) -> None:
    fill(db)
    assert changes.has(db, "decision")
    assert changes.has(db, "decision.add")
    assert not changes.has(db, "decision.resolve")
    assert not changes.has(db, "action")
