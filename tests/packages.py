"""kept as people install it: archives built from this tree, and environments that have nothing but what was installed.

An environment made here finds the dependencies where the tests have them, so that it needs no network; kept itself
comes from a wheel, as its console scripts do.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path
from typing import Any

import msgspec

from .sources import ROOT

SECONDS = 120.0
"""After so long a program that was started here is broken."""


def run(*command: str | Path, cwd: str | Path = ROOT, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, without what the tests' own environment says of Python and of kept."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(("KEPT_", "PYTHON", "COVERAGE"))}
    return subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**others, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def done(*command: str | Path, cwd: str | Path = ROOT, **environ: str) -> str:
    """What a program printed that has to succeed."""
    ended = run(*command, cwd=cwd, **environ)
    assert ended.returncode == 0, f"{command}: {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def build(kind: str, tree: Path, folder: Path) -> Path:
    """The `wheel` or `sdist` of a source tree, in a folder of its own."""
    done(sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", folder, cwd=tree)
    [archive] = folder.iterdir()
    return archive


def unpack(sdist: Path, folder: Path) -> Path:
    """The tree in a source archive."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    [tree] = folder.iterdir()
    return tree


def of_version(tree: Path, version: str) -> None:
    """Make a tree another version. What an archive says of its own is removed, since that would hold."""
    (tree / "PKG-INFO").unlink(missing_ok=True)
    file = tree / "client" / "kept" / "version.py"
    lines = file.read_text().splitlines()
    changed = [f'VERSION = "{version}"' if line.startswith("VERSION = ") else line for line in lines]
    assert changed != lines
    file.write_text("\n".join(changed) + "\n")


class Installed:
    """An environment with kept in it, wherever its commands are."""

    def __init__(self, scripts: Path) -> None:
        self.scripts = scripts

    def kept(self, home: Path, *argv: str, **environ: str) -> str:
        """What `kept` prints; it has to succeed, and to say nothing else."""
        ended = run(self.scripts / "kept", *argv, cwd=Path("/"), KEPT_HOME=str(home), **environ)
        assert (ended.returncode, ended.stderr) == (0, ""), f"{argv}: {ended}"
        return ended.stdout

    def ask(self, home: Path, *argv: str, **environ: str) -> Any:
        """The same as JSON."""
        return msgspec.json.decode(self.kept(home, *argv, "--json", **environ))


class Environment(Installed):
    """A virtual environment of Python's own making."""

    def __init__(self, folder: Path) -> None:
        done(sys.executable, "-m", "venv", "--without-pip", folder)
        super().__init__(folder / "bin")
        self.python = folder / "bin" / "python"
        here = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
        self.packages = Path(done(self.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
        # A folder that a .pth names is searched, but the .pth files in it, as of an editable kept, are not read.
        (self.packages / "dependencies.pth").write_text("\n".join(sorted(here)) + "\n")

    def install(self, wheel: Path) -> None:
        """Install or upgrade, as `pip install --upgrade` does; what is there then is what the wheel says."""
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", self.python)
        done(*pip, "install", "--quiet", "--no-deps", "--no-index", "--upgrade", wheel)
        there = done(self.python, "-c", "import importlib.metadata as m; print(m.version('kept'))").strip()
        assert there == wheel.name.split("-")[1]
