from __future__ import annotations

from kept.wire.journal import AddDecision, Decision
from keptd.journal import store
from keptd.journal.store import Contradiction
from tests.rooms import Rooms


def against(rooms: Rooms, key: str, project: str | None = None, supersedes: Decision | None = None) -> Decision:
    return rooms(
        AddDecision(
            decision=f"not {key}",
            reasoning="r",
            contradicts=(key,),
            project=project,
            supersedes=supersedes.id if supersedes is not None else None,
        )
    )


def contradicted(rooms: Rooms, project: str | None, *keys: str) -> dict[tuple[str, str], str]:
    found = store.contradictions(rooms.reader, project, keys)
    return {memory: contradiction.id for memory, contradiction in found.items()}


def test_a_contradicted_key_leads_to_the_decision(rooms: Rooms) -> None:
    decision = against(rooms, "db")

    assert store.contradictions(rooms.reader, None, ["db", "other"]) == {
        ("global", "db"): Contradiction(decision.id, "not db", decision.created_at)
    }


def test_a_projects_decision_speaks_of_its_own_and_of_global_memories(rooms: Rooms) -> None:
    decision = against(rooms, "db", "p")

    assert contradicted(rooms, "p", "db") == {("p", "db"): decision.id, ("global", "db"): decision.id}
    assert contradicted(rooms, "q", "db") == {}
    assert contradicted(rooms, None, "db") == {}


def test_a_decision_without_a_project_says_nothing_of_a_projects_memories(rooms: Rooms) -> None:
    mine = against(rooms, "db", "p")
    everyones = against(rooms, "db")

    assert contradicted(rooms, "p", "db") == {("p", "db"): mine.id, ("global", "db"): everyones.id}


def test_the_newest_of_several_contradictions_counts(rooms: Rooms) -> None:
    against(rooms, "db")
    newest = against(rooms, "db")

    assert contradicted(rooms, None, "db") == {("global", "db"): newest.id}


def test_a_superseded_decision_contradicts_nothing_and_an_older_one_counts_again(rooms: Rooms) -> None:
    first = against(rooms, "db")
    second = against(rooms, "db")
    against(rooms, "port", supersedes=second)

    assert contradicted(rooms, None, "db") == {("global", "db"): first.id}


def test_only_the_keys_asked_for_are_looked_at(rooms: Rooms) -> None:
    against(rooms, "db")
    port = against(rooms, "port")

    assert contradicted(rooms, None, "port") == {("global", "port"): port.id}
    assert contradicted(rooms, None) == {}
