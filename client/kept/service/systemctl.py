"""The user manager, asked through `systemctl --user`. Refuses to wait for one that doesn't answer."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress

from ..wire.errors import Conflict

SECONDS = 120.0
"""How long one request may take: a stop of 60 s and a start after it."""

LOOK_SECONDS = 5.0
"""How long a question may take, which the manager answers by itself."""

SILENT = "the systemd user manager does not answer"
"""What `Systemctl.obstacle` says of one that is there."""

_SAID_LENGTH = 600
"""Characters of what systemctl says that are shown."""


class Systemctl:
    """The systemd user manager that `environ` leads to."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def obstacle(self) -> str:
        """Why there is no manager to speak with, or nothing."""
        if not shutil.which("systemctl", path=self._environ.get("PATH", os.defpath)):
            return "systemd is not installed"
        folder = self._environ.get("XDG_RUNTIME_DIR", "")
        if not folder:
            return "no user manager can be reached: XDG_RUNTIME_DIR is not set (as in cron, su and sudo)"
        if not os.path.exists(os.path.join(folder, "systemd", "private")):
            return f"no systemd user manager runs (there is no {folder}/systemd/private)"
        try:
            said = self._run("show", "--property=Version", seconds=LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            return SILENT
        return "" if said.returncode == 0 else f"the systemd user manager refuses: {said_by(said.stderr)}"

    def state(self) -> str:
        """`running`, `degraded` where a unit of whatever kind has failed, or another of systemctl(1)."""
        try:
            return self._run("is-system-running", seconds=LOOK_SECONDS).stdout.strip() or "unknown"
        except subprocess.TimeoutExpired:
            return "unknown"

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """Properties of a unit as systemctl(1) gives them, also of one that doesn't exist."""
        said = self.do("show", f"--property={','.join(properties)}", unit, seconds=LOOK_SECONDS)
        return dict(line.partition("=")[::2] for line in said.splitlines())

    def forget(self, *units: str) -> None:
        """Have the manager forget how the units failed, and how often they were started. Of one that it has not loaded
        it knows neither, and says so: that is no failure."""
        with suppress(subprocess.TimeoutExpired):
            self._run("reset-failed", *units, seconds=LOOK_SECONDS)

    def do(self, *words: str, seconds: float = SECONDS) -> str:
        """Have the manager do something, and wait for it; what it prints. Raises `Conflict` with its own words."""
        try:
            said = self._run(*words, seconds=seconds)
        except subprocess.TimeoutExpired:
            raise Conflict(
                f"`{told(words)}` is not done after {seconds:.0f} s", hint="kept daemon status says how it is."
            ) from None
        if said.returncode != 0:
            raise Conflict(
                f"`{told(words)}` failed: {said_by(said.stderr)}",
                hint="kept daemon logs -n 20 shows what was said last.",
            )
        return said.stdout

    def _run(self, *words: str, seconds: float) -> subprocess.CompletedProcess[str]:
        # Messages in a language that is always there, without colour or a pager.
        environ = {**self._environ, "LC_ALL": "C.UTF-8", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"}
        command = ["systemctl", "--user", *words]
        return subprocess.run(  # noqa: S603 - the words are kept's own, and no shell reads them
            command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False
        )


def told(words: Sequence[str]) -> str:
    """The command as a person types it."""
    return " ".join(("systemctl", "--user", *words))


def said_by(text: str) -> str:
    """What a program has said, on one line: a sentence of systemctl's may have several."""
    return " ".join(text.split())[:_SAID_LENGTH] or "it said nothing"
