"""What a session came from, and what came of it."""

from __future__ import annotations

import pytest

from kept.wire.errors import NotFound
from kept.wire.session import CloseSession, CreateSession, DeleteSession, SessionTree, TreeOfSession
from kept.wire.trash import EmptyTrash
from keptd.domain import WriteCtx
from keptd.sessions import jobs
from keptd.store.changes import ChangeLog
from tests.rooms import ACTOR, Rooms


def grow(rooms: Rooms, *paths: str) -> dict[str, str]:
    """Sessions by their titles: `ab` is a child of `a`."""
    made: dict[str, str] = {}
    for path in paths:
        made[path] = rooms(CreateSession(title=path, parent_id=made.get(path[:-1]))).id
    return made


def shown(tree: SessionTree) -> list[tuple[str, int]]:
    return [(one.title or one.status, one.depth) for one in tree.descendants]


def remove_all(rooms: Rooms) -> None:
    rooms(EmptyTrash())
    log = ChangeLog(rooms.writer, rooms.clock.now(), ACTOR, "session.remove")
    while jobs.remove_some(WriteCtx(rooms.writer, rooms.clock, ACTOR, rooms.config, log), 100):
        pass


def test_each_session_is_followed_by_its_own_children_in_the_order_in_which_they_were_begun(rooms: Rooms) -> None:
    made = grow(rooms, "a", "ab", "ac", "aba", "b", "abb", "acd", "abaz")
    tree = rooms(TreeOfSession(id=made["a"]))
    assert shown(tree) == [("ab", 1), ("aba", 2), ("abaz", 3), ("abb", 2), ("ac", 1), ("acd", 2)]
    assert (tree.session.title, tree.session.depth, tree.ancestors) == ("a", 0, ())
    assert not tree.more_descendants
    assert tree.descendants[1].parent_id == made["ab"]


def test_ancestors_come_nearest_first(rooms: Rooms) -> None:
    made = grow(rooms, "a", "ab", "abc", "abcd")
    rooms(CloseSession(id=made["ab"], archive=True))
    tree = rooms(TreeOfSession(id=made["abcd"]))
    assert [(one.title, one.depth, one.status) for one in tree.ancestors] == [
        ("abc", -1, "active"),
        ("ab", -2, "archived"),
        ("a", -3, "active"),
    ]
    assert tree.descendants == ()


def test_a_deleted_session_shows_as_missing_only_where_others_hang_on_it(rooms: Rooms) -> None:
    made = grow(rooms, "a", "ab", "aba", "abaz", "ac", "acd", "ad")
    for title in ("ab", "aba", "ac", "acd"):
        rooms(DeleteSession(id=made[title]))
    tree = rooms(TreeOfSession(id=made["a"]))
    assert shown(tree) == [("missing", 1), ("missing", 2), ("abaz", 3), ("ad", 1)]
    assert [one.id for one in tree.descendants[:2]] == [made["ab"], made["aba"]]
    above = rooms(TreeOfSession(id=made["abaz"])).ancestors
    assert [(one.title, one.status, one.active_at is None) for one in above] == [
        ("", "missing", True),
        ("", "missing", True),
        ("a", "active", False),
    ]


def test_a_line_ends_where_a_session_was_removed_for_good(rooms: Rooms) -> None:
    made = grow(rooms, "a", "ab", "abc")
    rooms(DeleteSession(id=made["ab"]))
    remove_all(rooms)
    tree = rooms(TreeOfSession(id=made["abc"]))
    assert [(one.id, one.status) for one in tree.ancestors] == [(made["ab"], "missing")]
    assert shown(rooms(TreeOfSession(id=made["a"]))) == []


@pytest.mark.parametrize("limit", range(1, 8))
def test_a_tree_is_cut_at_the_limit_and_says_so(rooms: Rooms, limit: int) -> None:
    made = grow(rooms, "a", "ab", "aba", "abb", "ac", "aca")
    tree = rooms(TreeOfSession(id=made["a"], limit=limit))
    assert [title for title, _ in shown(tree)] == ["ab", "aba", "abb", "ac", "aca"][:limit]
    assert tree.more_descendants == (limit < 5)
    line = grow(rooms, "k", "kl", "klm", "klmn")
    up = rooms(TreeOfSession(id=line["klmn"], limit=limit))
    assert [one.title for one in up.ancestors] == ["klm", "kl", "k"][:limit]
    assert up.more_ancestors == (limit < 3)


def test_many_that_are_in_the_trash_end_the_search_below(rooms: Rooms) -> None:
    made = grow(rooms, "a")
    for _ in range(25):
        rooms(DeleteSession(id=rooms(CreateSession(parent_id=made["a"])).id))
    rooms(CreateSession(title="last", parent_id=made["a"]))
    assert rooms(TreeOfSession(id=made["a"], limit=2)).more_descendants
    assert shown(rooms(TreeOfSession(id=made["a"], limit=3))) == [("last", 1)]


def test_a_circle_that_damage_left_ends(rooms: Rooms) -> None:
    made = grow(rooms, "a", "ab", "abc")
    rooms.writer.execute("UPDATE session SET parent_id = ? WHERE id = ?", (made["abc"], made["a"]))
    tree = rooms(TreeOfSession(id=made["a"]))
    assert shown(tree) == [("ab", 1), ("abc", 2)]
    assert [one.title for one in tree.ancestors] == ["abc", "ab"]


def test_a_session_that_is_not_there_has_no_tree(rooms: Rooms) -> None:
    with pytest.raises(NotFound):
        rooms(TreeOfSession(id="missing"))
