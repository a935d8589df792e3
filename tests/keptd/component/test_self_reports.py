from __future__ import annotations

import pytest

from kept.wire.component import (
    DeleteComponent,
    GetComponent,
    ListComponents,
    Overall,
    OverallComponents,
    SetComponent,
    Status,
)
from kept.wire.errors import Denied, NotFound
from keptd.clock import to_time
from keptd.component import store
from keptd.domain import SelfReport
from tests.rooms import Rooms


def report(name: str, status: Status = "operational", health: int = 100) -> SelfReport:
    return SelfReport(name, status, health, {"free": 1}, checked_at=2_000_000, since=1_000_000)


@pytest.fixture
def reporting(rooms: Rooms) -> Rooms:
    """The daemon reports two parts of itself, between the names of others."""
    rooms.self_reports = lambda: (report("keptd.storage"), report("keptd.jobs", "degraded", 60))
    rooms(SetComponent(name="api", status="operational"))
    rooms(SetComponent(name="web", status="degraded"))
    return rooms


def names(rooms: Rooms, call: ListComponents) -> list[str]:
    return [component.name for component in rooms(call).items]


def test_the_daemons_own_part_is_read_like_any_component(reporting: Rooms) -> None:
    storage = reporting(GetComponent(name="keptd.storage"))

    assert (storage.id, storage.status, storage.health) == ("keptd.storage", "operational", 100)
    assert (storage.metadata, storage.version, storage.actor) == ({"free": 1}, 1, "keptd")
    assert storage.checked_at == to_time(2_000_000)
    assert storage.created_at == storage.updated_at == to_time(1_000_000)


def test_a_part_that_the_daemon_does_not_report_is_not_found(reporting: Rooms) -> None:
    with pytest.raises(NotFound):
        reporting(GetComponent(name="keptd.backups"))


def test_nobody_else_reports_on_the_daemon(reporting: Rooms) -> None:
    with pytest.raises(Denied):
        reporting(SetComponent(name="keptd.storage", status="down"))
    with pytest.raises(Denied):
        reporting(DeleteComponent(name="keptd.storage"))
    with pytest.raises(Denied):
        reporting(SetComponent(name="keptd.mine", status="down"))
    assert reporting(SetComponent(name="keptd", status="unknown")).version == 1


def test_the_daemons_parts_are_listed_among_the_others_by_name(reporting: Rooms) -> None:
    assert names(reporting, ListComponents()) == ["api", "keptd.jobs", "keptd.storage", "web"]
    assert names(reporting, ListComponents(status="degraded")) == ["keptd.jobs", "web"]


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_pages_of_any_size_show_stored_and_reported_ones_once(reporting: Rooms, limit: int) -> None:
    shown: list[str] = []
    cursor = None
    while True:
        page = reporting(ListComponents(limit=limit, cursor=cursor))
        shown += [component.name for component in page.items]
        assert len(shown) <= 4
        cursor = page.next_cursor
        if cursor is None:
            break
    assert shown == ["api", "keptd.jobs", "keptd.storage", "web"]


def test_the_daemons_parts_count_in_how_everything_is(reporting: Rooms) -> None:
    assert reporting(OverallComponents()) == Overall(
        status="degraded", health=77.5, components=4, worst=("keptd.jobs", "web")
    )


def test_the_daemon_alone_is_enough_to_say_how_everything_is(rooms: Rooms) -> None:
    rooms.self_reports = lambda: (report("keptd.storage", "down", 0),)

    assert rooms(OverallComponents()) == Overall(status="down", health=0.0, components=1, worst=("keptd.storage",))


def test_the_daemons_parts_are_among_the_ten_worst_by_name(rooms: Rooms) -> None:
    rooms.self_reports = lambda: (report("keptd.storage", "down", 0),)
    for number in range(10):
        rooms(SetComponent(name=f"{'az'[number % 2]}{number}", status="down"))

    worst = rooms(OverallComponents()).worst
    assert worst == ("a0", "a2", "a4", "a6", "a8", "keptd.storage", "z1", "z3", "z5", "z7")


def test_trouble_of_the_daemon_is_among_the_trouble(reporting: Rooms) -> None:
    troubled = store.troubled(reporting.reader, reporting.self_reports(), 9)

    assert [component.name for component in troubled] == ["keptd.jobs", "web"]
