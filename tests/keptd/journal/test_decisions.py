from __future__ import annotations

import pytest

from kept.wire import Actor
from kept.wire.errors import Conflict, InvalidParams, NotFound, TooLarge
from kept.wire.journal import (
    AddDecision,
    Decision,
    GetDecision,
    ListDecisions,
    ResolveDecision,
    SearchDecisions,
)
from keptd.clock import to_time
from keptd.journal import store
from tests.rooms import Rooms

NOBODY = "0197a0de-0000-7000-8000-000000000000"


def add(rooms: Rooms, decision: str = "use SQLite", project: str | None = None) -> Decision:
    return rooms(AddDecision(decision=decision, reasoning="one file", project=project))


def listed(rooms: Rooms, call: ListDecisions) -> list[str]:
    return [decision.decision for decision in rooms(call).items]


def found(rooms: Rooms, query: str, project: str | None = None) -> list[str]:
    return [decision.decision for decision in rooms(SearchDecisions(query=query, project=project)).items]


def test_a_decision_is_read_back_as_it_was_recorded(rooms: Rooms) -> None:
    added = rooms(
        AddDecision(
            decision="use SQLite",
            reasoning="one file",
            alternatives=("PostgreSQL", "a log"),
            contradicts=("db", "port", "db"),
            project="p",
            session_id="s",
        )
    )

    assert rooms(GetDecision(id=added.id)) == added
    assert (added.alternatives, added.contradicts) == (("PostgreSQL", "a log"), ("db", "port"))
    assert (added.project, added.session_id, added.actor, added.version) == ("p", "s", "tester", 1)
    assert (added.outcome, added.former_outcomes, added.superseded_by) == (None, (), None)
    assert added.created_at == added.updated_at == to_time(rooms.clock.now())


def test_a_decision_that_is_not_there_is_not_found(rooms: Rooms) -> None:
    with pytest.raises(NotFound):
        rooms(GetDecision(id=NOBODY))


def test_alternatives_over_a_mebibyte_together_are_refused(rooms: Rooms) -> None:
    with pytest.raises(TooLarge) as refusal:
        rooms(AddDecision(decision="d", reasoning="r", alternatives=("x" * 65_536,) * 17))

    assert refusal.value.data["field"] == "alternatives"


def test_an_outcome_resolves_a_decision_and_makes_a_new_version(rooms: Rooms) -> None:
    added = add(rooms)
    rooms.clock.advance(5)
    resolved = rooms(ResolveDecision(id=added.id, outcome="it held", if_version=1))

    assert (resolved.outcome, resolved.version) == ("it held", 2)
    assert resolved.updated_at == to_time(rooms.clock.now())
    assert resolved.created_at == added.created_at
    assert rooms(GetDecision(id=added.id)) == resolved


def test_a_decision_tells_the_status_that_lists_filter_by(rooms: Rooms) -> None:
    older, resolved = add(rooms, "a"), add(rooms, "b")
    newer = rooms(AddDecision(decision="c", reasoning="r", supersedes=older.id))

    assert (older.status, newer.status) == ("open", "open")
    assert rooms(ResolveDecision(id=resolved.id, outcome="o")).status == "resolved"
    for status in ("open", "resolved", "superseded"):
        assert [decision.status for decision in rooms(ListDecisions(status=status)).items] == [status]


def test_who_decided_stays_the_actor_and_who_replaced_outcomes_wrote_is_in_the_history(rooms: Rooms) -> None:
    added = add(rooms)
    rooms(ResolveDecision(id=added.id, outcome="first"), Actor(client="agent", uid=1000, pid=7))
    rooms.clock.advance(5)
    resolved = rooms(ResolveDecision(id=added.id, outcome="second"))

    (former,) = resolved.former_outcomes
    assert (former.text, former.actor) == ("first", "agent")
    assert former.replaced_at == to_time(rooms.clock.now())
    assert (resolved.outcome, resolved.actor) == ("second", "tester")


def test_resolving_another_version_is_a_conflict_that_names_the_present_one(rooms: Rooms) -> None:
    added = add(rooms)
    rooms(ResolveDecision(id=added.id, outcome="first"))

    with pytest.raises(Conflict) as refusal:
        rooms(ResolveDecision(id=added.id, outcome="second", if_version=1))
    assert refusal.value.data["version"] == 2
    assert rooms(GetDecision(id=added.id)).outcome == "first"


def test_a_decision_that_is_not_there_cannot_be_resolved(rooms: Rooms) -> None:
    with pytest.raises(NotFound):
        rooms(ResolveDecision(id=NOBODY, outcome="o"))


def test_a_superseding_decision_marks_the_older_one_in_the_same_change(rooms: Rooms) -> None:
    older = add(rooms, "use files")
    rooms.clock.advance(5)
    newer = rooms(AddDecision(decision="use SQLite", reasoning="r", supersedes=older.id))
    marked = rooms(GetDecision(id=older.id))

    assert newer.supersedes == older.id
    assert (marked.superseded_by, marked.version) == (newer.id, 2)
    assert marked.updated_at == to_time(rooms.clock.now())
    assert rooms.changes()[1:] == [
        ("decision.add", "decision", "use SQLite"),
        ("decision.add", "decision", "use files"),
    ]


