"""A wall clock that leaps, with everything that goes by age in the house: no job takes it for time that has passed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import Peer, running
from tests.keptd.data.moving import furnish, seen
from tests.working import done

pytestmark = pytest.mark.anyio

DAY = 86_400


async def run_all(peer: Peer) -> None:
    """Every job there is."""
    for job in (await peer.result("job.list"))["items"]:
        assert (await done(peer, "job.run", name=job["name"]))["result"] == "ok"


@pytest.mark.parametrize("days", [60, -60, 1000])
@pytest.mark.parametrize("how", ["set", "off"])
async def test_no_job_takes_a_leap_for_time_that_has_passed(home: Path, days: int, how: str) -> None:
    settings = {"sessions__archive_after_days": "5", "journal__archive_after_days": "5"}
    call = {"key": "once", "value": 1, "idempotency_key": "a key of my own"}
    async with running(home, **settings) as daemon:
        peer = await daemon.connect()
        await furnish(daemon, peer)
        await run_all(peer)
        first = await peer.result("memory.set", **call)
        await peer.result("memory.delete", key="k3")
        made = await peer.result("session.create", title="lately")
        await peer.result("message.send", session_id=made["id"], content="hello")
        for number in range(3):
            await peer.result("action.log", action=f"lately {number}")
        before = await seen(peer)
        assert before["trash"]
        clock = daemon.clock
        if how == "set":
            clock.put(days * DAY)
            await run_all(peer)
            assert await seen(peer) == before
            assert await peer.result("memory.set", **call) == first
    if how == "off":
        clock.pause(days * DAY, "second")
        async with running(home, None, clock, **settings) as daemon:
            peer = await daemon.connect()
            await run_all(peer)
            assert await seen(peer) == before
