from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import apsw
import pytest

from kept.wire.errors import StorageFailed
from keptd.domain import SelfReport
from keptd.maintenance import rules, store
from keptd.recovery import Marker
from tests.harness import Daemon, Peer, running
from tests.working import database, done, refused, work

pytestmark = pytest.mark.anyio

DESTRUCTIVE = ("rm ", "delete", "remove", "drop", "trash.empty", "vacuum into", "truncate", "reset")


async def findings(peer: Peer, **params: Any) -> dict[str, dict[str, Any]]:
    checkup = await done(peer, "maintenance.check", **params)
    worst = ["ok", "warning", "problem"]
    verdicts = [finding["verdict"] for finding in checkup["findings"]]
    assert checkup["verdict"] == max(verdicts, key=worst.index)
    for finding in checkup["findings"]:
        assert (finding["verdict"] == "ok") == (finding["next_step"] is None)
        assert not any(word in (finding["next_step"] or "").lower() for word in DESTRUCTIVE)
    return {finding["what"]: finding for finding in checkup["findings"]}


async def test_everything_is_looked_at(peer: Peer) -> None:
    await peer.result("memory.set", key="k", value="v")
    found = await findings(peer)

    assert found.keys() >= {"structure", "references", "search", "files", "free space", "slack", "keptd.storage"}
    assert {found[what]["verdict"] for what in ("structure", "references", "search", "files", "checksums")} == {"ok"}


async def test_a_quick_check_reads_no_page(peer: Peer) -> None:
    found = await findings(peer, quick=True)

    assert not found.keys() & {"structure", "references", "search", "files"}
    assert "free space" in found


async def test_the_caller_is_told_how_far_it_is(peer: Peer) -> None:
    _, told = await work(peer, "maintenance.check")

    assert (told[0]["done"], told[0]["text"]) == (0, "reading every page")
    assert told[0]["total"] > 50, "the pages of an empty database"


def zero(file: Path, start: int, size: int) -> None:
    with file.open("r+b") as content:
        content.seek(start)
        content.write(bytes(size))


@pytest.mark.parametrize("asks", ["method", "job"])
async def test_a_damaged_page_is_a_problem_with_a_next_step_and_ends_the_daemon(home: Path, asks: str) -> None:
    async with running(home) as daemon:
        peer = await daemon.connect()
        for number in range(200):
            await peer.result("memory.set", key=f"k{number}", value="x" * 500)
    with database(daemon) as db:
        root = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'memory_by_key'").get
        size = db.pragma("page_size")
    zero(Path(daemon.paths.database), (root - 1) * size, size)
    async with running(home) as daemon:
        daemon.expected |= {"damage found", "stopping for a recovery"}
        peer = await daemon.connect()
        if asks == "method":
            found = await findings(peer)
            assert found["structure"]["verdict"] == "problem"
            assert "kept status" in found["structure"]["next_step"]
            assert "references" not in found
        else:
            run = await done(peer, "job.run", name="maintenance.check")
            assert run["result"] in ("failed", "interrupted")
        await daemon.until("the stop", daemon.supervisor._stopping.is_set)
    assert Marker(home).ending() == "damaged"


async def test_rows_that_refer_to_nothing_are_a_problem(daemon: Daemon, peer: Peer) -> None:
    with database(daemon) as db:
        db.execute("INSERT INTO decision_contradicts VALUES (99, NULL, 'k')")
    finding = (await findings(peer))["references"]

    assert (finding["verdict"], finding["detail"]) == ("problem", "references lead nowhere: 1 in decision_contradicts")


async def test_an_index_that_differs_from_its_table_is_a_warning(daemon: Daemon, peer: Peer) -> None:
    for number in range(3):
        await peer.result("memory.set", key=f"k{number}", value="v")
    with database(daemon) as db:
        db.execute("DELETE FROM memory_text WHERE rowid = 2")
        db.execute("INSERT INTO memory_text (rowid, key, value, labels, facets) VALUES (7, '', '', '', '')")
    finding = (await findings(peer))["search"]

    assert (finding["verdict"], finding["detail"]) == (
        "warning",
        "text indexes differ from their tables: 2 rows in memory_text",
    )


