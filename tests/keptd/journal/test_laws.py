"""What holds for any data: pages show each row once, lists narrow exactly, histories lose nothing early."""

from __future__ import annotations

from datetime import timedelta
from itertools import count, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, get_args

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kept.wire.journal import AddDecision, Decision, ListActions, ListDecisions, LogAction, ResolveDecision
from keptd.clock import to_time
from keptd.journal import DOMAIN
from keptd.journal.rules import FORMER_KEPT
from tests.rooms import Rooms

Status = Literal["open", "resolved", "superseded"]

_few = settings(max_examples=25, deadline=None)
_steps = st.lists(
    st.tuples(st.sampled_from([None, "p", "q"]), st.integers(-30, 30), st.sampled_from(get_args(Status))), max_size=12
)


@_few
@given(before=st.integers(0, 12), limit=st.integers(1, 5), added=st.lists(st.integers(0, 3), max_size=8))
def test_pages_show_each_action_once_in_order_while_others_are_added(before: int, limit: int, added: list[int]) -> None:
    with TemporaryDirectory() as folder:
        rooms = Rooms(Path(folder), [DOMAIN])
        names = map(str, count())
        there = [rooms(LogAction(action=next(names))).id for _ in range(before)]
        shown: list[str] = []
        cursor: str | None = None
        late = iter(added)
        while True:
            page = rooms(ListActions(limit=limit, cursor=cursor))
            shown += [action.id for action in page.items]
            assert len(shown) <= before
            if page.next_cursor is None:
                break
            assert len(page.items) == limit
            cursor = page.next_cursor
            for _ in range(next(late, 0)):
                rooms(LogAction(action=next(names)))
        rooms.close()
    assert shown == there[::-1]


@_few
@given(steps=_steps, since=st.integers(-60, 60), limit=st.integers(1, 4))
def test_every_filter_shows_just_the_decisions_that_fit(
    steps: list[tuple[str | None, int, Status]], since: int, limit: int
) -> None:
    with TemporaryDirectory() as folder:
        rooms = Rooms(Path(folder), [DOMAIN])
        start = to_time(rooms.clock.now())
        for project, seconds, status in steps:
            rooms.clock.advance(seconds)
            decision = rooms(AddDecision(decision="d", reasoning="r", project=project))
            if status == "resolved":
                rooms(ResolveDecision(id=decision.id, outcome="o"))
            elif status == "superseded":
                rooms(AddDecision(decision="n", reasoning="r", supersedes=decision.id))
        everything = _all(rooms, ListDecisions())
        moment = start + timedelta(seconds=since)
        for project, status, at in product((None, "p"), (None, *get_args(Status)), (None, moment)):
            call = ListDecisions(project=project, status=status, since=at, limit=limit)
            assert _all(rooms, call) == [one for one in everything if _fits(one, call)]
        rooms.close()


def _all(rooms: Rooms, call: ListDecisions) -> list[Decision]:
    items: list[Decision] = []
    while True:
        page = rooms(call)
        items += page.items
        if page.next_cursor is None:
            return items
        call = msgspec.structs.replace(call, cursor=page.next_cursor)


def _fits(decision: Decision, call: ListDecisions) -> bool:
    status = "superseded" if decision.superseded_by else "resolved" if decision.outcome else "open"
    return (
        call.project in (None, decision.project)
        and call.status in (None, status)
        and (call.since is None or decision.created_at >= call.since)
    )


@_few
@example(outcomes=[str(number) for number in range(FORMER_KEPT + 2)])
@given(outcomes=st.lists(st.text(min_size=1, max_size=5).filter(str.isprintable), min_size=1, max_size=30))
def test_former_outcomes_are_the_last_twenty_before_the_present_one_newest_first(outcomes: list[str]) -> None:
    with TemporaryDirectory() as folder:
        rooms = Rooms(Path(folder), [DOMAIN])
        decision = rooms(AddDecision(decision="d", reasoning="r"))
        for outcome in outcomes:
            rooms.clock.advance(1)
            decision = rooms(ResolveDecision(id=decision.id, outcome=outcome))
        rooms.close()
    assert decision.outcome == outcomes[-1]
    assert decision.version == 1 + len(outcomes)
    assert [former.text for former in decision.former_outcomes] == outcomes[-2::-1][:FORMER_KEPT]
    replaced = [former.replaced_at for former in decision.former_outcomes]
    assert replaced == sorted(replaced, reverse=True)
