"""An upgrade under a daemon that runs: it goes on, whatever became of its files, and the next is the new one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from keptd import VERSION

from .packages import Environment, build, of_version, run, unpack
from .sources import ROOT
from .written import Written

NEWER = "99.0.0"
"""Of the version that comes after any."""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """This version, and a newer one whose lazily loaded modules are of no use to this one."""
    folder = tmp_path_factory.mktemp("upgrade")
    tree = unpack(build("sdist", ROOT, folder / "sdist"), folder / "tree")
    older = build("wheel", tree, folder / "older")
    of_version(tree, NEWER)
    # A daemon of the older one that loaded this now would fail, as with any module that changed.
    module = tree / "client" / "kept" / "cli" / "complete.py"
    check = f"\nfrom keptd import VERSION\nassert VERSION == {NEWER!r}\n"
    module.write_text(module.read_text() + check)
    return older, build("wheel", tree, folder / "newer")


@pytest.fixture
def environment(wheels: tuple[Path, Path], home: Path) -> Iterator[Environment]:
    """The older version, installed, with a daemon that has served nothing but its start."""
    made = Environment(home / "e")
    made.install(wheels[0])
    made.kept(home / "h", "daemon", "start", KEPT_LOG_LEVEL="debug")
    until_loaded(home / "h" / "keptd.log")
    yield made
    run(made.scripts / "kept", "daemon", "stop", KEPT_HOME=str(home / "h"))


def until_loaded(log: Path) -> None:
    """Wait until the daemon has loaded what its start did without."""
    with Written(log) as written:
        while '"an upgrade can come"' not in log.read_text():
            written.wait()


def version(environment: Environment, home: Path) -> str:
    return str(environment.ask(home, "daemon", "status")["version"])


COMMANDS = (
    ("remember", "greeting", "中文"),
    ("recall", "中文"),
    ("memory", "list"),
    ("memory", "set", "--help"),
    ("decide", "go on", "--why", "the files are only where it came from"),
    ("context",),
    ("completion", "bash"),
    ("complete", "--", "memory", ""),
    ("session", "new", "talk"),
    ("session", "show", "last"),
    ("job", "list"),
    ("maintenance", "check"),
    ("backup", "create"),
)


def test_a_daemon_serves_on_while_its_files_become_another_versions(
    environment: Environment, wheels: tuple[Path, Path], home: Path
) -> None:
    environment.kept(home / "h", "remember", "before", "1")
    environment.install(wheels[1])
    assert version(environment, home / "h") == VERSION
    for command in COMMANDS:
        environment.kept(home / "h", *command)
    assert environment.ask(home / "h", "memory", "get", "before")["value"] == 1


def test_a_daemon_serves_on_while_its_files_are_gone(environment: Environment, home: Path) -> None:
    other = Environment(home / "client")
    shutil.copytree(environment.packages / "kept", other.packages / "kept")
    script = (environment.scripts / "kept").read_text().split("\n", 1)[1]
    (other.scripts / "kept").write_text(f"#!{other.python}\n{script}")
    (other.scripts / "kept").chmod(0o755)
    for package in ("kept", "keptd"):
        shutil.rmtree(environment.packages / package)
    for command in COMMANDS:
        other.kept(home / "h", *command)
    assert version(other, home / "h") == VERSION
    run(other.scripts / "kept", "daemon", "stop", KEPT_HOME=str(home / "h"))


def test_the_doctor_says_that_the_daemon_is_of_an_older_version_and_a_restart_brings_the_newer(
    environment: Environment, wheels: tuple[Path, Path], home: Path
) -> None:
    environment.kept(home / "h", "remember", "before", "1")
    environment.install(wheels[1])
    told = json.loads(environment.kept(home / "h", "doctor", "--json"))
    [finding] = [finding for finding in told["findings"] if finding["what"] == "daemon"]
    assert finding["verdict"] == "warning"
    assert f"keptd {VERSION} answers" in finding["detail"]
    assert f"this command is of version {NEWER}" in finding["detail"]
    environment.kept(home / "h", "daemon", "restart")
    assert version(environment, home / "h") == NEWER
    assert environment.ask(home / "h", "memory", "get", "before")["value"] == 1
