"""A home on a file system that can't hold what was acknowledged: refused before anything is made there."""

from __future__ import annotations

from pathlib import Path

import pytest

from kept import mounts
from kept.faults import StartFailed
from kept.paths import find
from kept.start import start
from keptd.__main__ import main
from keptd.home import UnsoundHome, check_ground, prepare

WINDOWS = r"22 1 0:20 / / rw,noatime - 9p C:\134 rw,dirsync,aname=drvfs;path=C:\134;uid=1000,trans=fd,rfd=5,wfd=5"
SANDBOX = "22 1 0:20 / / rw - 9p none rw,trans=fd,rfd=4,wfd=4"


def mounted(monkeypatch: pytest.MonkeyPatch, folder: Path, table: str) -> None:
    (folder / "mountinfo").write_text(table + "\n")
    monkeypatch.setattr(mounts, "MOUNTS", str(folder / "mountinfo"))


def test_a_daemon_ends_as_with_a_wrong_setting_and_says_where_to_put_the_home(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mounted(monkeypatch, tmp_path, WINDOWS)
    monkeypatch.setenv("KEPT_HOME", str(home / "mine"))
    assert main([]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"{home}/mine lies on a Windows drive (9p)" in said
    assert "Set KEPT_HOME to a folder on this machine's own disk" in said
    assert not (home / "mine").exists()


def test_a_sandbox_that_has_nothing_but_9p_is_served(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = find({"KEPT_HOME": str(home / "mine")})
    mounted(monkeypatch, tmp_path, SANDBOX)
    check_ground(paths)
    prepare(paths)
    assert Path(paths.data_dir).is_dir()
    mounted(monkeypatch, tmp_path, WINDOWS)
    with pytest.raises(UnsoundHome):
        check_ground(paths)


def test_a_client_starts_no_daemon_there_and_makes_nothing(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted(monkeypatch, tmp_path, WINDOWS)
    environ = {"KEPT_HOME": str(home / "mine")}
    with pytest.raises(StartFailed, match="lies on a Windows drive"):
        start(find(environ), environ=environ)
    assert not (home / "mine").exists()
