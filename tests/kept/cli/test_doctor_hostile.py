"""`kept doctor` on homes that somebody else has made: pipes, links and folders in the place of files, closed doors, far
too much of something, and names that are no text. It ends by itself, opens no pipe, and never shows a control
character raw."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from kept.checkup import recoveries
from kept.checkup.findings import quoted
from kept.regular import beginning, opened

from .doctors import doctor
from .test_process import SECONDS, environment, kept
from .test_render import UNSAFE

BACKUP = "20260101T000000Z-00000000"
NOBODY = 65534

PLACES = (
    *("kept.db", "kept.db-wal", "keptd.log", "keptd.lock", "running", "config.toml", "run/keptd.sock"),
    *(f"backups/{BACKUP}/check.json", f"backups/{BACKUP}/manifest.json", "recovery/x.json", "quarantine/x"),
    *("backups", "recovery", "quarantine"),
)
HARMLESS_THERE = {f"backups/{BACKUP}/check.json", f"backups/{BACKUP}/manifest.json", "recovery/x.json", "quarantine/x"}


def bind(path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as left:
        left.bind(str(path))


KINDS: dict[str, Callable[[Path], None]] = {
    "pipe": lambda path: os.mkfifo(path, 0o600),
    "folder": lambda path: path.mkdir(mode=0o700),
    "link": lambda path: path.symlink_to("/none/\x1b[2J"),
    "socket": bind,
}


@pytest.mark.parametrize("kind", ["pipe", "link"])
@pytest.mark.parametrize("place", PLACES)
def test_whatever_stands_in_the_place_of_a_file_is_told_and_not_waited_for(home: Path, place: str, kind: str) -> None:
    path = home / place
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    KINDS[kind](path)
    told = doctor(home).problems()
    # A link to settings that are gone is as if there were none, for the daemon too.
    assert bool(told - {"database"}) is not (place in HARMLESS_THERE or (place, kind) == ("config.toml", "link"))


@pytest.mark.parametrize("kind", ["folder", "socket"])
@pytest.mark.parametrize("place", ["kept.db", "keptd.log", "config.toml", f"backups/{BACKUP}/check.json"])
def test_folders_and_sockets_in_the_place_of_files_are_told(home: Path, place: str, kind: str) -> None:
    path = home / place
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    KINDS[kind](path)
    assert doctor(home).problems() == (
        {"settings"} if "config" in place else {"database" if "/" in place else "file modes"}
    )


def test_a_link_in_place_of_the_database_is_not_answered_with_an_empty_one(home: Path) -> None:
    (home / "kept.db").symlink_to(home / "elsewhere.db")
    step = doctor(home).by["file modes"]["next_step"]
    assert step.startswith("Put the file that it points to in its place")


@pytest.mark.parametrize("kind", ["pipe", "folder", "link", "socket"])
def test_only_a_regular_file_is_opened(home: Path, kind: str) -> None:
    KINDS[kind](home / "x")
    with pytest.raises(OSError, match=r"regular file|symbolic links|No such device"):
        opened(str(home / "x"))
    (home / "y").write_bytes(b"12345")
    assert beginning(str(home / "y"), 3) == b"123"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(
    ("closed", "mode", "problem"),
    [
        (".", 0o000, "data folder"),
        (".", 0o100, "data folder"),
        ("quarantine", 0o000, "quarantine"),
        ("backups", 0o000, "backups folder"),
        ("backups", 0o400, "backups folder"),
        ("recovery", 0o000, "reports folder"),
        ("run", 0o000, "socket folder"),
        ("config.toml", 0o000, "settings"),
        ("keptd.log", 0o000, "file modes"),
        ("quarantine/x", 0o400, None),
        ("quarantine/x", 0o000, None),
    ],
)
def test_what_may_not_be_read_is_told_with_the_way_to_open_it(
    home: Path, closed: str, mode: int, problem: str | None
) -> None:
    for folder in ("quarantine/x", f"backups/{BACKUP}", "recovery", "run"):
        (home / folder).mkdir(parents=True, mode=0o700)
    for file in ("quarantine/x/y", "config.toml", "keptd.log"):
        (home / file).touch(0o600)
    (home / "kept.db").write_bytes(b"x")
    (home / "kept.db").chmod(0o600)
    (home / closed).chmod(mode)
    for path in (home, *home.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    seen = doctor_of_nobody(home)
    assert ("PROBLEM" in seen) is (problem is not None)
    if problem is not None:
        assert f"PROBLEM  {problem}" in seen
        assert "chmod u+r" in seen or f"chmod 600 {home / closed}" in seen
        # A home in memory is a warning.
        said = r"\n1 problem( and 1 warning)?\. What stands behind -> is the next step, and destroys nothing\.\n\Z"
        assert re.search(said, seen)


AS_NOBODY = f"""
import contextlib, io, os, sys
from kept.cli import main
# Once as who it is: what it loads may be out of reach afterwards.
with contextlib.redirect_stdout(io.StringIO()):
    main(["doctor"])
