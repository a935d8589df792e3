"""job.* over the socket, and where else jobs are seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from kept.wire.errors import Conflict, NotFound, StorageFailed, StorageFull
from keptd.supervisor import DOMAINS
from tests.harness import Daemon, Peer, notification, patience, request, running
from tests.working import done

pytestmark = pytest.mark.anyio

NAMES = sorted(job.name for domain in DOMAINS for job in domain.jobs)


def expects(refusal: tuple[int, str], error: type[NotFound | Conflict | StorageFull | StorageFailed]) -> None:
    assert refusal == (error.code, error.type)


async def job(peer: Peer, name: str) -> dict[str, Any]:
    return next(item for item in (await peer.result("job.list"))["items"] if item["name"] == name)


async def ran(peer: Peer, name: str, times: int) -> list[dict[str, Any]]:
    """Wait until it has run so often; the history."""
    with patience(f"{times} runs of {name}"):
        while True:
            items: list[dict[str, Any]] = (await peer.result("job.history", name=name))["items"]
            if len(items) >= times:
                return items


async def test_every_job_is_listed_with_its_schedule(home: Path) -> None:
    async with running(home, jobs__memory_expire="0 3 * * *", jobs__receipt_expire="every 48h") as daemon:
        peer = await daemon.connect()
        assert [item["name"] for item in (await peer.result("job.list"))["items"]] == NAMES
        assert await job(peer, "memory.expire") == {
            "name": "memory.expire",
            "description": "Move expired memories into the history.",
            "schedule": "0 3 * * *",
            "paused": False,
            "running": False,
            "next_at": "2026-01-01T03:00:00Z",
            "last_at": None,
            "last_seconds": None,
            "last_result": None,
            "last_error": None,
            "failures": 0,
        }
        assert (await job(peer, "receipt.expire"))["schedule"] == "every 2d"


async def test_what_has_expired_is_swept_when_it_is_due(home: Path) -> None:
    async with running(home, jobs__memory_expire="1m") as daemon:
        peer = await daemon.connect()
        for number in range(3):
            await peer.result("memory.set", key=f"k{number}", value=1, ttl=30)
        daemon.clock.advance(67)
        [run] = await ran(peer, "memory.expire", 1)
        assert (run["result"], run["summary"], run["asked_by"]) == ("ok", "3 expired", None)
        events = (await peer.result("event.list", topics=["memory.expire"]))["items"]
        assert [event["actor"]["client"] for event in events] == ["keptd"] * 3


async def test_a_sweep_goes_on_until_nothing_is_left(daemon: Daemon, peer: Peer) -> None:
    for start in range(5):
        lines = [request(n, "memory.set", key=f"k{start}.{n}", value=1, ttl=10) for n in range(201)]
        await peer.send(*lines)
        for _ in lines:
            assert "result" in await peer.receive()
    daemon.clock.advance(11)
    await peer.send(request("run", "job.run", name="memory.expire"))
    told = []
    while "method" in (reply := await peer.receive()):
        told.append((reply["params"]["id"], reply["params"]["done"]))
    assert told == [("run", 500), ("run", 1000), ("run", 1005)]
    assert reply["result"]["summary"] == "1005 expired"


async def test_run_now_waits_for_the_end_and_names_who_asked(peer: Peer) -> None:
    await peer.result("daemon.hello", client="editor")
    await peer.result("job.run", name="receipt.expire")
    run = await peer.result("job.run", name="memory.expire")
    assert (run["job"], run["result"], run["summary"], run["asked_by"]) == (
        "memory.expire",
        "ok",
        "0 expired",
        "editor",
    )
    assert [item["job"] for item in (await peer.result("job.history"))["items"]] == ["memory.expire", "receipt.expire"]
    assert (await peer.result("job.history", name="memory.expire"))["items"] == [run]


async def test_history_comes_in_pages(peer: Peer) -> None:
    ids = [(await peer.result("job.run", name="memory.expire"))["id"] for _ in range(5)]
    shown: list[str] = []
    cursor: str | None = None
    while True:
        page = await peer.result("job.history", limit=2, **({"cursor": cursor} if cursor else {}))
        shown += [run["id"] for run in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert shown == ids[::-1]
    assert await peer.refusal("job.history", cursor="x") == (-32602, "invalid_params")


async def test_a_job_that_there_is_not_is_not_found(peer: Peer) -> None:
    expects(await peer.refusal("job.run", name="no.job"), NotFound)
    expects(await peer.refusal("job.history", name="no.job"), NotFound)
    expects(await peer.refusal("job.pause", name="no.job"), NotFound)
    expects(await peer.refusal("job.resume", name="no.job"), NotFound)


async def test_a_job_that_runs_is_not_run_beside_itself(daemon: Daemon, peer: Peer) -> None:
    other = await daemon.connect()
    await done(other, "job.run", name="memory.expire")  # The runner has begun its work by then.
    with daemon.clock.holding("writer"):
        await peer.send(request(1, "job.run", name="memory.expire"))
        listed = daemon.supervisor.jobs.listed
        await daemon.until("the run", lambda: any(one.running for one in listed() if one.name == "memory.expire"))
        assert (await job(other, "memory.expire"))["running"]
        expects(await other.refusal("job.run", name="memory.expire"), Conflict)
    while "method" in (reply := await peer.receive()):
        pass
    assert reply["result"]["result"] == "ok"


async def test_pause_and_resume_are_events_and_survive_a_restart(home: Path) -> None:
    settings = {"jobs__memory_expire": "1m"}
    async with running(home, **settings) as daemon:
        peer = await daemon.connect()
        paused = await peer.result("job.pause", name="memory.expire")
        assert (paused["paused"], paused["next_at"]) == (True, None)
        await peer.result("job.pause", name="memory.expire")
        [event] = (await peer.result("event.list", topics=["job"]))["items"]
        assert (event["method"], event["entity_id"]) == ("job.pause", "memory.expire")
    async with running(home, **settings) as daemon:
        peer = await daemon.connect()
        assert (await job(peer, "memory.expire"))["paused"]
        resumed = await peer.result("job.resume", name="memory.expire")
        assert not resumed["paused"]
        daemon.clock.advance(67)
        await ran(peer, "memory.expire", 1)


@pytest.mark.parametrize(("state", "error"), [("full", StorageFull), ("failed", StorageFailed)])
async def test_a_pause_that_can_not_be_kept_is_refused(
    daemon: Daemon, peer: Peer, monkeypatch: pytest.MonkeyPatch, state: Any, error: type[StorageFull | StorageFailed]
) -> None:
    writer = daemon.supervisor._store.writer
    assert {StorageFull, StorageFailed} >= {error}
    monkeypatch.setattr(writer._ballast, "hold", lambda: False)
    monkeypatch.setattr(writer, "_try_reopen", lambda: None)
    writer.stats.state = state
    expects(await peer.refusal("job.pause", name="memory.expire"), error)
    expects(await peer.refusal("job.resume", name="memory.expire"), error)
    assert not (await job(peer, "memory.expire"))["paused"]
    writer.stats.state = "ok"


async def test_a_failing_job_shows_in_the_status_and_as_a_component(
    daemon: Daemon, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def state() -> tuple[list[str], str]:
        component = await peer.result("component.get", name="keptd.jobs")
        return (await peer.result("daemon.status"))["jobs_failing"], component["status"]

    assert await state() == ([], "operational")
    writer = daemon.supervisor._store.writer
    monkeypatch.setattr(writer, "_try_reopen", lambda: None)
    writer.stats.state = "failed"
    run = await peer.result("job.run", name="memory.expire")
    assert run["result"] == "failed"
    assert await state() == (["memory.expire"], "degraded")
    assert (await job(peer, "memory.expire"))["last_error"] == run["summary"]
    writer.stats.state = "ok"
    await peer.result("job.run", name="memory.expire")
    assert await state() == ([], "operational")


async def test_a_reload_changes_a_schedule_at_once(daemon: Daemon, peer: Peer) -> None:
    assert (await job(peer, "memory.expire"))["schedule"] == "off"
    daemon.supervisor._load = lambda: _with(daemon, "5m")
    assert await peer.result("daemon.reload") == {"applied": ["jobs.memory_expire"], "needs_restart": []}
    assert (await job(peer, "memory.expire"))["schedule"] == "every 5m"
    daemon.clock.advance(30)
    await ran(peer, "memory.expire", 1)


def _with(daemon: Daemon, schedule: str) -> Any:
    settings = daemon.supervisor._config
    return msgspec.structs.replace(settings, jobs=msgspec.structs.replace(settings.jobs, memory_expire=schedule))


async def test_a_stop_answers_who_waits_for_a_job(daemon: Daemon, peer: Peer) -> None:
    other = await daemon.connect()
    with daemon.clock.holding("writer", passes=2):
        await peer.send(request(1, "job.run", name="memory.expire"))
        await daemon.clock.reached()
        await other.send(notification("daemon.stop"))
        await daemon.until("the stop", lambda: daemon.supervisor.jobs._stopping)
    while "method" in (reply := await peer.receive()):
        pass
    assert reply["result"]["result"] in ("interrupted", "ok")


async def test_the_command_line_shows_and_runs_jobs(peer: Peer) -> None:
    for argv in (
        ["job", "run", "memory.expire"],
        ["job", "list"],
        ["job", "history"],
        ["job", "pause", "memory.expire"],
    ):
        done = await peer.result("cli.run", argv=argv, columns=80)
        assert (done["code"], done["err"]) == (0, "")
        assert "memory.expire" in done["out"]
