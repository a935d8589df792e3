from __future__ import annotations

import os
from itertools import pairwise

import pytest

from tests.harness import Daemon, Peer, request
from tests.working import done

pytestmark = pytest.mark.anyio


async def test_sizes_come_by_table_and_index_and_add_up(daemon: Daemon, peer: Peer) -> None:
    for number in range(50):
        await peer.result("memory.set", key=f"k{number}", value="x" * 2000)
    stats = await done(peer, "maintenance.stats")
    sizes = {size["name"]: size for size in stats["tables"]}

    assert sizes["memory"]["rows"] == 50
    assert sizes["memory"]["bytes"] > 100_000
    assert sizes["memory_by_scope_key"]["rows"] is None
    assert [size["bytes"] for size in stats["tables"]] == sorted(
        (size["bytes"] for size in stats["tables"]), reverse=True
    )
    used = sum(size["bytes"] for size in stats["tables"])
    free = stats["free_pages"] * stats["page_bytes"]
    assert 0 <= stats["database_bytes"] - used - free <= 2 * stats["page_bytes"]
    assert stats["wal_bytes"] == os.stat(f"{daemon.paths.database}-wal").st_size > 0


async def test_commits_and_batches_are_counted(peer: Peer) -> None:
    await peer.send(*(request(number, "memory.set", key=f"k{number}", value=1) for number in range(30)))
    for _ in range(30):
        await peer.receive()
    stats = await done(peer, "maintenance.stats")

    assert stats["writes"] >= 30
    assert 1 <= stats["largest_batch"] <= stats["writes"]
    assert stats["mean_batch"] == round(stats["writes"] / stats["commits"], 2)


async def test_every_kind_of_method_is_timed_and_what_took_longest_comes_first(peer: Peer) -> None:
    for number in range(3):
        await peer.result("memory.set", key=f"k{number}", value=1)
        await peer.result("memory.get", key=f"k{number}")
    await peer.result("memory.search", query="k1")
    await peer.result("daemon.ping")
    await done(peer, "maintenance.stats")
    slowest = (await done(peer, "maintenance.stats"))["slowest"]
    calls = {method["method"]: method["calls"] for method in slowest}

    assert calls == {
        "memory.set": 3,
        "memory.get": 3,
        "memory.search": 1,
        "daemon.ping": 1,
        "maintenance.stats": 1,
    }
    assert all(0 < method["mean_ms"] <= method["worst_ms"] + 0.001 for method in slowest)
    totals = [method["mean_ms"] * method["calls"] for method in slowest]
    assert all(more >= less - 0.01 for more, less in pairwise(totals))


async def test_a_refused_request_counts_as_well(peer: Peer) -> None:
    await peer.refusal("memory.get", key="none")
    await peer.refusal("memory.delete", key="none")
    calls = {method["method"]: method["calls"] for method in (await done(peer, "maintenance.stats"))["slowest"]}

    assert calls == {"memory.get": 1, "memory.delete": 1}
