"""`event.list`: the change log in pages."""

from __future__ import annotations

import pytest

from tests.harness import Peer

from .test_follow import write

pytestmark = pytest.mark.anyio


async def test_pages_hold_every_change_once_and_in_order(peer: Peer) -> None:
    await write(peer, 25)
    seen: list[int] = []
    cursor = None
    while True:
        page = await peer.result("event.list", limit=10, cursor=cursor)
        seen += [change["seq"] for change in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == list(range(1, 26))


async def test_a_page_that_ends_with_the_log_has_no_next_one(peer: Peer) -> None:
    await write(peer, 10)
    page = await peer.result("event.list", limit=10)
    assert (len(page["items"]), page["next_cursor"]) == (10, None)


async def test_pages_by_topic_skip_what_lies_between(peer: Peer) -> None:
    for number in range(6):
        await peer.result("memory.set", key="k", value=number)
        await peer.result("action.log", action="did")
    first = await peer.result("event.list", topics=["action"], limit=4)
    second = await peer.result("event.list", topics=["action"], limit=4, cursor=first["next_cursor"])
    assert [change["seq"] for change in first["items"] + second["items"]] == [2, 4, 6, 8, 10, 12]
    assert second["next_cursor"] is None


async def test_a_list_can_begin_at_a_place_and_an_empty_one_is_no_error(peer: Peer) -> None:
    await write(peer, 5)
    assert [change["seq"] for change in (await peer.result("event.list", since=3))["items"]] == [4, 5]
    assert await peer.result("event.list", since=5) == {"items": [], "next_cursor": None}
    assert await peer.result("event.list", since=2**63 - 1) == {"items": [], "next_cursor": None}


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", "é", "_" * 2000])
async def test_a_made_up_cursor_is_refused(peer: Peer, cursor: str) -> None:
    assert await peer.refusal("event.list", cursor=cursor) == (-32602, "invalid_params")


async def test_a_cursor_of_another_list_is_refused(peer: Peer) -> None:
    await write(peer, 2)
    other = (await peer.result("memory.list", limit=1))["next_cursor"]
    assert await peer.refusal("event.list", cursor=other) == (-32602, "invalid_params")


@pytest.mark.parametrize("limit", [0, -1, 1001, 1.5, "10", None])
async def test_a_limit_out_of_range_is_refused(peer: Peer, limit: object) -> None:
    assert await peer.refusal("event.list", limit=limit) == (-32602, "invalid_params")


async def test_what_changes_nothing_is_no_event(peer: Peer) -> None:
    await peer.result("memory.set", key="k", value=1)
    await peer.result("memory.set", key="k", value=1)
    assert await peer.refusal("memory.delete", key="none") == (-32001, "not_found")
    assert await peer.refusal("memory.set", key="k", value=2, if_version=7) == (-32002, "conflict")
    assert len((await peer.result("event.list"))["items"]) == 1