async def test_a_session_that_nobody_sees_is_not_missed_in_the_index(daemon: Daemon, peer: Peer) -> None:
    await peer.result("session.create", title="Boat")
    made = await peer.result("session.create", title="Kite")
    await peer.result("message.send", session_id=made["id"], content="high")
    await peer.result("session.delete", id=made["id"])
    assert (await findings(peer))["search"]["verdict"] == "ok"
    assert not [did for did in (await done(peer, "maintenance.optimize"))["did"] if "anew" in did]
    await peer.result("trash.empty")
    assert (await findings(peer))["search"]["verdict"] == "ok"
    with database(daemon) as db:
        db.execute("DELETE FROM session_text")
    assert "1 rows in session_text" in (await findings(peer))["search"]["detail"]


async def test_a_database_without_checksums_is_a_warning(home: Path, anyio_backend: str) -> None:
    with closing(apsw.Connection(str(home / "kept.db"), vfs="unix")) as db:
        db.pragma("journal_mode", "wal")
        db.execute("CREATE TABLE other (id INTEGER PRIMARY KEY) STRICT")
        db.execute("DROP TABLE other")
    async with running(home) as daemon:
        peer = await daemon.connect()
        for quick in (True, False):
            finding = (await findings(peer, quick=quick))["checksums"]
            assert finding["verdict"] == "warning"
            assert "kept data export-all" in finding["next_step"]


async def test_an_index_that_is_damaged_inside_is_a_problem(daemon: Daemon, peer: Peer) -> None:
    daemon.expected |= {"damage found", "stopping for a recovery"}
    await peer.result("memory.set", key="k", value="some words")
    with database(daemon) as db:
        db.execute("UPDATE memory_text_data SET block = zeroblob(length(block)) WHERE id > 100")

    assert (await findings(peer))["structure"]["verdict"] == "problem"


async def test_a_damaged_archive_is_a_problem_and_ends_the_daemon(home: Path, daemon: Daemon, peer: Peer) -> None:
    daemon.expected |= {"damage found", "stopping for a recovery"}
    (home / "archives").mkdir(mode=0o700)
    (home / "archives" / "actions-2026-01.jsonl.zst").write_bytes(b"no archive")
    finding = (await findings(peer))["files"]

    assert (finding["verdict"], finding["detail"]) == (
        "problem",
        "can't be read: archives/actions-2026-01.jsonl.zst",
    )
    await daemon.until("the stop", daemon.supervisor._stopping.is_set)


async def test_too_little_room_for_a_backup_is_a_warning(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=20 * 1024 * 1024))
    assert (await findings(peer))["free space"]["verdict"] == "warning"
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1024))
    assert (await findings(peer))["free space"]["verdict"] == "problem"


async def test_reports_of_past_recoveries_are_shown_newest_first(home: Path, peer: Peer) -> None:
    (home / "recovery").mkdir(mode=0o700)
    for day in (1, 3, 2):
        report = {
            "at": f"2026-01-0{day}T00:00:00Z",
            "reason": "the file was damaged",
            "quarantine": "quarantine/x",
            "backup_id": None,
            "salvaged": {"memory": day},
            "lost": "nothing",
        }
        (home / "recovery" / f"{day}.json").write_text(json.dumps(report))
    (home / "recovery" / "bad.json").write_text("{")
    checkup = await done(peer, "maintenance.check", quick=True)

    assert [recovery["salvaged"]["memory"] for recovery in checkup["recoveries"]] == [3, 2, 1]
    (finding,) = (finding for finding in checkup["findings"] if finding["what"] == "recoveries")
    assert finding["verdict"] == "warning"


