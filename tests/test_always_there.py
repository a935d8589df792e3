"""kept as a service of a real systemd user manager: installed, activated, killed, watched, restarted, removed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .sources import ROOT
from .steady_client import STEADY
from .usermanager import UserManager, installed, managing, obstacle

WHY = obstacle()
pytestmark = pytest.mark.skipif(bool(WHY), reason=WHY)

UNITS = ".config/systemd/user"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with installed() as made:
        yield made


@pytest.fixture
def manager(folder: Path) -> Iterator[UserManager]:
    """A manager that knows nothing of kept yet."""
    with managing(folder) as one:
        yield one


@pytest.fixture
def service(manager: UserManager) -> UserManager:
    """A manager with kept installed as its service."""
    manager.kept("daemon", "install")
    return manager


def files(manager: UserManager) -> set[str]:
    return {str(path.relative_to(manager.home)) for path in (manager.home / ".config").rglob("*")}


def pid(manager: UserManager) -> int:
    return int(manager.property("MainPID"))


def test_install_starts_it_and_once_more_changes_nothing(manager: UserManager) -> None:
    dry = manager.kept("daemon", "install", "--dry-run").stdout
    assert "would write" in dry
    assert not (manager.home / ".config").exists()
    assert f"keptd is running (pid {pid(manager)})" not in dry
    first = manager.kept("daemon", "install").stdout
    assert f"keptd is running (pid {pid(manager)})" in first
    assert manager.property("UnitFileState") == "enabled"
    assert manager.property("UnitFileState", "keptd.socket") == "enabled"
    again = manager.kept("daemon", "install")
    assert again.stdout.startswith("keptd: installed already, and as it should be\n")
    told = json.loads(manager.kept("daemon", "status", "--json").stdout)
    assert told["service"]["pid"] == told["pid"] == pid(manager)
    assert manager.property("Result") == "success"
    assert '"ready"' in manager.kept("daemon", "logs").stdout


def test_uninstall_leaves_no_file_and_all_that_is_kept(service: UserManager) -> None:
    service.kept("remember", "k", "stays")
    planned = service.kept("daemon", "uninstall", "--dry-run").stdout
    assert "would not be touched" in planned
    # Who waits at the socket is answered before its daemon ends.
    assert planned.index("stop keptd.socket") < planned.index("disable --now")
    assert "not touched" in service.kept("daemon", "uninstall").stdout
    assert files(service) == set()
    assert service.property("LoadState") == "not-found"
    assert service.kept("daemon", "uninstall").stdout == "keptd: not installed\n"
    assert service.kept("recall", "k").stdout == "stays\n"
    service.kept("daemon", "stop")


def test_the_first_call_activates_the_daemon_and_a_kill_is_answered_by_the_next(service: UserManager) -> None:
    assert "kept daemon stop --both" in service.kept("daemon", "stop").stdout
    assert service.property("ActiveState") == "inactive"
    assert service.kept("remember", "k", "v", "--no-start").stdout == "remembered k\n"
    first = pid(service)
    os.kill(first, signal.SIGKILL)
    assert service.kept("recall", "k").stdout == "v\n"
    assert pid(service) not in (0, first)


def test_stop_empties_the_log_and_both_units_can_be_ended(service: UserManager) -> None:
    service.kept("remember", "k", "v")
    service.kept("daemon", "stop")
    assert "none runs; the next call starts it" in service.kept("daemon", "status", code=69).stdout
    service.kept("daemon", "stop", "--both")
    assert service.property("ActiveState", "keptd.socket") == "inactive"
    assert "stopping" not in service.kept("daemon", "status", code=69).stdout
    left = service.home / ".local/share/kept/kept.db-wal"
    assert not left.exists() or left.stat().st_size == 0
    assert service.kept("status", "--no-start", code=69).stdout == ""
    assert "keptd is running" in service.kept("daemon", "start").stdout
    assert service.property("ActiveState") == "active"


def test_a_daemon_that_hangs_is_ended_by_the_watchdog_and_started_again(service: UserManager) -> None:
    service.write(f"{UNITS}/keptd.service.d/quick.conf", "[Service]\nWatchdogSec=1\nRestartSec=0\n")
    service.ask("daemon-reload")
    service.kept("daemon", "restart")
    hanging = pid(service)
    os.kill(hanging, signal.SIGSTOP)
    service.until("NRestarts", "1")
    assert service.kept("status").returncode == 0
    assert pid(service) not in (0, hanging)


def test_a_daemon_that_hangs_is_told_and_restarted_as_often_as_a_person_likes(service: UserManager) -> None:
    service.write(f"{UNITS}/keptd.service.d/limit.conf", "[Unit]\nStartLimitBurst=1\n")
    service.ask("daemon-reload")
    hanging = pid(service)
    os.kill(hanging, signal.SIGSTOP)
    assert f"keptd (pid {hanging}) has not answered" in service.kept("daemon", "install").stderr
    assert "--signal=SIGKILL" in service.kept("daemon", "restart", "--dry-run", "--kill").stdout
    assert "SIGKILL" not in service.kept("daemon", "restart", "--dry-run").stdout
    cured = service.kept("daemon", "restart")
    assert f"keptd (pid {hanging}) has not answered for 2 s: it is stopped" in cured.stderr
    assert pid(service) not in (0, hanging)
    service.kept("daemon", "restart")
    service.kept("daemon", "stop")
    service.kept("recall", "k")
    service.kept("daemon", "stop")
    service.kept("daemon", "start")
    service.ask("stop", "keptd.service")
    # Now it is told by nobody that a person has stopped it.
    assert "it was started too often within minutes" in service.kept("daemon", "clients", code=69).stderr


TWO_AT_ONCE = """
import socket, sys
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(sys.argv[1])
    ping = '{"jsonrpc":"2.0","id":1,"method":"daemon.ping"}'
    connection.sendall(f"[{ping},{ping}]\\n".encode())
    print(connection.makefile().readline())
