from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kept.wire.errors import Conflict
from kept.wire.journal import LogAction
from kept.wire.memory import DeleteMemory, SetMemory
from keptd.store import receipts
from keptd.store.database import open_writer
from keptd.store.migrations import migrate
from tests.keptd.plans import growing, plan


@pytest.fixture
def db(tmp_path: Path) -> Iterator[apsw.Connection]:
    made = open_writer(tmp_path / "kept.db")
    migrate(made, [("receipts", receipts.MIGRATIONS)], 1)
    yield made
    made.close()


def test_the_first_result_is_found_again_byte_for_byte(db: apsw.Connection) -> None:
    receipts.keep(db, "key", b"mark", b'{"id":1}', 5)
    assert receipts.find(db, "key", b"mark") == b'{"id":1}'
    assert receipts.find(db, "other", b"mark") is None


@pytest.mark.parametrize("size", [1, receipts.PLAIN_BYTES - 2, receipts.PLAIN_BYTES - 1, 500_000])
def test_a_long_result_takes_little_room_and_comes_back_as_it_was(db: apsw.Connection, size: int) -> None:
    result = msgspec.json.encode("x" * size)
    receipts.keep(db, "key", b"mark", result, 5)
    assert receipts.find(db, "key", b"mark") == result
    [(stored,)] = db.execute("SELECT length(result) FROM receipt")
    assert stored <= receipts.PLAIN_BYTES


def test_a_key_that_was_used_for_another_request_is_a_conflict_that_names_the_field(db: apsw.Connection) -> None:
    receipts.keep(db, "key", b"mark", b"1", 5)
    with pytest.raises(Conflict) as refused:
        receipts.find(db, "key", b"another")
    assert refused.value.data == {"field": "idempotency_key"}
    assert "key of its own" in refused.value.hint


def test_what_is_old_is_forgotten_a_few_at_a_time_and_the_rest_stays(db: apsw.Connection) -> None:
    for number in range(10):
        receipts.keep(db, f"key{number}", b"mark", b"1", number)
    assert receipts.sweep(db, 7, 5) == 5
    assert receipts.sweep(db, 7, 5) == 2
    assert receipts.sweep(db, 7, 5) == 0
    assert [receipts.find(db, f"key{number}", b"mark") is None for number in range(10)] == [True] * 7 + [False] * 3


def test_a_key_does_not_stand_in_the_database_in_clear(db: apsw.Connection) -> None:
    receipts.keep(db, "a credential by mistake", b"mark", b"1", 5)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert b"by mistake" not in Path(db.filename).read_bytes()


def test_neither_a_look_nor_a_sweep_scans(db: apsw.Connection) -> None:
    look = "SELECT fingerprint, result FROM receipt WHERE key = :key"
    sweep = "DELETE FROM receipt WHERE rowid IN (SELECT rowid FROM receipt WHERE at < :before LIMIT :limit)"
    assert growing(plan(db, look, {"key": "a"})) == []
    assert growing(plan(db, sweep, {"before": 1, "limit": 1})) == []


@given(st.text(min_size=1, max_size=20), st.integers(0, 5), st.text(min_size=1, max_size=20), st.integers(0, 5))
def test_two_requests_have_one_mark_only_if_they_are_the_same(
    key: str, value: int, other_key: str, other_value: int
) -> None:
    one = receipts.fingerprint(SetMemory(key=key, value=value))
    other = receipts.fingerprint(SetMemory(key=other_key, value=other_value))
    assert (one == other) == ((key, value) == (other_key, other_value))


def test_the_method_is_part_of_the_mark() -> None:
    assert receipts.fingerprint(DeleteMemory(key="a")) != receipts.fingerprint(LogAction(action="a"))
