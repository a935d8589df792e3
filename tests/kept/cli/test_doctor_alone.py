"""`kept doctor` on a home that no daemon serves: what the files alone show."""

from __future__ import annotations

import json
import os
import re
import socket
from pathlib import Path

import pytest

from kept import mounts
from kept.checkup import files, folders
from kept.checkup.log import LENGTH, SHOWN

from .doctors import doctor
from .test_process import kept

BACKUP = "20260101T000000Z-00000000"


def test_a_home_that_nobody_has_used_is_well_and_stays_untouched(home: Path) -> None:
    seen = doctor(home / "none")
    assert (seen.code, seen.problems()) == (0, set())
    assert seen.by["daemon"]["next_step"].startswith("kept daemon start")
    assert seen.by["database"]["detail"] == "nothing is kept here yet"
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o500])
def test_a_folder_with_a_mode_that_no_daemon_takes_is_a_problem(home: Path, mode: int) -> None:
    home.chmod(mode)
    finding = doctor(home).by["data folder"]
    assert finding["verdict"] == "problem"
    assert f"mode {mode:o}" in finding["detail"]
    assert finding["next_step"] == f"chmod {'u+rwx' if mode == 0o500 else 'go-w'} {home}"


def test_a_command_to_paste_is_quoted_for_the_shell(home: Path) -> None:
    folder = home / "my $(files)"
    folder.mkdir()
    folder.chmod(0o777)
    assert doctor(folder).by["data folder"]["next_step"] == f"chmod go-w '{folder}'"


def test_a_link_in_place_of_the_home_is_a_problem(home: Path) -> None:
    (home / "real").mkdir()
    (home / "link").symlink_to(home / "real")
    finding = doctor(home / "link").by["data folder"]
    assert (finding["verdict"], "symbolic link" in finding["detail"]) == ("problem", True)


def test_a_link_in_place_of_the_sockets_folder_is_told_once(home: Path) -> None:
    (home / "real").mkdir()
    (home / "run").symlink_to(home / "real")
    seen = doctor(home)
    assert seen.problems() == {"socket folder"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_what_belongs_to_another_user_is_a_problem(home: Path) -> None:
    (home / "kept.db").touch()
    os.chown(home / "kept.db", 12345, -1)
    assert doctor(home).by["file modes"]["next_step"] == f"sudo chown 0 {home}/kept.db"
    os.chown(home, 12345, -1)
    assert "uid 12345" in doctor(home).by["data folder"]["detail"]


@pytest.mark.parametrize(("mode", "verdict"), [(0o600, None), (0o644, "warning"), (0o000, "problem")])
def test_the_databases_mode_is_looked_at(home: Path, mode: int, verdict: str | None) -> None:
    (home / "kept.db").write_bytes(b"x")
    (home / "kept.db").chmod(mode)
    finding = doctor(home).by.get("file modes")
    assert (finding and finding["verdict"]) == verdict
    assert finding is None or finding["next_step"] == f"chmod 600 {home}/kept.db"


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"KEPT_SOCKET": "/tmp/" + "x" * 120}, "125 bytes"),
        ({"KEPT_HOME": "here"}, "KEPT_HOME must be an absolute path"),
    ],
)
def test_an_environment_that_names_no_place_is_a_problem_and_no_refusal(
    home: Path, environ: dict[str, str], said: str
) -> None:
    seen = doctor(home, environ=environ)
    assert (seen.code, seen.problems()) == (1, {"places"})
    assert said in seen.by["places"]["detail"]


def test_a_socket_that_was_left_behind_is_no_problem(home: Path) -> None:
    (home / "run").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(home / "run" / "keptd.sock"))
    finding = doctor(home).by["socket"]
    assert (finding["verdict"], "left it behind" in finding["detail"]) == ("ok", True)


def test_what_is_no_socket_in_its_place_is_a_problem(home: Path) -> None:
    (home / "run").mkdir(mode=0o700)
    (home / "run" / "keptd.sock").touch()
    finding = doctor(home).by["socket"]
    assert (finding["verdict"], "no socket" in finding["detail"]) == ("problem", True)