"""


def test_what_failed_until_the_manager_gave_it_up_is_started_again_when_it_is_told(service: UserManager) -> None:
    service.write(f"{UNITS}/keptd.service.d/limit.conf", "[Unit]\nStartLimitBurst=3\n")
    service.ask("daemon-reload")
    service.kept("daemon", "stop")
    service.write(".config/kept/config.toml", "limits = 1\n")
    first = service.kept("status", code=69).stderr
    assert "keptd did not start: " in first
    assert "limits must be a table" in first or "config.toml" in first
    service.until("ActiveState", "failed", "keptd.socket")
    assert "The service manager could not start keptd: " in service.kept("daemon", "clients", code=69).stderr
    assert "config.toml" in service.kept("daemon", "status", code=69).stdout
    assert "did not start: " in service.kept("daemon", "start", code=1).stderr
    assert "config.toml" in service.kept("status", code=69).stderr
    service.write(".config/kept/config.toml", "")
    assert "keptd is running" in service.kept("daemon", "start").stdout
    assert service.property("ActiveState") == "active"


def test_reload_is_done_when_the_settings_are_in_force_and_fails_with_wrong_ones(service: UserManager) -> None:
    service.write(".config/kept/config.toml", "[limits]\nbatch = 1\n")
    service.ask("reload", "keptd.service")
    path = f"{service.environ['XDG_RUNTIME_DIR']}/kept/keptd.sock"
    assert "at most 1 are taken" in service.run(str(service.bin / "python"), "-c", TWO_AT_ONCE, path).stdout
    service.write(".config/kept/config.toml", "limits = 1\n")
    assert service.run("systemctl", "--user", "reload", "keptd.service", code=None).returncode != 0
    assert service.property("ActiveState") == "active"


PATIENT = """
import kept
from kept.wire.memory import SetMemory
for number in range(300):
    with kept.connect(start=False) as client:
        client.call(SetMemory(key=f"k{number}", value=number))
    if number == 20:
        print("under load", flush=True)
print("done", flush=True)
"""
"""The library's client: in the moment in which the manager puts its socket in the place of another nobody listens."""


def test_a_restart_under_load_refuses_no_client(service: UserManager) -> None:
    before = pid(service)
    path = f"{service.environ['XDG_RUNTIME_DIR']}/kept/keptd.sock"
    command = service.command(str(service.bin / "python"), "-c", STEADY, path, "400")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as load:
        assert load.stdout is not None
        assert load.stderr is not None
        assert load.stdout.readline() == "under load\n"
        service.kept("daemon", "restart")
        assert load.stdout.readline() == "done\n", load.stderr.read()
    assert pid(service) not in (0, before)
    assert service.property("NRestarts") == "0"


