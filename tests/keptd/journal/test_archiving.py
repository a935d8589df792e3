"""The job that archives, in a daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keptd.journal import jobs
from tests.harness import Peer, request, running

pytestmark = pytest.mark.anyio

DAY = 86_400


async def run(peer: Peer) -> dict[str, Any]:
    await peer.send(request("run", "job.run", name="journal.archive"))
    while "method" in (reply := await peer.receive()):
        pass
    return dict(reply["result"])


async def test_actions_of_90_days_ago_move_into_an_archive_and_are_still_listed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "ROWS", 2)
    async with running(home, mirror__enabled="true", mirror__interval_seconds="0.01") as daemon:
        peer = await daemon.connect()
        for number in range(5):
            await peer.result("action.log", action=str(number))
        assert (await run(peer))["summary"] == "no action is old enough"
        daemon.clock.advance(90 * DAY + 1)
        assert (await run(peer))["summary"] == "4 actions archived (2026-01)"
        listed = await peer.result("action.list")
        assert [action["action"] for action in listed["items"]] == ["4", "3", "2", "1", "0"]
        (change,) = (await peer.result("event.list", topics=["archive"]))["items"]
        assert (change["method"], change["entity_id"], change["label"]) == ("journal.archive", "2026-01", "4 actions")
        assert (home / "archives").stat().st_mode & 0o777 == 0o700
        assert (home / "archives" / "actions-2026-01.jsonl.zst").stat().st_mode & 0o777 == 0o600
    mirrored = (home / "history" / "actions.jsonl").read_text().splitlines()
    assert [json.loads(line)["action"]["action"] for line in mirrored] == ["0", "1", "2", "3", "4"]


async def test_a_damaged_archive_fails_the_job_and_removes_nothing(home: Path) -> None:
    async with running(home, journal__archive_after_days="1") as daemon:
        peer = await daemon.connect()
        for number in range(3):
            await peer.result("action.log", action=str(number))
        (home / "archives").mkdir(mode=0o700)
        (home / "archives" / "actions-2026-01.jsonl.zst").write_bytes(b"no archive")
        daemon.clock.advance(2 * DAY)
        failed = await run(peer)
        assert failed["result"] == "failed"
        assert "actions-2026-01.jsonl.zst is damaged" in failed["summary"]
        (home / "archives" / "actions-2026-01.jsonl.zst").unlink()
        assert len((await peer.result("action.list"))["items"]) == 3
