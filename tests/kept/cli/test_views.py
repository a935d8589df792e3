"""Backups, jobs, checks, sizes and the trash as people read them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from rich.cells import cell_len

from kept.wire import Call, Done, Page
from kept.wire.backup import (
    Backup,
    BackupId,
    Backups,
    CreateBackup,
    DeleteBackup,
    ListBackups,
    RestoreBackup,
    Restored,
    VerifyBackup,
)
from kept.wire.job import Job, JobHistory, JobName, ListJobs, PauseJob, ResumeJob, Run, RunId, RunJob
from kept.wire.maintenance import CheckDatabase, Checkup, DatabaseStats, Finding, MethodStats, Recovery, Size, Stats
from kept.wire.trash import Emptied, EmptyTrash, ListTrash, RestoreTrash, Trashed, TrashId

from .test_render import HOSTILE, UNSAFE
from .typing_at import NOW, Recorder, type_in

ID = BackupId("20260101T000000Z-0a1b2c3d")
OTHER = BackupId("20251231T000000Z-0a1b2c3d")


def backup(label: str | None = None, **changes: Any) -> Backup:
    settings: dict[str, Any] = {
        "id": ID,
        "kind": "manual",
        "label": label,
        "created_at": NOW - timedelta(minutes=3),
        "bytes": 5750,
        "database_bytes": 274_432,
        "rows": 1234,
        "last_seq": 7,
        "verified_at": NOW,
        "problem": None,
    }
    return Backup(**{**settings, **changes})


def job(name: str = "memory.expire", **changes: Any) -> Job:
    settings: dict[str, Any] = {
        "name": JobName(name),
        "description": "d",
        "schedule": "every 1m",
        "paused": False,
        "running": False,
        "next_at": NOW + timedelta(seconds=37),
        "last_at": NOW - timedelta(seconds=23),
        "last_seconds": 0.0042,
        "last_result": "ok",
        "last_error": None,
        "failures": 0,
    }
    return Job(**{**settings, **changes})


def run(result: str = "ok", summary: str = "3 expired") -> Run:
    return Run(
        id=RunId("1"),
        job=JobName("memory.expire"),
        started_at=NOW - timedelta(hours=2),
        seconds=75.0,
        result=result,
        summary=summary,
        asked_by=None,
    )


def trashed(label: str = "editor.indent") -> Trashed:
    return Trashed(
        id=TrashId("01890000-0000-7000-8000-000000000001"),
        entity="memory",
        entity_id="01890000-0000-7000-8000-000000000002",
        label=label,
        deleted_at=NOW - timedelta(days=1),
        purge_at=NOW + timedelta(days=29),
        actor="tester",
    )


CHECKUP = Checkup(
    verdict="problem",
    findings=(
        Finding(what="structure", verdict="ok", detail="every page was read, and everything fits together"),
        Finding(what="slack", verdict="warning", detail="40 % is free", next_step="kept maintenance optimize"),
        Finding(what="files", verdict="problem", detail="two can't be read"),
    ),
    recoveries=(
        Recovery(
            at=NOW - timedelta(days=3),
            reason="a page was damaged",
            quarantine="/q",
            backup_id=ID,
            salvaged={"memory": 5},
            lost="nothing",
        ),
    ),
)

STATS = Stats(
    database_bytes=274_432,
    wal_bytes=4096,
    free_pages=3,
    page_bytes=4096,
    tables=tuple(Size(name=f"table{number}", bytes=4096 * (20 - number), rows=number or None) for number in range(20)),
    slowest=(MethodStats(method="memory.get", calls=1000, mean_ms=0.0214, worst_ms=1500.0),),
    commits=5,
    writes=10,
    mean_batch=2.0,
    largest_batch=4,
)


def shown(call: type[Call[Any]], result: Any, words: str, **how: Any) -> str:
    printed = type_in(words, Recorder({call: result}), **how)
    assert not printed.err.startswith("kept: ")
    return printed.out


@pytest.mark.parametrize(
    ("call", "result", "words", "code"),
    [
        (RunJob, "ok", "job run memory.expire", 0),
        (RunJob, "failed", "job run memory.expire", 1),
        (RunJob, "timeout", "job run memory.expire --json", 1),
        (CheckDatabase, "problem", "maintenance check", 1),
        (CheckDatabase, "warning", "maintenance check", 0),
    ],
)
def test_what_went_wrong_shows_in_the_exit_code(call: type[Call[Any]], result: str, words: str, code: int) -> None:
    given = replace(CHECKUP, verdict=result) if call is CheckDatabase else run(result)
    assert type_in(words, Recorder({call: given})).code == code


def test_backups_are_a_table_with_the_total_and_what_is_wrong_with_which() -> None:
    listed = Backups(
        items=(
            backup("before the big change"),
            backup("before x", id=OTHER, kind="before_restore", verified_at=None),
            backup(kind=None, problem="its manifest can't be read", verified_at=None, rows=0),
        ),
        folder="/home/me/backups",
        bytes=17_250,
    )
    out = shown(ListBackups, listed, "backup list", columns=90)
    assert out.splitlines() == [
        "ID                           AGE  WHAT                      SIZE  ROWS  CHECK",
        "20260101T000000Z-0a1b2c3d  3 min  before the big change  5.6 KiB  1234  verified",
        "20251231T000000Z-0a1b2c3d  3 min  before restore         5.6 KiB  1234  not yet",
        "20260101T000000Z-0a1b2c3d  3 min  unknown                5.6 KiB     0  bad",
        "3 backups, 16.8 KiB in /home/me/backups",
        "20260101T000000Z-0a1b2c3d can't be restored: its manifest can't be read",
    ]
    assert json.loads(shown(ListBackups, listed, "backup list --json"))["items"][0]["bytes"] == 5750


def test_what_was_done_to_a_backup_is_told_with_the_next_step() -> None:
    assert shown(CreateBackup, backup(), "backup create").splitlines() == [
        f"backed up 1,234 rows as {ID} (5.6 KiB, verified)",
        f"to go back to it: kept backup restore {ID}",
    ]
    assert "1,234 rows would come back" in shown(VerifyBackup, backup(), f"backup verify {ID}")
    restored = Restored(backup=backup(), undo_id=OTHER, seq=9)
    assert shown(RestoreBackup, restored, f"backup restore {ID}").splitlines() == [
        f"went back to {ID} (made 3 min ago, 1,234 rows)",
        "what was there before is kept as a backup",
        f"to undo this: kept backup restore {OTHER}",
    ]
    assert shown(DeleteBackup, Done(id=ID), f"backup delete {ID}").startswith(f"deleted the backup {ID}\n")


@pytest.mark.parametrize("words", ["backup restore", "backup restore latest"])
def test_whoever_names_no_backup_is_told_where_they_are_listed(words: str) -> None:
    printed = type_in(words, Recorder())
    assert printed.code == 2
    assert "kept backup list" in printed.err


def test_jobs_are_a_table_and_what_fails_is_told_below() -> None:
    failed = job("backup.create", last_result="failed", last_error="the disk is full", failures=3, last_seconds=90.0)
    others = [job("data.tidy", paused=True, next_at=None, last_at=None, last_seconds=None, last_result=None)]
    page = Page(items=[failed, *others, job(running=True, next_at=None)])
    assert shown(ListJobs, page, "job list").splitlines() == [
        "NAME           STATE    LAST RUN   TOOK  RESULT  NEXT DUE",
        "backup.create  waiting  23 s ago  1 min  failed  in 37 s",
        "data.tidy      paused   never",
        "memory.expire  running  23 s ago   4 ms  ok",
        "backup.create failed (3 times in a row): the disk is full",
        "-> to try it again: kept job run backup.create",
    ]


def test_a_run_is_told_in_a_sentence_and_runs_in_a_table() -> None:
    assert shown(RunJob, run(), "job run memory.expire") == "memory.expire was done in 1 min: 3 expired\n"
    assert "kept job history memory.expire" in shown(RunJob, run("timeout", "too long"), "job run memory.expire")
    assert shown(JobHistory, Page(items=[run()]), "job history").splitlines() == [
        "JOB            STARTED   TOOK  RESULT  SUMMARY",
        "memory.expire  2 h ago  1 min  ok      3 expired",
    ]


def test_pausing_and_resuming_say_what_comes_of_it() -> None:
    paused = job(paused=True, next_at=None)
    assert "kept job resume memory.expire" in shown(PauseJob, paused, "job pause memory.expire")
    assert "it is due in 37 s" in shown(ResumeJob, job(), "job resume memory.expire")
    assert "its schedule is off" in shown(ResumeJob, job(schedule="off", next_at=None), "job resume memory.expire")


def test_a_check_tells_each_finding_its_next_step_and_what_was_recovered() -> None:
    assert shown(CheckDatabase, CHECKUP, "maintenance check", columns=60).splitlines() == [
        "ok       structure: every page was read, and everything fits",
        "         together",
        "warning  slack: 40 % is free",
        "         -> kept maintenance optimize",
        "PROBLEM  files: two can't be read",
        "",
        "recovered 3 d ago: a page was damaged",
        "  lost: nothing",
        "  rows from the damaged file: 5 of memory",
        f"  filled from the backup {ID}",
        "  the damaged files are in /q",
        "",
        "1 problem and 1 warning. What stands behind -> is the next",
        "step, and destroys nothing.",
    ]


def test_sizes_and_times_are_two_tables_of_the_largest() -> None:
    lines = shown(DatabaseStats, STATS, "maintenance stats").splitlines()
    assert lines[:7] == [
        "database: 268.0 KiB, and 4.0 KiB of log",
        "free:     3 pages, 12.0 KiB",
        "          -> kept maintenance optimize gives them back",
        "writes:   10 in 5 commits; on average 2 at once, 4 at most",
        "",
        "TABLE        SIZE  ROWS",
        "table0   80.0 KiB",
    ]
    assert "and 8 more, 144.0 KiB in all (--json has them all)" in lines
    assert lines[-1] == "memory.get   1000  0.02 ms  1.5 s"


def test_the_trash_says_how_to_have_something_back() -> None:
    printed = type_in("trash list", Recorder({ListTrash: Page(items=[trashed()])}), columns=120)
    head, row = printed.out.splitlines()
    assert head.split() == ["ID", "LABEL", "KIND", "KEPT", "FOR", "DELETED", "BY"]
    assert row.split()[1:] == ["editor.indent", "memory", "29", "d", "1", "d", "ago", "tester"]
    assert "kept trash restore ID" in printed.err
    item = trashed()
    assert shown(RestoreTrash, item, f"trash restore {item.id}") == "restored the memory editor.indent\n"
    assert shown(EmptyTrash, Emptied(removed=3), "trash empty") == "removed 3 for good\n"


EVERYTHING: list[tuple[type[Call[Any]], str, Any]] = [
    (
        ListBackups,
        "backup list",
        Backups(items=(backup(HOSTILE), backup(kind=HOSTILE, problem=HOSTILE)), folder="/f", bytes=1),
    ),
    (ListJobs, "job list", Page(items=[job(), job("a" * 64 + ".b", last_result=HOSTILE)])),
    (JobHistory, "job history", Page(items=[run(HOSTILE, HOSTILE * 50)])),
    (ListTrash, "trash list", Page(items=[trashed(HOSTILE), trashed("漢字" * 50)])),
    (CheckDatabase, "maintenance check", CHECKUP),
    (DatabaseStats, "maintenance stats", STATS),
    (RunJob, "job run memory.expire", run("failed", HOSTILE)),
]


@pytest.mark.parametrize(("call", "words", "result"), EVERYTHING, ids=[words for _, words, _ in EVERYTHING])
@pytest.mark.parametrize("columns", [80, 60])
def test_it_fits_the_terminal_and_harms_none(call: type[Call[Any]], words: str, result: Any, columns: int) -> None:
    out = shown(call, result, words, columns=columns)
    assert not UNSAFE.search(out)
    said = [line for line in out.splitlines() if not ("can't be restored" in line or "aaaa" in line)]
    assert max(map(cell_len, said)) <= columns


@pytest.mark.parametrize(
    ("call", "words", "nothing", "told"),
    [
        (ListBackups, "backup list", Backups(items=(), folder="/f", bytes=0), "kept backup create"),
        (JobHistory, "job history", Page[Run](items=[]), "kept job run NAME"),
        (ListTrash, "trash list", Page[Trashed](items=[]), "the trash is empty"),
    ],
    ids=str,
)
def test_where_there_is_nothing_that_is_said_beside_the_output(
    call: type[Call[Any]], words: str, nothing: Any, told: str
) -> None:
    printed = type_in(words, Recorder({call: nothing}))
    assert printed.out == ""
    assert told in printed.err