@pytest.mark.parametrize(("text", "said"), [(b"[limits\n", "no TOML"), (b"\xff", "not UTF-8")])
def test_settings_that_can_not_be_read_are_a_problem(home: Path, text: bytes, said: str) -> None:
    (home / "config.toml").write_bytes(text)
    finding = doctor(home).by["settings"]
    assert (finding["verdict"], said in finding["detail"]) == ("problem", True)
    (home / "config.toml").write_bytes(b"[limits]\n")
    assert doctor(home).by["settings"]["verdict"] == "ok"


def test_a_missing_database_is_a_problem_where_something_says_that_there_was_one(home: Path) -> None:
    (home / "running").write_bytes(b"running\n")
    finding = doctor(home).by["database"]
    assert (finding["verdict"], "is missing" in finding["detail"]) == ("problem", True)
    assert "put it back first" in finding["next_step"]


def test_the_log_of_the_database_is_to_be_left_alone(home: Path) -> None:
    (home / "kept.db").write_bytes(bytes(4096))
    (home / "kept.db-wal").write_bytes(bytes(2048))
    for file in home.iterdir():
        file.chmod(0o600)
    seen = doctor(home)
    assert (seen.code, seen.problems()) == (0, set())
    assert "kept.db-wal (2.0 KiB)" in seen.by["database log"]["detail"]
    assert "never delete it" in seen.by["database log"]["detail"]


@pytest.mark.parametrize(("said", "verdict"), [(b"running\n", "ok"), (b"damaged\n", "problem"), (b"", "ok")])
def test_how_the_last_run_ended_is_told(home: Path, said: bytes, verdict: str) -> None:
    (home / "kept.db").write_bytes(b"x")
    (home / "running").write_bytes(said)
    assert doctor(home).by["last run"]["verdict"] == verdict


@pytest.mark.parametrize(
    ("check", "verdict", "said"),
    [
        (None, "ok", "not checked yet"),
        ({"at": 1, "problem": None}, "ok", "found whole"),
        ({"at": 1, "problem": "cut short"}, "warning", "found it bad"),
    ],
)
def test_backups_are_counted_and_the_newest_is_named(
    home: Path, check: dict[str, object] | None, verdict: str, said: str
) -> None:
    for name in (BACKUP, BACKUP.replace("2026", "2025"), ".partial-x", "mine"):
        (home / "backups" / name).mkdir(parents=True)
    if check is not None:
        (home / "backups" / BACKUP / "check.json").write_text(json.dumps(check))
    finding = doctor(home).by["backups"]
    assert finding["verdict"] == verdict
    assert finding["detail"].startswith("2 backups; the newest is ")
    assert said in finding["detail"]
    assert BACKUP in finding["detail"]


def recovered(home: Path, lost: str, at: str = "2026-01-02T03:04:05Z") -> Path:
    """The report of a recovery, and its quarantine."""
    quarantine = home / "quarantine" / at
    quarantine.mkdir(parents=True)
    (quarantine / "kept.db").write_bytes(bytes(1024))
    report = {
        "at": at,
        "reason": "the header is damaged",
        "quarantine": str(quarantine),
        "backup_id": BACKUP,
        "salvaged": {"memory": 7, "error": 0},
        "restored": {"decision": 2},
        "lost": lost,
    }
    (home / "recovery").mkdir(exist_ok=True)
    (home / "recovery" / f"{at}.json").write_text(json.dumps(report))
    return quarantine


def test_a_recovery_that_lost_something_is_told_whole_for_as_long_as_its_quarantine_is_there(home: Path) -> None:
    quarantine = recovered(home, "1 lost: memory 'k'.")
    finding = doctor(home).by["recovery"]
    assert finding["verdict"] == "warning"
    for said in (
        "1 lost: memory 'k'.",
        "the header is damaged",
        "Rows saved from the damaged file: 7 of memory.",
        f"taken from the backup {BACKUP}: 2 of decision.",
        str(quarantine),
    ):
        assert said in finding["detail"]
    assert "kept backup list" in finding["next_step"]
    quarantine.rename(home / "elsewhere")
    assert doctor(home).by["recovery"]["verdict"] == "ok"


def test_a_recovery_that_lost_nothing_is_no_warning(home: Path) -> None:
    recovered(home, "Nothing was lost.")
    assert doctor(home).by["recovery"]["verdict"] == "ok"


