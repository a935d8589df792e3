from __future__ import annotations

import pytest

from kept.wire.component import ListComponents, Overall, OverallComponents, SetComponent, Status
from keptd.component import rules, store
from keptd.component.rules import Tally
from keptd.domain import SelfReport
from tests.keptd.plans import plan
from tests.rooms import Rooms


def put(rooms: Rooms, name: str, status: Status, health: int | None = None) -> None:
    rooms(SetComponent(name=name, status=status, health=health))


def test_where_there_is_no_component_the_state_is_unknown(rooms: Rooms) -> None:
    assert rooms(OverallComponents()) == Overall(status="unknown", health=0.0, components=0, worst=())


def test_all_being_well_names_nobody(rooms: Rooms) -> None:
    put(rooms, "a", "operational")

    assert rooms(OverallComponents()) == Overall(status="operational", health=100.0, components=1, worst=())


@pytest.mark.parametrize(
    ("worse", "better"), [("down", "degraded"), ("degraded", "unknown"), ("unknown", "operational")]
)
def test_the_worst_status_is_that_of_everything(rooms: Rooms, worse: Status, better: Status) -> None:
    put(rooms, "a", better)
    put(rooms, "b", worse)

    overall = rooms(OverallComponents())
    assert (overall.status, overall.worst) == (worse, ("b",))


def test_health_is_the_mean_to_one_decimal(rooms: Rooms) -> None:
    for name, health in (("a", 100), ("b", 100), ("c", 50)):
        put(rooms, name, "degraded", health)

    assert rooms(OverallComponents()).health == 83.3


def test_up_to_ten_of_the_worst_are_named_by_name(rooms: Rooms) -> None:
    for number in range(12, 0, -1):
        put(rooms, f"web {number:02}", "down")

    overall = rooms(OverallComponents())
    assert overall.components == 12
    assert overall.worst == tuple(f"web {number:02}" for number in range(1, 11))


def test_the_totals_count_each_status(rooms: Rooms) -> None:
    put(rooms, "a", "operational")
    put(rooms, "b", "degraded", 40)
    put(rooms, "c", "degraded", 20)

    assert store.totals(rooms.reader, ()) == {"operational": Tally(1, 100), "degraded": Tally(2, 60)}
    assert rules.worst({}) is None


def test_the_totals_are_read_from_an_index_alone(rooms: Rooms) -> None:
    lines = plan(rooms.reader, store.TOTALS, {})

    assert lines == ["SCAN component USING COVERING INDEX component_by_status"]


def test_trouble_comes_worst_first_then_by_name(rooms: Rooms) -> None:
    put(rooms, "d", "unknown")
    put(rooms, "c", "down")
    put(rooms, "b", "degraded")
    put(rooms, "a", "operational")
    put(rooms, "e", "down")

    assert [component.name for component in store.troubled(rooms.reader, (), 9)] == ["c", "e", "b", "d"]
    assert [component.name for component in store.troubled(rooms.reader, (), 2)] == ["c", "e"]
    assert rooms(ListComponents(status="unknown")).items == store.troubled(rooms.reader, (), 9)[3:]


def test_what_is_not_operational_is_counted_up_to_a_limit_in_an_index(rooms: Rooms) -> None:
    for number in range(8):
        put(rooms, f"c{number}", ("down", "operational", "degraded", "unknown")[number % 4])
    own = [SelfReport("keptd.jobs", "down", 0, None, 0, 0), SelfReport("keptd.storage", "operational", 100, None, 0, 0)]

    assert [store.count_troubled(rooms.reader, own, limit) for limit in (3, 7, 100)] == [3, 7, 7]
    assert store.count_troubled(rooms.reader, (), 100) == 6
    lines = plan(rooms.reader, store.TROUBLED, {"limit": 5})
    assert any("COVERING INDEX component_by_status (status=?)" in line for line in lines)