def test_a_daemon_that_a_client_had_started_hands_over_and_keeps_what_it_has(manager: UserManager) -> None:
    manager.kept("remember", "k", "from before")
    started = json.loads(manager.kept("rpc", "daemon.status").stdout)["pid"]
    with subprocess.Popen(
        manager.command(str(manager.bin / "python"), "-c", PATIENT),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as load:
        assert load.stdout is not None
        assert load.stderr is not None
        assert load.stdout.readline() == "under load\n"
        manager.kept("daemon", "install")
        assert load.stdout.readline() == "done\n", load.stderr.read()
    assert pid(manager) not in (0, started)
    assert manager.kept("recall", "k").stdout == "from before\n"
    assert manager.property("NRestarts") == "0"


def test_an_edited_unit_is_shown_and_not_overwritten(service: UserManager) -> None:
    unit = service.home / UNITS / "keptd.service"
    service.write(f"{UNITS}/keptd.service", unit.read_text().replace("WatchdogSec=120", "WatchdogSec=7"))
    shown = service.kept("daemon", "install", "--dry-run").stdout
    assert "-WatchdogSec=7\n+WatchdogSec=120\n" in shown
    refused = service.kept("daemon", "install", code=1)
    assert "edited by hand" in refused.stderr
    assert "systemctl --user edit keptd.service" in refused.stderr
    assert "WatchdogSec=7" in unit.read_text()
    service.kept("daemon", "install", "--force")
    assert "WatchdogSec=120" in unit.read_text()


def test_a_masked_unit_stays_masked_until_whoever_did_that_undoes_it(manager: UserManager) -> None:
    manager.ask("mask", "keptd.service")
    for words in (["install"], ["install", "--force"], ["install", "--dry-run"]):
        refused = manager.kept("daemon", *words, code=1)
        assert "keptd.service is masked" in refused.stderr
        assert "`systemctl --user unmask keptd.service`" in refused.stderr
    assert os.readlink(manager.home / UNITS / "keptd.service") == "/dev/null"
    assert "is left" in manager.kept("daemon", "uninstall", "--force").stdout
    assert os.readlink(manager.home / UNITS / "keptd.service") == "/dev/null"
    manager.ask("unmask", "keptd.service")
    for name in ("keptd.service", "keptd.socket"):
        manager.write(f"{UNITS}/{name}", (ROOT / "systemd" / name).read_text())
    assert "edited" not in manager.kept("daemon", "install").stdout
    assert pid(manager)


def test_a_second_home_gets_units_of_its_own(service: UserManager) -> None:
    other = str(service.home / 'a "second" 50% home')
    service.kept("daemon", "install", KEPT_HOME=other)
    told = json.loads(service.kept("daemon", "status", "--json", KEPT_HOME=other).stdout)
    name = told["service"]["service"]
    assert re.fullmatch(r"keptd-a-second-50-home-[0-9a-f]{6}", name)
    assert (told["home"], told["service"]["pid"]) == (other, told["pid"])
    assert told["pid"] != pid(service)
    service.kept("daemon", "stop", KEPT_HOME=other)
    service.kept("remember", "k", "v", "--no-start", KEPT_HOME=other)
    service.kept("daemon", "uninstall", KEPT_HOME=other)
    assert pid(service) != 0
    assert not [path for path in files(service) if name in path]


def test_systemd_finds_nothing_to_complain_of(service: UserManager) -> None:
    units = [str(service.home / UNITS / name) for name in ("keptd.service", "keptd.socket")]
    said = service.run("systemd-analyze", "verify", "--user", *units)
    assert (said.stdout, said.stderr) == ("", "")


WRITES_AND_EXECUTES = """
import ctypes, mmap, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
protection = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
place = libc.mmap(None, ctypes.c_size_t(4096), protection, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, ctypes.c_long(0))
refused = place == ctypes.c_void_p(-1).value
open(sys.argv[1], "w").write("refused" if refused else "granted")
"""
"""A page that is written and executed, as whatever compiles while it runs (Node) takes one."""


def test_a_transient_unit_of_the_hardened_service_is_free_of_its_filters(service: UserManager) -> None:
    service.write("probe.py", WRITES_AND_EXECUTES)
    python = str(service.bin / "python").replace("%", "%%")
    probe = f'"{python}" "%h/probe.py"'
    child = f'systemd-run --user --unit=kept-child --property=Type=oneshot {probe} "%h/child"'
    # What follows the start is of the unit itself: no line of the hardening is repeated here, and none is left out.
    lines = f'[Service]\nExecStartPost=:{probe} "%h/inside"\nExecStartPost=:{child}\n'
    service.write(f"{UNITS}/keptd.service.d/probe.conf", lines)
    service.ask("daemon-reload")
    service.ask("restart", "keptd.service")
    assert (service.home / "inside").read_text() == "refused"
    assert (service.home / "child").read_text() == "granted"
