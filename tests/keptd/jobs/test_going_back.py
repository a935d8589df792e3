"""Going back to a backup leaves the jobs as they are: what is paused stays so, and nothing is due that has run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.harness import Peer, patience, running
from tests.working import done

pytestmark = pytest.mark.anyio

SETTINGS = {
    "jobs__memory_expire": "24h",
    "jobs__trash_empty": "24h",
    "jobs__data_tidy": "24h",
    "jobs__receipt_expire": "24h",
}
NAMES = ("memory.expire", "trash.empty", "data.tidy", "receipt.expire")


async def listed(peer: Peer) -> list[dict[str, Any]]:
    return [item for item in (await peer.result("job.list"))["items"] if item["name"] in NAMES]


async def history(peer: Peer) -> list[str]:
    return [run["id"] for run in (await peer.result("job.history"))["items"]]


async def test_what_was_paused_or_has_run_since_the_backup_stays_so_also_after_a_restart(
    home: Path, anyio_backend: str
) -> None:
    async with running(home, **SETTINGS) as daemon:
        peer = await daemon.connect()
        daemon.clock.advance(61)  # The first run of each.
        with patience("the first runs"):
            while len(await history(peer)) < len(NAMES) or any(job["running"] for job in await listed(peer)):
                await anyio.lowlevel.checkpoint()
        await done(peer, "job.pause", name="data.tidy")
        backup = await done(peer, "backup.create")
        daemon.clock.advance(20 * 3600)
        for name in NAMES:
            await done(peer, "job.run", name=name)
        await done(peer, "job.pause", name="memory.expire")
        await done(peer, "job.resume", name="data.tidy")
        jobs, runs = await listed(peer), await history(peer)
        await done(peer, "backup.restore", id=backup["id"])
        assert (await listed(peer), await history(peer)) == (jobs, runs)
        assert {job["name"] for job in jobs if job["paused"]} == {"memory.expire"}
    async with running(home) as daemon:
        peer = await daemon.connect()
        assert {job["name"] for job in await listed(peer) if job["paused"]} == {"memory.expire"}
        assert await history(peer) == runs
        [run] = [(await done(peer, "job.run", name="data.tidy"))["id"]]
        assert await history(peer) == [run, *runs]
