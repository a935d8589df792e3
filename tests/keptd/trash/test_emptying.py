"""The job that removes for good what nobody restored in time."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from keptd.clock import to_time
from keptd.trash import jobs
from tests.harness import Daemon, Peer, request, running
from tests.working import done

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


@pytest.mark.parametrize("days", [60, -60])
async def test_a_clock_that_is_set_empties_nothing_and_the_days_go_on_being_counted(home: Path, days: int) -> None:
    async with running(home) as daemon:
        peer = await daemon.connect()
        await forget(peer, "old")
        daemon.clock.advance(10 * DAY)
        assert await run(peer) == "nothing was due"
        daemon.clock.put(days * DAY)
        assert await run(peer) == "nothing was due"
        await forget(peer, "newer")
        old, newer = reversed([await kept_for(daemon, item) for item in (await peer.result("trash.list"))["items"]])
        assert (old, newer) == (20, 30)
        daemon.clock.advance(20 * DAY - 1)
        assert await run(peer) == "nothing was due"
        daemon.clock.advance(1)
        assert await run(peer) == "1 removed for good"
        daemon.clock.put(-days * DAY)
        assert await run(peer) == "nothing was due"
        daemon.clock.advance(10 * DAY)
        assert await run(peer) == "1 removed for good"


async def kept_for(daemon: Daemon, item: dict[str, Any]) -> float:
    """Days from now until something is due, as the list has it."""
    left = datetime.fromisoformat(item["purge_at"]) - to_time(daemon.clock.now())
    return left / timedelta(days=1)


async def test_a_machine_that_was_off_for_40_days_has_aged_by_one(home: Path) -> None:
    async with running(home) as daemon:
        peer = await daemon.connect()
        await forget(peer, "old")
        daemon.clock.advance(10 * DAY)
        assert await run(peer) == "nothing was due"
        clock = daemon.clock
    clock.pause(40 * DAY, "second")
    async with running(home, None, clock) as daemon:
        peer = await daemon.connect()
        assert await run(peer) == "nothing was due"
        [item] = (await peer.result("trash.list"))["items"]
        assert await kept_for(daemon, item) == 19
        daemon.clock.advance(19 * DAY - 1)
        assert await run(peer) == "nothing was due"
        daemon.clock.advance(1)
        assert await run(peer) == "1 removed for good"


async def test_what_comes_back_with_a_backup_has_as_much_time_left_as_it_had(home: Path) -> None:
    async with running(home) as daemon:
        peer = await daemon.connect()
        await forget(peer, "old")
        daemon.clock.advance(10 * DAY)
        assert await run(peer) == "nothing was due"
        backup = await done(peer, "backup.create")
        daemon.clock.advance(25 * DAY)
        assert await run(peer) == "1 removed for good"
        await done(peer, "backup.restore", id=backup["id"])
        assert await run(peer) == "nothing was due"
        [item] = (await peer.result("trash.list"))["items"]
        assert await kept_for(daemon, item) == 20


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