os.setgroups([])
os.setresgid({NOBODY}, {NOBODY}, {NOBODY})
os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
sys.exit(main(["doctor"]))
"""


def doctor_of_nobody(home: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY],
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.stderr == ""
    return done.stdout


def test_a_home_that_can_not_be_made_is_a_problem(home: Path) -> None:
    (home / "file").touch()
    finding = doctor(home / "file" / "kept").by["data folder"]
    assert (finding["verdict"], f"{home}/file is no folder" in finding["detail"]) == ("problem", True)


def test_names_and_lines_that_are_no_text_reach_no_terminal_raw(home: Path) -> None:
    for folder in (b"quarantine", b"backups", b"recovery"):
        for name in (b"\xff\xfe", b"\x1b]0;owned\x07", b"a\nb", b"\xc2\x9b31m"):
            os.makedirs(os.path.join(os.fsencode(home), folder, name))
    (home / "quarantine" / "a\nb" / "x").touch()
    (home / "keptd.log").write_bytes(b'keptd: \x1b[2J\x9b \xff \x07\n{"level":"error","event":"\\u001b[2J\\u009b"}\n')
    (home / "config.toml").write_bytes(b'a = "\x1b[2J"\n')
    assert doctor(home).problems() == {"settings", "daemon's log"}
    printed = kept(home, "doctor")
    assert not UNSAFE.search(printed.stdout)


def test_far_too_much_is_counted_and_not_all_looked_at(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        (home / "quarantine" / "deep").mkdir(parents=True, exist_ok=True)
        (home / "quarantine" / "deep" / f"{number}").write_bytes(b"12")
        (home / "quarantine" / f"{number}").touch()
    monkeypatch.setattr(recoveries, "_LOOKED_AT", 4)
    details = [finding.detail for finding in recoveries.quarantined(str(home), [])]
    assert "8 more" in details[-1]
    assert len(details) == recoveries.SHOWN + 1
    assert recoveries._size(str(home / "quarantine" / "deep")) == "more than 8 bytes"
    for name in ("keptd.log", "config.toml", "running"):
        with (home / name).open("wb") as file:
            file.truncate(5 * 1024**3)
    assert "more than 1.0 MiB" in doctor(home).by["settings"]["detail"]


def test_settings_and_reports_that_are_nested_without_end_are_told(home: Path) -> None:
    (home / "config.toml").write_text("a = " + "[" * 100_000)
    (home / "recovery").mkdir(mode=0o700)
    (home / "recovery" / "x.json").write_text('{"a":' * 100_000)
    assert doctor(home).problems() == {"settings"}


@pytest.mark.parametrize("name", ["a b", "a  b", "a\nb", "\x1b[2J", "it's $(x)", "é  ü"])
def test_a_path_to_paste_names_the_same_file_again(home: Path, name: str) -> None:
    said = quoted(f"{home}/{name}")
    assert said.isprintable()
    assert "  " not in said
    (home / name).mkdir()
    listed = subprocess.run(["bash", "-c", f"ls -d {said}"], capture_output=True, check=True).stdout
    assert listed == os.fsencode(f"{home}/{name}\n")
