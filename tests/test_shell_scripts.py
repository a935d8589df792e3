"""Every shell script of the project, as shellcheck sees it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from .sources import ROOT

SCRIPTS = [*sorted((ROOT / "systemd").rglob("*.sh")), *(file for file in [ROOT / ".ci" / "run"] if file.exists())]


def test_the_scripts_were_found() -> None:
    assert {"login.sh", "with-systemd.sh", "without-systemd.sh"} <= {script.name for script in SCRIPTS}


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="there is no shellcheck here")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_has_nothing_to_say(script: Path) -> None:
    done = subprocess.run(["shellcheck", script], capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert done.returncode == 0