async def test_a_database_that_can_not_be_read_at_all_is_an_error(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> store.Pages:
        raise apsw.IOError

    monkeypatch.setattr(store, "pages", fails)
    assert await refused(peer, "maintenance.check", quick=True) is StorageFailed


async def test_the_job_says_that_all_is_well(peer: Peer) -> None:
    run = await done(peer, "job.run", name="maintenance.check")

    assert run["result"] == "ok"
    assert run["summary"].startswith("all is well")


async def test_nothing_is_changed_by_a_check(daemon: Daemon, peer: Peer) -> None:
    await peer.result("memory.set", key="k", value="v")
    files = [Path(daemon.paths.database), Path(f"{daemon.paths.database}-wal")]
    before = [file.read_bytes() for file in files]
    await done(peer, "maintenance.check")

    assert [file.read_bytes() for file in files] == before


async def test_a_clock_that_is_behind_the_newest_change_is_a_warning(daemon: Daemon, peer: Peer) -> None:
    await peer.result("memory.set", key="k", value="v")
    assert (await findings(peer, quick=True))["clock"]["verdict"] == "ok"
    daemon.clock.micros -= 3600 * 1_000_000
    finding = (await findings(peer, quick=True))["clock"]

    assert (finding["verdict"], "3600 s behind" in finding["detail"]) == ("warning", True)


async def test_settings_that_the_next_start_would_refuse_are_a_problem(daemon: Daemon, peer: Peer) -> None:
    assert (await findings(peer, quick=True))["settings"]["verdict"] == "ok"
    daemon.reconfigure(limits__in_flight="5")
    finding = (await findings(peer, quick=True))["settings"]
    assert (finding["verdict"], "limits.in_flight" in finding["detail"]) == ("warning", True)
    assert "kept daemon reload" in finding["next_step"]
    daemon.reconfigure(limits__nonsense="5")
    finding = (await findings(peer, quick=True))["settings"]
    assert (finding["verdict"], "nonsense" in finding["detail"]) == ("problem", True)


async def test_a_reserve_that_is_gone_is_a_warning(home: Path) -> None:
    async with running(home, storage__ballast_bytes=str(1024 * 1024)) as daemon:
        peer = await daemon.connect()
        assert (await findings(peer, quick=True))["reserve"]["detail"].startswith("1 MiB are held back")
        (home / "ballast").write_bytes(b"")
        assert (await findings(peer, quick=True))["reserve"]["verdict"] == "warning"


async def test_a_paused_job_is_a_warning_that_says_how_it_goes_on(peer: Peer) -> None:
    await done(peer, "job.pause", name="backup.create")
    finding = (await findings(peer, quick=True))["keptd.jobs"]

    assert (finding["verdict"], finding["detail"]) == ("warning", "operational: paused: backup.create")
    assert "kept job resume" in finding["next_step"]


async def test_the_age_of_the_newest_backup_is_told(daemon: Daemon, peer: Peer) -> None:
    assert "no verified backup yet" in (await findings(peer, quick=True))["keptd.backups"]["detail"]
    await done(peer, "backup.create")
    daemon.clock.micros += 47 * 3_600_000_000
    finding = (await findings(peer, quick=True))["keptd.backups"]
    assert (finding["verdict"], finding["detail"]) == ("ok", "operational: the newest verified one is 47 h old")
    daemon.clock.micros += 73 * 3_600_000_000
    finding = (await findings(peer, quick=True))["keptd.backups"]
    assert (finding["verdict"], finding["detail"]) == ("warning", "degraded: the newest verified one is 5 days old")


async def test_a_backup_that_can_not_be_restored_is_a_warning_although_there_are_others(home: Path, peer: Peer) -> None:
    await done(peer, "backup.create")
    (home / "backups" / "20260101T000000Z-00000000").mkdir(mode=0o700)
    finding = (await findings(peer, quick=True))["keptd.backups"]

    assert finding["verdict"] == "warning"
    assert finding["detail"].endswith("old; unusable: 20260101T000000Z-00000000")


def report(status: Any, **metadata: Any) -> SelfReport:
    return SelfReport("keptd.backups", status, 0, metadata, 0, 0)


def test_what_a_part_of_the_daemon_says_becomes_a_finding() -> None:
    assert rules.of_itself(report("operational")).verdict == "ok"
    late = rules.of_itself(report("degraded", detail="the newest is 3 days old", failing=["a", "b"]))

    assert (late.verdict, late.detail) == ("warning", "degraded: the newest is 3 days old; failing: a, b")
    assert late.next_step is not None
    assert "kept backup create" in late.next_step
    assert rules.of_itself(report("down")).verdict == "problem"


def test_much_free_space_in_the_file_is_a_warning() -> None:
    assert rules.slack(24, 100).verdict == "ok"
    assert rules.slack(25, 100).verdict == "warning"
    assert rules.slack(0, 0).verdict == "ok"
