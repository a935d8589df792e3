"""The archives that people install from: what is in them, and that what comes out of them works."""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from keptd import VERSION

from .packages import Environment, Installed, build, done, run, unpack
from .sources import PACKAGES, ROOT

NETWORK = pytest.mark.skipif(
    not os.environ.get("KEPT_PACKAGE"), reason="needs a package index: make package installs with pip, pipx and uv"
)


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def works(installed: Installed, home: Path, **environ: str) -> None:
    """Start a daemon, write, read, and end it."""
    try:
        installed.kept(home, "status", **environ)
        assert installed.ask(home, "daemon", "status", **environ)["version"] == VERSION
        installed.kept(home, "remember", "deploy.port", "8080", **environ)
        assert installed.ask(home, "memory", "get", "deploy.port", **environ)["value"] == 8080
        assert installed.kept(home, "doctor", **environ).splitlines()[-1].startswith(("All is well", "It works"))
    finally:
        run(installed.scripts / "kept", "daemon", "stop", KEPT_HOME=str(home), **environ)
    assert not (home / "run" / "keptd.sock").exists()
    assert done(installed.scripts / "keptd", "--version").strip() == f"keptd {VERSION}"


def test_the_wheel_has_every_module_and_what_they_read_and_nothing_else(wheel: Path) -> None:
    expected = {
        str(path.relative_to(folder))
        for package, folder in PACKAGES.items()
        for path in (folder / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"kept/py.typed", "keptd/py.typed", "keptd/data/FORMAT.md", "keptd/sessions/FORMAT.md"} <= expected
    about = f"kept-{VERSION}.dist-info"
    found = contents(wheel)
    assert {name for name in found if not name.startswith(about)} == expected
    assert f"{about}/licenses/LICENSE" in found
    commands = found[f"{about}/entry_points.txt"].decode()
    assert "kept = kept.__main__:main" in commands
    assert "keptd = keptd.__main__:main" in commands


def test_the_source_archive_builds_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    again = build("wheel", unpack(sdist, tmp_path / "tree"), tmp_path / "wheel")
    assert contents(again) == contents(wheel)


def test_the_source_archive_has_what_its_own_readers_need(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"LICENSE", "README.md", "ARCHITECTURE.md", "CHANGELOG.md", "Makefile", "config.example.toml"}
    wanted |= {"pyproject.toml", "requirements.lock", "client/API.md", "tests/conftest.py", "systemd/wsl2/README.md"}
    assert wanted <= names
    assert not {name for name in names if "__pycache__" in name or name.startswith((".venv", "dist", ".git/"))}


@pytest.mark.parametrize("folder", ["plain", "a folder's name"])
def test_what_is_installed_works_wherever_it_lies(wheel: Path, home: Path, folder: str) -> None:
    environment = Environment(home / folder)
    environment.install(wheel)
    works(environment, home / "my home")


def test_no_home_folder_and_no_writable_installation_are_needed(wheel: Path, home: Path) -> None:
    environment = Environment(home / "e")
    environment.install(wheel)
    before = sorted(environment.packages.rglob("*"))
    # Root may write anywhere, so that it is not kept from it but seen not to do it.
    works(environment, home / "h", HOME="/nonexistent", PYTHONDONTWRITEBYTECODE="1")
    assert sorted(environment.packages.rglob("*")) == before
    assert not os.path.lexists("/nonexistent")


def test_an_environment_has_its_own_kept_and_not_that_of_the_tests(wheel: Path, home: Path) -> None:
    environment = Environment(home / "e")
    assert run(environment.python, "-c", "import kept").returncode != 0
    environment.install(wheel)
    places = done(environment.python, "-c", "import kept, keptd; print(kept.__file__, keptd.__file__)").split()
    assert all(Path(place).is_relative_to(environment.packages) for place in places)


def with_pip(wheel: Path, folder: Path) -> Installed:
    done(sys.executable, "-m", "venv", folder / "e")
    done(folder / "e" / "bin" / "python", "-m", "pip", "install", "--quiet", wheel)
    return Installed(folder / "e" / "bin")


def with_pipx(wheel: Path, folder: Path) -> Installed:
    places = {"PIPX_HOME": str(folder / "pipx"), "PIPX_BIN_DIR": str(folder / "bin"), "PIPX_MAN_DIR": str(folder / "m")}
    done(sys.executable, "-m", "pipx", "install", "--python", sys.executable, wheel, **places)
    return Installed(folder / "bin")


def with_uv(wheel: Path, folder: Path) -> Installed:
    places = {"UV_TOOL_DIR": str(folder / "tools"), "UV_TOOL_BIN_DIR": str(folder / "bin")}
    done(sys.executable, "-m", "uv", "tool", "install", "--python", sys.executable, wheel, **places)
    return Installed(folder / "bin")


@NETWORK
@pytest.mark.parametrize("install", [with_pip, with_pipx, with_uv])
def test_with_its_dependencies_from_the_index_it_works(
    wheel: Path, home: Path, install: Callable[[Path, Path], Installed]
) -> None:
    works(install(wheel, home), home / "h")


@NETWORK
@pytest.mark.parametrize("install", [with_pip, with_pipx, with_uv])
def test_it_installs_from_a_source_tree(sdist: Path, home: Path, install: Callable[[Path, Path], Installed]) -> None:
    tree = unpack(sdist, home / "tree")
    works(install(tree, home), home / "h")
    shutil.rmtree(tree)
