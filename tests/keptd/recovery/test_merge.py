"""What a backup may bring back: what was lost, and never what was deleted or replaced since."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import apsw
import pytest

from kept.wire.component import DeleteComponent, SetComponent
from kept.wire.errors import NotFound
from kept.wire.journal import AddDecision, LogAction, ResolveDecision
from kept.wire.memory import DeleteMemory, GetMemory, MemoryHistory, SearchMemories, SetMemory
from keptd.store.changes import ChangeLog
from tests.keptd.house import House
from tests.rooms import ACTOR

LONG = "long " * 400


MEMORY = "SELECT 'memory', seq FROM memory WHERE key = ?"
Rooming = Callable[..., object]


def fill(house: House, count: int = 30) -> None:
    for number in range(count):
        house.rooms(SetMemory(key=f"k{number}", value=f"{number} {LONG}", tags=("t",)))


def value(house: House, key: str) -> str:
    return bytes(house.rooms(GetMemory(key=key)).value).decode().strip('"').split()[0]


def test_what_the_backup_has_and_was_not_changed_comes_back_as_it_was(house: House) -> None:
    fill(house)
    house.back_up()
    house.hit(MEMORY, "k10")
    found = house.recover()
    assert found.lost == "Nothing was lost."
    assert found.restored["memory"] > 0
    assert [value(house, f"k{number}") for number in range(30)] == [str(number) for number in range(30)]


def test_what_was_deleted_after_the_backup_does_not_come_back(house: House) -> None:
    fill(house)
    house.back_up()
    house.rooms(DeleteMemory(key="k9"))
    house.hit(MEMORY, "k10")
    found = house.recover()
    assert found.lost == "Nothing was lost."
    with pytest.raises(NotFound):
        house.rooms(GetMemory(key="k9"))
    assert value(house, "k10") == "10"


def test_what_was_set_after_the_backup_and_lost_comes_back_as_the_backup_has_it_and_that_is_said(house: House) -> None:
    fill(house)
    house.back_up()
    house.rooms(SetMemory(key="k3", value=f"newer {LONG}"))
    house.hit(MEMORY, "k3")
    found = house.recover()
    assert [(one.entity, one.label, one.older) for one in found.missing] == [("memory", "k3", True)]
    assert value(house, "k3") == "3"
    # The key goes on: its version is past all that its history has.
    house.rooms(SetMemory(key="k3", value="again"))
    assert [former.version for former in house.rooms(MemoryHistory(key="k3")).items] == [2, 1]


def test_what_was_made_after_the_backup_and_lost_is_named(house: House) -> None:
    fill(house)
    house.back_up()
    house.rooms(SetMemory(key="new", value=LONG))
    house.hit(MEMORY, "new")
    found = house.recover()
    assert ("memory", "new", False) in [(one.entity, one.label, one.older) for one in found.missing]
    assert "memory 'new'" in found.lost


def test_what_moved_out_of_the_damaged_page_is_there_once_and_new(house: House) -> None:
    fill(house)
    house.back_up()
    house.rooms(SetMemory(key="k10", value=f"newer {LONG}"))
    fill_more = [house.rooms(SetMemory(key=f"m{number}", value=LONG)) for number in range(10)]
    assert fill_more
    house.hit(MEMORY, "k11")
    house.recover()
    assert value(house, "k10") == "newer"
    assert value(house, "k11") == "11"


def test_a_component_that_was_deleted_after_the_backup_does_not_come_back(house: House) -> None:
    for number in range(40):
        house.rooms(SetComponent(name=f"c{number}", status="operational", metadata=LONG))
    house.back_up()
    house.rooms(DeleteComponent(name="c20"))
    house.hit("SELECT 'component', seq FROM component WHERE name = 'c21'")
    assert house.recover().lost == "Nothing was lost."
    names = {name for (name,) in house.rooms.reader.execute("SELECT name FROM component")}
    assert names == {f"c{number}" for number in range(40)} - {"c20"}


def test_a_decision_resolved_after_the_backup_and_lost_is_open_again_and_that_is_said(house: House) -> None:
    made = [house.rooms(AddDecision(decision=f"d{number}", reasoning=LONG)) for number in range(20)]
    house.back_up()
    house.rooms(ResolveDecision(id=made[5].id, outcome="done"))
    house.hit("SELECT 'decision', seq FROM decision WHERE id = ?", made[5].id)
    found = house.recover()
    assert [(one.label, one.older) for one in found.missing] == [("d5", True)]


def test_a_superseded_decision_from_the_backup_contradicts_nothing(house: House) -> None:
    first = house.rooms(AddDecision(decision="first", reasoning=LONG, contradicts=("k",)))
    house.back_up()
    house.rooms(AddDecision(decision="second", reasoning="r", supersedes=first.id, contradicts=("other",)))
    house.hit("SELECT 'decision_contradicts', max(rowid) FROM decision_contradicts")
    house.recover()
    assert list(house.rooms.reader.execute("SELECT key FROM decision_contradicts")) == [("other",)]


def test_a_backup_from_before_everything_was_replaced_fills_nothing(house: House) -> None:
    fill(house)
    house.back_up()
    with house.rooms.writer as db:
        db.execute("DELETE FROM memory")
        db.execute("DELETE FROM memory_history")
        ChangeLog(db, 1, ACTOR, "data.delete_all").add("database", "all")
    fill(house, 20)
    house.hit("SELECT 'memory', max(seq) FROM memory")
    found = house.recover()
    assert found.backup_id is None
    assert len(found.missing) > 0


def test_a_backup_of_another_line_of_time_fills_nothing(house: House) -> None:
    fill(house)
    house.back_up()
    with closing(apsw.Connection(str(house.backup))) as other:
        other.execute("UPDATE change SET at = at + 1")
    house.hit(MEMORY, "k10")
    assert house.recover().backup_id is None


def test_no_number_is_given_twice(house: House) -> None:
    fill(house, 5)
    house.back_up()
    for number in range(5):
        house.rooms(LogAction(action=f"a{number}", details=None))
    ((last,),) = house.rooms.writer.execute("SELECT max(seq) FROM change")
    house.hit("SELECT 'change', max(seq) FROM change")
    house.recover()
    ((newest,),) = house.rooms.reader.execute("SELECT max(seq) FROM change")
    assert newest == int(last) + 1


def test_numbers_leap_where_the_last_one_is_not_known(house: House) -> None:
    fill(house, 5)
    ((last,),) = house.rooms.writer.execute("SELECT max(seq) FROM change")
    house.hit("SELECT 'sqlite_sequence', 1")
    house.recover(with_backup=False)
    ((newest,),) = house.rooms.reader.execute("SELECT max(seq) FROM change")
    assert newest > int(last) + 1000


def test_the_text_index_is_made_anew(house: House) -> None:
    fill(house)
    house.back_up()
    house.rooms(SetMemory(key="word", value="zebra"))
    house.hit(MEMORY, "k10")
    house.recover()
    assert [found.key for found in house.rooms(SearchMemories(query="zebra")).items] == ["word"]
    assert len(house.rooms(SearchMemories(query="long", limit=50)).items) == 30