def test_many_recoveries_are_counted(home: Path) -> None:
    for day in range(1, 6):
        recovered(home, f"{day} lost.", f"2026-01-0{day}T00:00:00Z")
    assert doctor(home).by["recoveries"]["detail"].startswith("2 more")


def test_a_quarantine_that_no_report_tells_of_is_named(home: Path) -> None:
    (home / "quarantine" / "x").mkdir(parents=True)
    (home / "quarantine" / "x" / "kept.db").write_bytes(bytes(2048))
    (home / "recovery").mkdir()
    (home / "recovery" / "bad.json").write_text("{")
    finding = doctor(home).by["quarantine"]
    assert finding["detail"].startswith(f"{home}/quarantine/x holds 2.0 KiB")
    assert finding["verdict"] == "ok"


def line(event: str, level: str = "info", **fields: object) -> str:
    return json.dumps({"time": "t", "level": level, "event": event, **fields}) + "\n"


def log(home: Path, text: str) -> None:
    (home / "keptd.log").write_text(text)
    (home / "keptd.log").chmod(0o600)


def test_the_logs_last_errors_are_told_few_and_harmless(home: Path) -> None:
    (home / "keptd.log").touch()
    before = line("old", "error") + line("ready")
    log(
        home,
        before + line("first", "error") * 3 + line("worst", "critical", n=1) + "keptd: \x1b[31mno room" + "x" * 9999,
    )
    finding = doctor(home).by["daemon's log"]
    assert finding["verdict"] == "problem"
    assert finding["detail"].startswith("its last words (2 lines before): first / worst n=1 / keptd: \ufffd[31mno room")
    assert len(finding["detail"]) < LENGTH * SHOWN
    assert "old" not in finding["detail"]


@pytest.mark.parametrize(
    "text",
    [
        line("x", "error") + line("stopped", damage=""),
        line("x", "error") + line("ready"),
        line("x", "warning"),
        "noise\n[1]\n{\n",
        "",
    ],
)
def test_a_log_without_an_error_at_its_end_says_nothing(home: Path, text: str) -> None:
    log(home, text)
    assert "daemon's log" not in doctor(home).by


def test_only_the_end_of_a_log_is_read(home: Path) -> None:
    log(home, line("early", "error") + line("noise") * 3000)
    assert "daemon's log" not in doctor(home).by


def test_a_log_that_is_a_pipe_is_not_waited_for(home: Path) -> None:
    os.mkfifo(home / "keptd.log", 0o600)
    assert "file modes" in doctor(home).problems()


@pytest.mark.parametrize(
    ("kind", "verdict", "step"),
    [
        ("drvfs", "problem", "KEPT_HOME"),
        ("cifs", "problem", "cp -a"),
        ("9p", "warning", "kept data export-all"),
        ("nfs", "warning", "kept data export-all"),
        ("tmpfs", "warning", "kept data export-all"),
        ("", "ok", None),
    ],
)
def test_a_file_system_that_may_not_keep_what_is_written_is_told_with_a_better_place(
    home: Path, monkeypatch: pytest.MonkeyPatch, kind: str, verdict: str, step: str | None
) -> None:
    table = home / "mountinfo"
    table.write_text(f"22 1 8:1 / / rw - {kind} somewhere rw\n" if kind else "")
    monkeypatch.setattr(mounts, "MOUNTS", str(table))
    finding = folders._disk(str(home))
    assert finding.verdict == verdict
    assert step is None or step in str(finding.next_step)


def test_a_disk_without_room_for_a_start_is_a_problem(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [finding.verdict for finding in files.room(str(home))] == ["ok"]
    monkeypatch.setattr(files, "START_BYTES", 1 << 60)
    assert [finding.verdict for finding in files.room(str(home))] == ["problem"]


def test_a_full_check_without_a_daemon_is_said_not_to_have_been_made(home: Path) -> None:
    assert doctor(home, "--full").by["full check"]["verdict"] == "warning"


def test_people_get_the_problem_last_above_the_prompt(home: Path) -> None:
    (home / "config.toml").write_text("[")
    printed = kept(home, "doctor")
    lines = printed.stdout.splitlines()
    assert printed.returncode == 1
    assert lines[0].startswith("ok ")
    assert re.match(r"1 problem( and 1 warning)?\.", lines[-1])  # A home in memory is a warning.
    assert any(text.startswith("PROBLEM  settings") for text in lines[-6:])
