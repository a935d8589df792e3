"""The job that removes for good what nobody restored in time."""

from __future__ import annotations

from pathlib import Path

import pytest

from keptd.trash import jobs
from tests.harness import Peer, request, running

pytestmark = pytest.mark.anyio

DAY = 86_400


async def run(peer: Peer) -> str:
    await peer.send(request("run", "job.run", name="trash.empty"))
    while "method" in (reply := await peer.receive()):
        pass
    assert reply["result"]["result"] == "ok"
    return str(reply["result"]["summary"])


async def forget(peer: Peer, key: str) -> None:
    await peer.result("memory.set", key=key, value=1)
    await peer.result("memory.delete", key=key)


async def test_what_was_deleted_30_days_ago_goes_and_what_is_newer_stays(home: Path) -> None:
    async with running(home) as daemon:
        peer = await daemon.connect()
        await forget(peer, "old")
        daemon.clock.advance(DAY)
        await forget(peer, "newer")
        daemon.clock.advance(29 * DAY - 1)
        assert await run(peer) == "nothing was due"
        daemon.clock.advance(1)
        assert await run(peer) == "1 removed for good"
        assert [item["label"] for item in (await peer.result("trash.list"))["items"]] == ["newer"]
        (change,) = (await peer.result("event.list", topics=["trash.empty"]))["items"]
        assert (change["entity"], change["label"], change["actor"]["client"]) == ("trash", "1 removed", "keptd")


async def test_the_days_are_a_setting_and_count_from_the_deletion(home: Path) -> None:
    async with running(home, trash__keep_days="2") as daemon:
        peer = await daemon.connect()
        await forget(peer, "k")
        daemon.clock.advance(2 * DAY)
        assert await run(peer) == "1 removed for good"


async def test_much_is_removed_in_several_writes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "ROWS", 2)
    async with running(home) as daemon:
        peer = await daemon.connect()
        for number in range(5):
            await forget(peer, f"k{number}")
        daemon.clock.advance(30 * DAY)
        assert await run(peer) == "5 removed for good"
        labels = [change["label"] for change in (await peer.result("event.list", topics=["trash"]))["items"]]
        assert labels == ["2 removed", "2 removed", "1 removed"]
