from __future__ import annotations

import msgspec
import pytest

from kept.wire import Actor
from kept.wire.errors import Conflict, NotFound, TooLarge
from kept.wire.journal import ListErrors, RecordedError, RecordError, ResolveError
from keptd.clock import to_time
from keptd.journal import store
from tests.rooms import Rooms

NOBODY = "0197a0de-0000-7000-8000-000000000000"


def record(rooms: Rooms, error: str = "it broke", project: str | None = None) -> RecordedError:
    return rooms(RecordError(error=error, project=project))


def listed(rooms: Rooms, call: ListErrors) -> list[str]:
    return [error.error for error in rooms(call).items]


def test_an_error_is_read_back_as_it_was_recorded(rooms: Rooms) -> None:
    recorded = rooms(RecordError(error="it broke", context={"line": 3}, project="p", session_id="s"))

    assert rooms(ListErrors()).items == [recorded]
    assert msgspec.json.decode(recorded.context) == {"line": 3}
    assert (recorded.project, recorded.session_id, recorded.actor, recorded.version) == ("p", "s", "tester", 1)
    assert (recorded.resolution, recorded.former_resolutions) == (None, ())


def test_a_context_over_a_mebibyte_is_refused(rooms: Rooms) -> None:
    with pytest.raises(TooLarge) as refusal:
        rooms(RecordError(error="e", context="x" * 1024 * 1024))

    assert refusal.value.data["field"] == "context"


def test_a_resolution_resolves_an_error_and_makes_a_new_version(rooms: Rooms) -> None:
    recorded = record(rooms)
    rooms.clock.advance(5)
    assert recorded.status == "open"
    resolved = rooms(ResolveError(id=recorded.id, resolution="glue", if_version=1))
    assert resolved.status == "resolved"

    assert (resolved.resolution, resolved.version, resolved.former_resolutions) == ("glue", 2, ())
    assert resolved.updated_at == to_time(rooms.clock.now())
    assert rooms(ListErrors()).items == [resolved]


def test_a_replaced_resolution_stays_in_the_history_with_its_author(rooms: Rooms) -> None:
    recorded = record(rooms)
    rooms(ResolveError(id=recorded.id, resolution="glue"), Actor(client="agent", uid=1000, pid=7))
    rooms.clock.advance(5)
    resolved = rooms(ResolveError(id=recorded.id, resolution="screws"))

    (former,) = resolved.former_resolutions
    assert (former.text, former.actor, former.replaced_at) == ("glue", "agent", to_time(rooms.clock.now()))


def test_resolving_another_version_is_a_conflict_that_names_the_present_one(rooms: Rooms) -> None:
    recorded = record(rooms)
    rooms(ResolveError(id=recorded.id, resolution="glue"))

    with pytest.raises(Conflict) as refusal:
        rooms(ResolveError(id=recorded.id, resolution="screws", if_version=1))
    assert refusal.value.data["version"] == 2


def test_an_error_that_is_not_there_cannot_be_resolved(rooms: Rooms) -> None:
    with pytest.raises(NotFound):
        rooms(ResolveError(id=NOBODY, resolution="r"))


def test_a_list_narrows_by_status_project_and_time(rooms: Rooms) -> None:
    record(rooms, "old", "p")
    rooms.clock.advance(10)
    since = to_time(rooms.clock.now())
    fixed = record(rooms, "fixed", "p")
    rooms(ResolveError(id=fixed.id, resolution="r"))
    record(rooms, "new")

    assert listed(rooms, ListErrors()) == ["new", "fixed", "old"]
    assert listed(rooms, ListErrors(status="open")) == ["new", "old"]
    assert listed(rooms, ListErrors(status="resolved", project="p")) == ["fixed"]
    assert listed(rooms, ListErrors(project="p")) == ["fixed", "old"]
    assert listed(rooms, ListErrors(since=since)) == ["new", "fixed"]
    assert listed(rooms, ListErrors(since=since, status="open")) == ["new"]


def test_unresolved_errors_at_hand_are_the_projects_and_nobodys_newest_first(rooms: Rooms) -> None:
    for name, project in (("1", "p"), ("2", None), ("3", "q"), ("4", "p")):
        record(rooms, name, project)
    newest = rooms(ListErrors()).items[0]
    rooms(ResolveError(id=newest.id, resolution="r"))

    assert [error.error for error in store.unresolved_errors(rooms.reader, "p", 9)] == ["2", "1"]
    assert [error.error for error in store.unresolved_errors(rooms.reader, None, 9)] == ["2"]


def test_recording_and_resolving_are_in_the_change_log(rooms: Rooms) -> None:
    recorded = record(rooms)
    rooms(ResolveError(id=recorded.id, resolution="r"))

    assert rooms.changes() == [("error.record", "error", "it broke"), ("error.resolve", "error", "it broke")]
