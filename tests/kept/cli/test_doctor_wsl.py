"""What `kept doctor` says on WSL2, shown on made-up trees of its files: none of these tests ran on Windows."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from kept.checkup import wsl
from kept.checkup.wsl import look
from kept.paths import find
from kept.wire.maintenance import Finding

from .doctors import DESTROYS

NOW = 1_800_000_000.0
FILES = {
    "proc/sys/kernel/osrelease": "6.6.87.2-microsoft-standard-WSL2\n",
    "proc/sys/fs/binfmt_misc/WSLInterop": "enabled\n",
    "etc/wsl.conf": "[boot]\nsystemd=true\n",
    "run/systemd/system/.keep": "",
    "var/lib/systemd/linger/ada": "",
    "mnt/c/Users/Ada/.wslconfig": "[general]\ninstanceIdleTimeout=-1\n[wsl2]\nvmIdleTimeout = -1\n",
    "sys/class/rtc/rtc0/since_epoch": f"{NOW:.0f}\n",
}
"""A distribution with systemd, on which nothing is amiss."""

FOLDER = "/run/user/1000"
ENVIRON = {"HOME": "/home/ada", "USER": "ada", "WSL_DISTRO_NAME": "Debian", "XDG_RUNTIME_DIR": FOLDER + "/"}


class Tree:
    """A machine's files, as a test wants them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.runtime = root / FOLDER.lstrip("/")
        for path, text in FILES.items():
            self.write(path, text)
        self.runtime.mkdir(0o700, parents=True)

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def remove(self, path: str) -> None:
        """A file or an empty folder."""
        place = self.root / path
        if place.is_dir():
            place.rmdir()
        else:
            place.unlink()

    def look(self, environ: Mapping[str, str] = ENVIRON, *, in_session: bool = True) -> dict[str, Finding]:
        """What is found, by what was looked at; each that is no warning may have a step, none destroys anything."""
        findings = look(find(environ, lambda _: in_session), environ, str(self.root), NOW)
        for finding in findings:
            assert finding.verdict == "ok" or finding.next_step, finding
            assert not DESTROYS.search(finding.next_step or ""), finding
            assert len(finding.what) < 16
        assert len({finding.what for finding in findings}) == len(findings)
        return {finding.what: finding for finding in findings}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_where_nothing_is_amiss_everything_is_well(tree: Tree) -> None:
    seen = tree.look()
    assert [*seen] == ["WSL", "runtime folder", "systemd", "idle shutdown", "WSL clock"]
    assert {finding.verdict for finding in seen.values()} == {"ok"}
    assert not any(finding.next_step for finding in seen.values())
    assert "WSL 2, distribution Debian" in seen["WSL"].detail


@pytest.mark.parametrize("kernel", ["6.1.0-13-amd64", "5.10.0-azure", ""])
def test_another_linux_is_told_nothing(tree: Tree, kernel: str) -> None:
    tree.write("proc/sys/kernel/osrelease", kernel)
    assert tree.look() == {}


def test_a_container_on_wsls_kernel_is_told_nothing(tree: Tree) -> None:
    for path in ("proc/sys/fs/binfmt_misc/WSLInterop", "etc/wsl.conf"):
        tree.remove(path)
    environ = {name: value for name, value in ENVIRON.items() if not name.startswith("WSL_")}
    assert tree.look(environ) == {}
    assert tree.look({**environ, "WSL_INTEROP": "/run/WSL/8_interop"}).keys() >= {"WSL"}


def test_a_service_without_wsls_variables_is_told_all_the_same(tree: Tree) -> None:
    environ = {name: value for name, value in ENVIRON.items() if not name.startswith("WSL_")}
    assert tree.look(environ)["WSL"].detail.startswith("WSL 2;")


def test_wsl_1_is_a_warning(tree: Tree) -> None:
    tree.write("proc/sys/kernel/osrelease", "4.4.0-19041-Microsoft\n")
    finding = tree.look()["WSL"]
    assert (finding.verdict, finding.next_step) == ("warning", "In Windows: wsl.exe --set-version Debian 2")


FALLBACK = "/home/ada/.local/state/kept/run/keptd.sock"


def test_a_runtime_folder_that_is_gone_is_told_with_the_place_of_the_socket(tree: Tree) -> None:
    tree.runtime.rmdir()
    finding = tree.look(in_session=False)["runtime folder"]
    assert finding.verdict == "warning"
    assert "#13562" in finding.detail
    assert FALLBACK in finding.detail


@pytest.mark.parametrize(
    ("mode", "verdict", "issue"), [(0o777, "warning", "wslg#1333"), (0o755, "ok", "WSL#10896"), (0o700, "ok", "yours")]
)
def test_a_runtime_folder_is_told_by_its_mode(tree: Tree, mode: int, verdict: str, issue: str) -> None:
    tree.runtime.chmod(mode)
    finding = tree.look(in_session=mode != 0o777)["runtime folder"]
    assert finding.verdict == verdict
    assert issue in finding.detail
    assert finding.next_step == (f"chmod 700 {FOLDER}" if mode != 0o700 else None)
    assert (FALLBACK in finding.detail) == (mode == 0o777)