def test_superseding_what_is_not_there_records_nothing(rooms: Rooms) -> None:
    with pytest.raises(NotFound) as refusal:
        rooms(AddDecision(decision="d", reasoning="r", supersedes=NOBODY))

    assert refusal.value.data["field"] == "supersedes"
    assert rooms(ListDecisions()).items == []


def test_what_is_superseded_cannot_be_superseded_again(rooms: Rooms) -> None:
    older = add(rooms)
    newer = rooms(AddDecision(decision="second", reasoning="r", supersedes=older.id))

    with pytest.raises(Conflict) as refusal:
        rooms(AddDecision(decision="third", reasoning="r", supersedes=older.id))
    assert refusal.value.data["superseded_by"] == newer.id
    assert listed(rooms, ListDecisions()) == ["second", "use SQLite"]


def test_a_list_narrows_to_open_resolved_or_superseded_decisions(rooms: Rooms) -> None:
    add(rooms, "open")
    resolved = add(rooms, "resolved")
    rooms(ResolveDecision(id=resolved.id, outcome="o"))
    replaced = add(rooms, "replaced")
    rooms(ResolveDecision(id=replaced.id, outcome="o"))
    rooms(AddDecision(decision="newer", reasoning="r", supersedes=replaced.id, project="p"))

    assert listed(rooms, ListDecisions(status="open")) == ["newer", "open"]
    assert listed(rooms, ListDecisions(status="open", project="p")) == ["newer"]
    assert listed(rooms, ListDecisions(status="resolved")) == ["resolved"]
    assert listed(rooms, ListDecisions(status="superseded")) == ["replaced"]
    assert listed(rooms, ListDecisions(project="p")) == ["newer"]


def test_a_list_since_a_time_can_be_narrowed_as_well(rooms: Rooms) -> None:
    add(rooms, "old", "p")
    rooms.clock.advance(10)
    since = to_time(rooms.clock.now())
    add(rooms, "mine", "p")
    add(rooms, "theirs", "q")

    assert listed(rooms, ListDecisions(since=since)) == ["theirs", "mine"]
    assert listed(rooms, ListDecisions(since=since, status="open", project="p")) == ["mine"]
    assert listed(rooms, ListDecisions(since=since, status="resolved")) == []


@pytest.mark.parametrize("word", ["elephant", "memory", "PostgreSQL"])
def test_a_decision_is_found_by_its_text_its_reasons_and_its_alternatives(rooms: Rooms, word: str) -> None:
    add(rooms, "something else")
    rooms(AddDecision(decision="ride the elephant", reasoning="long memory", alternatives=("a log", "PostgreSQL")))

    assert found(rooms, word) == ["ride the elephant"]


def test_a_decision_is_found_by_its_present_outcome_only(rooms: Rooms) -> None:
    added = add(rooms)
    rooms(ResolveDecision(id=added.id, outcome="splendid"))
    assert found(rooms, "splendid") == ["use SQLite"]

    rooms(ResolveDecision(id=added.id, outcome="dreadful"))
    assert found(rooms, "splendid") == []
    assert found(rooms, "dreadful SQLite") == ["use SQLite"]


def test_a_search_keeps_to_a_project_where_one_is_named(rooms: Rooms) -> None:
    resolved = add(rooms, "use SQLite here", "p")
    add(rooms, "use SQLite there", "q")
    rooms(ResolveDecision(id=resolved.id, outcome="fine"))

    assert found(rooms, "sqlite", "p") == ["use SQLite here"]
    assert len(found(rooms, "sqlite")) == 2


def test_a_search_gives_the_best_first_with_a_score_and_the_place_that_fits(rooms: Rooms) -> None:
    rooms(AddDecision(decision="paint it blue", reasoning="the colour of whales"))
    rooms(AddDecision(decision="watch whales", reasoning="whales"))
    best, second = rooms(SearchDecisions(query="whales")).items

    assert (best.decision, second.decision) == ("watch whales", "paint it blue")
    assert best.score > second.score
    assert "whales" in second.snippet
    assert rooms(SearchDecisions(query="whales", limit=1)).items == [best]
    assert rooms(SearchDecisions(query="whales", offset=1)).items == [second]


def test_words_of_a_search_are_never_syntax_unless_that_is_asked_for(rooms: Rooms) -> None:
    add(rooms, 'the "AND" (gate) OR*')
    assert found(rooms, '"AND (gate') == ['the "AND" (gate) OR*']

    with pytest.raises(InvalidParams) as refusal:
        rooms(SearchDecisions(query='"AND (gate', syntax="fts5"))
    assert refusal.value.data["field"] == "query"


def test_resolving_is_in_the_change_log_under_the_decision(rooms: Rooms) -> None:
    added = add(rooms)
    rooms(ResolveDecision(id=added.id, outcome="o"))

    assert rooms.changes() == [
        ("decision.add", "decision", "use SQLite"),
        ("decision.resolve", "decision", "use SQLite"),
    ]


def test_open_decisions_at_hand_are_the_projects_and_nobodys_newest_first(rooms: Rooms) -> None:
    for name, project in (("1", "p"), ("2", None), ("3", "q"), ("4", "p"), ("5", None)):
        add(rooms, name, project)
    newest = rooms(ListDecisions()).items[0]
    rooms(ResolveDecision(id=newest.id, outcome="o"))

    assert [decision.decision for decision in store.open_decisions(rooms.reader, "p", 2)] == ["4", "2"]
    assert [decision.decision for decision in store.open_decisions(rooms.reader, None, 9)] == ["2"]
