"""The queue in which everybody who waits gets the same share."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from keptd.store.turns import Turns


def test_one_who_asks_for_much_does_not_hold_up_one_who_asks_for_little() -> None:
    turns: Turns[str] = Turns()
    for number in range(100):
        turns.put("greedy", f"greedy {number}")
    turns.put("modest", "modest")
    assert [turns.get(), turns.get()] == ["greedy 0", "modest"]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers())))
def test_nothing_is_lost_and_each_owner_keeps_its_order(items: list[tuple[int, int]]) -> None:
    turns: Turns[tuple[int, int]] = Turns()
    for owner, value in items:
        turns.put(owner, (owner, value))
    turns.close()
    taken = list(iter(turns.get, None))
    for owner in range(4):
        assert [item for item in taken if item[0] == owner] == [item for item in items if item[0] == owner]


def test_closing_ends_those_who_wait() -> None:
    turns: Turns[str] = Turns()
    ended = threading.Event()

    def wait() -> None:
        assert turns.get() is None
        ended.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    turns.close()
    assert ended.wait(5)
    waiting.join()