def test_a_runtime_folder_of_another_user_is_told(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    finding = tree.look(in_session=False)["runtime folder"]
    assert (finding.verdict, "#10846" in finding.detail) == ("warning", True)
    assert finding.next_step == f"sudo chown {mine + 1}:{os.getegid()} {FOLDER}"


def test_a_runtime_folder_that_all_distributions_share_is_told(tree: Tree) -> None:
    finding = tree.look(in_session=False)["runtime folder"]
    assert (finding.verdict, "shared by all distributions" in finding.detail) == ("ok", True)


def test_without_a_runtime_folder_the_sockets_place_is_told_and_a_named_one_is_ones_own_matter(tree: Tree) -> None:
    environ = {**ENVIRON, "XDG_RUNTIME_DIR": ""}
    assert FALLBACK in tree.look(environ)["runtime folder"].detail
    assert "runtime folder" not in tree.look({**environ, "KEPT_HOME": "/h"})
    assert "runtime folder" not in tree.look({**environ, "KEPT_SOCKET": "/s"})


@pytest.mark.parametrize(
    ("conf", "runs", "verdict", "said"),
    [
        ("[boot]\nsystemd=true\n", False, "warning", "asks for it"),
        ("[boot]\nsystemd = TRUE\n", True, "ok", "starts your services with"),
        ("[boot]\nsystemd=false\n", False, "ok", "the first command starts keptd"),
        ("", False, "ok", "the first command starts keptd"),
        ("[automount]\nroot=/\n[boot]\n", True, "ok", "it runs"),
        ("boot\nsystemd true", False, "warning", "another form"),
    ],
)
def test_systemd_is_told_by_what_is_asked_for_and_what_runs(
    tree: Tree, conf: str, runs: bool, verdict: str, said: str
) -> None:
    tree.write("etc/wsl.conf", conf)
    if not runs:
        tree.remove("run/systemd/system/.keep")
        tree.remove("run/systemd/system")
    finding = tree.look()["systemd"]
    assert finding.verdict == verdict
    assert said in finding.detail


def test_without_lingering_the_first_login_starts_the_services(tree: Tree) -> None:
    tree.remove("var/lib/systemd/linger/ada")
    finding = tree.look()["systemd"]
    assert (finding.verdict, "loginctl enable-linger" in str(finding.next_step)) == ("ok", True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "instanceIdleTimeout unset and vmIdleTimeout unset"),
        ("[wsl2]\nvmIdleTimeout=60000\n", "instanceIdleTimeout unset and vmIdleTimeout 60000"),
        ("[general]\ninstanceIdleTimeout=-1\n", "instanceIdleTimeout -1 and vmIdleTimeout unset"),
        ("\ufeff[general]\r\ninstanceIdleTimeout=-1\r\n[wsl2]\r\nvmIdleTimeout=-1\r\n", "run on without a terminal"),
        ("[[[\x1b", "another form"),
    ],
)
def test_when_it_stops_by_itself_is_told_as_windows_has_it(tree: Tree, text: str, said: str) -> None:
    tree.write("mnt/c/Users/Ada/.wslconfig", text)
    finding = tree.look()["idle shutdown"]
    assert said in finding.detail
    assert finding.detail.isprintable()


def test_of_several_profiles_the_one_that_windows_names_counts_and_else_none(tree: Tree) -> None:
    tree.write("mnt/c/Users/Bob/.wslconfig", "")
    assert "can't be read from here" in tree.look()["idle shutdown"].detail
    environ = {**ENVIRON, "USERPROFILE": "C:\\Users\\Ada"}
    assert "/mnt/c/Users/Ada/.wslconfig lets" in tree.look(environ)["idle shutdown"].detail
    tree.write("etc/wsl.conf", "[automount]\nroot = /windows/\n")
    tree.write("windows/d/Me/.wslconfig", FILES["mnt/c/Users/Ada/.wslconfig"])
    environ["USERPROFILE"] = "D:\\Me"
    assert "/windows/d/Me/.wslconfig lets" in tree.look(environ)["idle shutdown"].detail


def test_a_drive_that_does_not_answer_is_not_waited_for(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()
    monkeypatch.setattr(wsl, "_wslconfig", lambda *_: answers.wait())
    monkeypatch.setattr(wsl, "DRIVE_SECONDS", 0.01)
    finding = tree.look()["idle shutdown"]
    answers.set()
    assert (finding.verdict, "does not answer" in finding.detail) == ("warning", True)


@pytest.mark.parametrize(
    ("seconds", "verdict", "said"),
    [
        (0, "ok", "that of the machine"),
        (30, "ok", "that"),
        (7200, "warning", "2 h behind"),
        (-7200, "warning", "ahead"),
    ],
)
def test_a_clock_that_slept_is_told(tree: Tree, seconds: int, verdict: str, said: str) -> None:
    tree.write("sys/class/rtc/rtc0/since_epoch", f"{NOW + seconds:.0f}\n")
    finding = tree.look()["WSL clock"]
    assert finding.verdict == verdict
    assert said in finding.detail
    assert seconds != 7200 or "sudo hwclock -s" in str(finding.next_step)


@pytest.mark.parametrize("how", ["missing", "local", "no number"])
def test_where_the_machines_clock_says_nothing_nothing_is_told(tree: Tree, how: str) -> None:
    if how == "missing":
        tree.remove("sys/class/rtc/rtc0/since_epoch")
    elif how == "local":
        tree.write("etc/adjtime", "0.0 0 0.0\n0\nLOCAL\n")
    else:
        tree.write("sys/class/rtc/rtc0/since_epoch", "\u0662\u0663")
    assert "WSL clock" not in tree.look()
