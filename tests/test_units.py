"""The units of systemd: valid, and in step with the daemon."""

from __future__ import annotations

import os
import shutil
import subprocess
from configparser import ConfigParser
from importlib.resources import files
from pathlib import Path

import pytest

from kept.paths import find
from keptd.notify import BEAT_SECONDS, EXTENSION_SECONDS
from keptd.recovery import DAMAGED
from keptd.rpc.listen import BACKLOG
from keptd.store.background import PATIENCE_SECONDS

from .sources import ROOT

UNITS = ROOT / "systemd"


def unit(name: str) -> ConfigParser:
    found = ConfigParser(interpolation=None, strict=False)
    found.optionxform = str  # type: ignore[assignment,method-assign]
    found.read(UNITS / name)
    return found


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_finds_nothing_to_complain_of(home: Path) -> None:
    for name in ("keptd.service", "keptd.socket"):
        shutil.copy(UNITS / name, home)
    (home / ".local" / "bin").mkdir(parents=True)
    for name in ("kept", "keptd"):
        (home / ".local" / "bin" / name).symlink_to("/bin/true")
    places = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home), "PATH": os.environ["PATH"]}
    command = ["systemd-analyze", "verify", "--user", str(home / "keptd.service"), str(home / "keptd.socket")]
    said = subprocess.run(command, env=places, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (0, "")


def test_the_wheel_has_the_units_that_stand_in_the_source() -> None:
    for name in ("keptd.service", "keptd.socket"):
        shipped = files("kept.service").joinpath(name)
        assert shipped.read_text(encoding="utf-8") == (UNITS / name).read_text(encoding="utf-8")


def test_the_socket_is_where_clients_look_for_it() -> None:
    paths = find({"HOME": "/h", "XDG_RUNTIME_DIR": "/r"}, lambda _: True)
    socket = unit("keptd.socket")["Socket"]
    assert socket["ListenStream"].replace("%t", "/r") == paths.socket
    assert (socket["SocketMode"], socket["DirectoryMode"], socket["Backlog"]) == ("0600", "0700", str(BACKLOG))


def test_the_service_agrees_with_what_the_daemon_does() -> None:
    service = unit("keptd.service")["Service"]
    assert service["Type"] == "notify"
    assert service["RestartForceExitStatus"] == str(DAMAGED)
    assert BEAT_SECONDS < EXTENSION_SECONDS < int(service["TimeoutStartSec"])
    assert int(service["WatchdogSec"]) / 2 >= PATIENCE_SECONDS, "a request of the daemon's own may take as long"
