from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from kept.wire.errors import InvalidParams
from kept.wire.memory import ListMemories, Memory, SetMemory
from keptd.memory.lists import heavy
from tests.rooms import Rooms

KEYS = ("a", "ab", "ab%", "ab_", "abc", "b", "ba", "\ud7ff", "\ud7ffx", "\ue000", "\U0010ffff", "\U0010ffffx")


def listed(rooms: Rooms, size: int = 1000, **filters: Any) -> list[str]:
    """All pages of a list, as `scope/key`."""
    names: list[str] = []
    cursor = None
    for _ in range(1000):
        page = rooms(ListMemories(limit=size, cursor=cursor, **filters))
        names += [name(entry) for entry in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    return names


def name(entry: Memory) -> str:
    return f"{entry.scope}/{entry.key}"


@pytest.fixture
def entries(rooms: Rooms) -> list[Memory]:
    """Entries that differ in all that can be asked for, oldest first."""
    with rooms.writer:
        made = [
            rooms(
                SetMemory(
                    key=key,
                    value=number,
                    scope=("global", "p", "q")[number % 3],
                    category=("c", "d")[number % 2],
                    priority=number * 7 % 10 + 1,
                    tags=(("t",), ("t", "u"), ())[number % 5 % 3],
                )
            )
            for number, key in enumerate(f"{start}{end}" for start, end in product(KEYS, ("", "1", "é")))
        ]
        again = [rooms(SetMemory(key=entry.key, scope=entry.scope, value="again")) for entry in made[::4]]
    return [entry for entry in made if entry not in made[::4]] + again


@pytest.mark.parametrize("order", ["newest", "priority"])
def test_any_filters_give_what_a_look_at_every_entry_gives(rooms: Rooms, entries: list[Memory], order: str) -> None:
    for scope, category, tag, least in product((None, "p"), (None, "c"), (None, "t"), (None, 4)):
        wanted = [
            entry
            for entry in reversed(entries)
            if scope in {None, entry.scope}
            and category in {None, entry.category}
            and (tag is None or tag in entry.tags)
            and entry.priority >= (least or 1)
        ]
        if order == "priority":
            wanted.sort(key=lambda entry: -entry.priority)
        for size in (1, 7, 1000):
            shown = listed(rooms, size, scope=scope, category=category, tag=tag, min_priority=least, order=order)
            assert shown == [name(entry) for entry in wanted], (scope, category, tag, least, size)


@pytest.mark.parametrize(("scope", "tag", "least"), [(None, None, None), ("p", None, None), (None, "t", 4)])
def test_a_prefix_lists_in_key_order_and_is_no_pattern(
    rooms: Rooms, entries: list[Memory], scope: str | None, tag: str | None, least: int | None
) -> None:
    for prefix in (*KEYS, "\U0010ffff\U0010ffff", "nowhere"):
        wanted = [
            entry
            for entry in sorted(entries, key=lambda entry: entry.key)
            if entry.key.startswith(prefix)
            and scope in {None, entry.scope}
            and (tag is None or tag in entry.tags)
            and entry.priority >= (least or 1)
        ]
        for size in (1, 7, 1000):
            shown = listed(rooms, size, prefix=prefix, scope=scope, tag=tag, min_priority=least)
            assert shown == [name(entry) for entry in wanted], (prefix, size)


def test_one_key_in_many_scopes_is_listed_once_for_each(rooms: Rooms) -> None:
    for number in range(5):
        rooms(SetMemory(key="k", value=1, scope=f"p{number}"))

    assert listed(rooms, 2, prefix="k") == [f"p{number}/k" for number in range(5)]


def test_setting_an_entry_makes_it_the_newest(rooms: Rooms) -> None:
    for key in "ab":
        rooms(SetMemory(key=key, value=1))
    rooms(SetMemory(key="a", value=2))

    assert listed(rooms) == ["global/a", "global/b"]


def test_a_tag_that_was_taken_off_lists_no_longer(rooms: Rooms) -> None:
    rooms(SetMemory(key="k", value=1, tags=("t", "u")))
    rooms(SetMemory(key="k", value=1, tags=("u",), priority=1))

    assert listed(rooms, tag="t") == []
    assert listed(rooms, tag="u") == ["global/k"]


def test_entries_set_between_two_pages_neither_repeat_nor_hide_any(rooms: Rooms) -> None:
    for key in "abcd":
        rooms(SetMemory(key=key, value=1))
    first = rooms(ListMemories(limit=2))
    rooms(SetMemory(key="e", value=1))
    second = rooms(ListMemories(limit=2, cursor=first.next_cursor))

    assert [entry.key for page in (first, second) for entry in page.items] == ["d", "c", "b", "a"]


def test_a_cursor_of_another_order_is_refused(rooms: Rooms, entries: list[Memory]) -> None:
    cursor = rooms(ListMemories(limit=1)).next_cursor

    for other in (ListMemories(order="priority", cursor=cursor), ListMemories(prefix="a", cursor=cursor)):
        with pytest.raises(InvalidParams) as refusal:
            rooms(other)
        assert refusal.value.data["field"] == "cursor"


def test_a_cursor_of_a_lower_prefix_does_not_lead_out_of_this_one(rooms: Rooms, entries: list[Memory]) -> None:
    cursor = rooms(ListMemories(prefix="a", limit=1)).next_cursor

    assert all(entry.key.startswith("b") for entry in rooms(ListMemories(prefix="b", cursor=cursor)).items)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, False),
        ({"category": "c"}, False),
        ({"tag": "t", "order": "priority"}, False),
        ({"scope": "p", "min_priority": 3}, False),
        ({"prefix": "a", "scope": "p"}, False),
        ({"prefix": "a", "category": "c"}, True),
        ({"prefix": "a", "min_priority": 3}, True),
        ({"scope": "p", "category": "c"}, True),
        ({"tag": "t", "category": "c", "scope": "p"}, True),
        ({"limit": 1000}, True),
    ],
)
def test_a_list_that_may_pass_over_entries_or_is_long_does_not_run_inline(
    filters: dict[str, Any], expected: bool
) -> None:
    assert heavy(ListMemories(**filters)) is expected
