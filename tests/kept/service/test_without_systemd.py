"""`kept daemon ...` where no user manager can be reached: it says so, and goes on as it does without."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kept.cli.test_process import kept


@pytest.fixture
def nowhere(home: Path) -> Iterator[Path]:
    yield home
    lock = home / "keptd.lock"
    if lock.exists():
        os.kill(int(lock.read_text().splitlines()[0]), signal.SIGKILL)


def test_install_writes_nothing_and_says_how_it_goes_on(nowhere: Path) -> None:
    for words in (["daemon", "install"], ["daemon", "install", "--dry-run"]):
        done = kept(nowhere, *words)
        assert done.returncode == 0
        assert "so kept goes on as it does without: the first call starts the daemon" in done.stdout
    told = json.loads(kept(nowhere, "daemon", "install", "--json").stdout)
    assert (told["supervised"], told["files"]) == (False, [])
    assert list(nowhere.iterdir()) == []


def test_uninstall_finds_nothing(nowhere: Path) -> None:
    for words in (["daemon", "uninstall"], ["daemon", "uninstall", "--dry-run"]):
        done = kept(nowhere, *words)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.endswith(": not installed\n")
    assert list(nowhere.iterdir()) == []


def test_what_the_disk_refuses_of_units_is_told_with_its_path(nowhere: Path) -> None:
    (nowhere / ".config").mkdir()
    (nowhere / ".config" / "systemd").touch()
    done = kept(nowhere, "daemon", "uninstall")
    assert done.returncode == 1
    assert f"{nowhere}/.config/systemd: it is not a folder" in done.stderr


def test_units_that_were_left_behind_are_removed_with_their_links(nowhere: Path) -> None:
    from kept.paths import find
    from kept.service import changes
    from kept.service.units import rendered

    environ = {"HOME": str(nowhere), "KEPT_HOME": str(nowhere)}
    units = rendered(find(environ), environ, "/usr/bin/python3")
    place = Path(changes.folder(environ))
    changes.write(units, str(place))
    (place / "sockets.target.wants").mkdir()
    (place / "sockets.target.wants" / units[1].name).symlink_to(place / units[1].name)
    edited = place / f"{units[0].name}.d" / "override.conf"
    edited.parent.mkdir()
    edited.write_text("[Service]\nNice=1\n")
    told = kept(nowhere, "daemon", "uninstall").stdout
    assert "removed" in told
    assert f"{edited.parent} holds settings of yours" in told
    assert [path for path in place.rglob("*") if not path.is_dir()] == [edited]
    shutil.rmtree(edited.parent)
    changes.write(units, str(place))
    kept(nowhere, "daemon", "uninstall")
    assert not (nowhere / ".config" / "systemd").exists()


def test_restart_is_the_daemons_own(nowhere: Path) -> None:
    kept(nowhere, "daemon", "start")
    before = json.loads(kept(nowhere, "rpc", "daemon.status").stdout)
    assert "would" in kept(nowhere, "daemon", "restart", "--dry-run").stdout
    done = kept(nowhere, "daemon", "restart")
    assert done.stdout == f"keptd {before['version']} is running (pid {before['pid']})\n"
    assert json.loads(kept(nowhere, "rpc", "daemon.status").stdout)["started_at"] > before["started_at"]


def test_status_tells_of_the_daemon_and_why_there_is_no_service(nowhere: Path) -> None:
    kept(nowhere, "daemon", "start")
    shown = kept(nowhere, "daemon", "status").stdout.splitlines()
    assert shown[0].startswith("service: no user manager can be reached")
    assert shown[1].startswith("daemon: keptd ")
    told = json.loads(kept(nowhere, "daemon", "status", "--json").stdout)
    assert told["home"] == str(nowhere)
    assert told["service"]["supervised"] is False


def test_logs_are_the_end_of_the_file(nowhere: Path) -> None:
    assert kept(nowhere, "daemon", "logs").returncode == 1
    kept(nowhere, "daemon", "start")
    lines = kept(nowhere, "daemon", "logs", "-n", "2").stdout.splitlines()
    assert len(lines) <= 2
    assert "ready" in lines[-1]
    assert all("event" in json.loads(line) for line in kept(nowhere, "daemon", "logs", "--json").stdout.splitlines())
