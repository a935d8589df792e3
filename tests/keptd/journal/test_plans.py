"""No list reads more of a growing table than it shows, whatever it is narrowed to."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from kept.wire.journal import AddDecision, ListDecisions, ListErrors, LogAction, RecordError
from keptd.journal import DOMAIN, actions, contradictions, decisions, errors
from keptd.journal.listing import END, Filter, Table, at_hand_query, count_query, newest_query
from tests.keptd.plans import growing, plan
from tests.rooms import Rooms

TABLES = [
    (actions.TABLE, None),
    (decisions.TABLE, None),
    (errors.TABLE, None),
    (decisions.TABLE, "open"),
    (errors.TABLE, "open"),
]
NAMES = [f"{table.name}-{status or 'all'}" for table, status in TABLES]


@pytest.fixture(params=["fresh", "analyzed"])
def filled(rooms: Rooms, request: pytest.FixtureRequest) -> Rooms:
    """With rows, and with or without the statistics that maintenance gathers: they change what SQLite prefers."""
    for number in range(60):
        project = ("p", "q", None)[number % 3]
        rooms(LogAction(action="a", project=project))
        rooms(AddDecision(decision="d", reasoning="r", project=project, contradicts=(f"key {number}",)))
        rooms(RecordError(error="e", project=project))
    if request.param == "analyzed":
        rooms.writer.execute("ANALYZE")
    return rooms


@pytest.mark.parametrize("since", [None, datetime(2026, 1, 1, tzinfo=UTC)], ids=["ever", "since"])
@pytest.mark.parametrize("project", [None, "p"])
@pytest.mark.parametrize(("table", "status"), TABLES, ids=NAMES)
def test_a_list_is_served_by_an_index_under_every_filter(
    filled: Rooms, table: Table, status: str | None, project: str | None, since: datetime | None
) -> None:
    lines = plan(filled.reader, *newest_query(table, Filter(project, status, since), END, 50))

    assert growing(lines) == []
    assert ("project=?" in lines[0]) == (project is not None)
    assert ("status=?" in lines[0]) == (status is not None)
    assert any(f"{table.name}_by_time (latest_at>?" in line for line in lines) == (since is not None)


@pytest.mark.parametrize("project", [None, "p"])
@pytest.mark.parametrize(("table", "status"), TABLES, ids=NAMES)
def test_what_is_at_hand_is_merged_from_an_index_and_never_sorted(
    filled: Rooms, table: Table, status: str | None, project: str | None
) -> None:
    lines = plan(filled.reader, *at_hand_query(table, project, status, 50))

    halves = [line for line in lines if line.startswith("SEARCH")]
    assert growing(lines) == []
    assert lines[0].startswith("MERGE")
    assert len(halves) == 2
    assert all("project=?" in half and ("status=?" in half) == (status is not None) for half in halves)


@pytest.mark.parametrize("project", [None, "p"])
@pytest.mark.parametrize(("table", "status"), TABLES, ids=NAMES)
def test_what_is_at_hand_is_counted_in_an_index(
    filled: Rooms, table: Table, status: str | None, project: str | None
) -> None:
    lines = plan(filled.reader, *count_query(table, project, status, 50))

    halves = [line for line in lines if line.startswith("SEARCH")]
    assert len(halves) == 2
    assert all("project=?" in half and ("status=?" in half) == (status is not None) for half in halves)
    assert [line for line in growing(lines) if not line.startswith("SCAN (subquery")] == []


@pytest.mark.parametrize("limit", [3, 100])
def test_a_count_stops_at_its_limit(filled: Rooms, limit: int) -> None:
    assert actions.count(filled.reader, "p", limit) == min(limit, 40)
    assert decisions.count_open(filled.reader, None, limit) == min(limit, 20)
    assert errors.count_unresolved(filled.reader, "p", limit) == min(limit, 40)


def test_contradictions_cost_one_look_in_an_index_for_each_key(filled: Rooms) -> None:
    lines = plan(filled.reader, contradictions.QUERY, {"keys": '["key 1"]', "project": "p"})

    assert lines[0].startswith("SCAN wanted")
    assert "decision_contradicts_by_key (key=?" in lines[1]
    assert lines[2] == "SEARCH d USING INTEGER PRIMARY KEY (rowid=?)"


@pytest.mark.parametrize("call", [ListDecisions, ListErrors])
def test_a_list_since_a_time_runs_beside_the_others(call: type[ListDecisions | ListErrors]) -> None:
    (handler,) = (handler for handler in DOMAIN.handlers if handler.call is call)

    assert callable(handler.heavy)
    assert handler.heavy(call(since=datetime(2026, 1, 1, tzinfo=UTC)))
    assert handler.heavy(call(limit=101))
    assert not handler.heavy(call(project="p", limit=100))
