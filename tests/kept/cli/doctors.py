"""`kept doctor` on a real home, as a program reads it; and what holds for whatever it says."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .here import kept_here

DESTROYS = re.compile(
    r"\b(rm|delete|remove|drop|truncate|reset|shred|wipe|unlink|overwrite|dd|mkfs)\b|kill -(9|KILL)", re.IGNORECASE
)
"""Words that no next step has, since a worried person pastes it."""

Finding = dict[str, Any]


class Diagnosis(NamedTuple):
    """The exit code, and the findings by what was looked at; of several on one thing the last."""

    code: int
    verdict: str
    by: dict[str, Finding]

    def problems(self) -> set[str]:
        return {what for what, finding in self.by.items() if finding["verdict"] == "problem"}


def doctor(home: Path, *argv: str, environ: Mapping[str, str] | None = None, ends_daemon: bool = False) -> Diagnosis:
    """Run it; what it prints has to be sound, and it leaves the home as it is. Damage that its
    full check meets `ends_daemon`, as any that is met does."""
    before = contents(home)
    printed = kept_here(home, "doctor", "--json", *argv, **(environ or {}))
    assert printed.stderr == ""
    told = json.loads(printed.stdout)
    assert told.keys() == {"verdict", "findings"}
    findings = told["findings"]
    worse = ["ok", "warning", "problem"]
    assert told["verdict"] == max((finding["verdict"] for finding in findings), key=worse.index)
    assert printed.returncode == (1 if told["verdict"] == "problem" else 0)
    for finding in findings:
        assert finding["verdict"] == "ok" or finding["next_step"], finding
        assert not DESTROYS.search(finding["next_step"] or ""), finding
        assert finding["detail"].isprintable(), finding
    assert ends_daemon or contents(home) == before
    return Diagnosis(printed.returncode, told["verdict"], {finding["what"]: finding for finding in findings})


def contents(home: Path) -> dict[str, int]:
    """The names below a home, with their modes: a look adds and changes none."""
    return {str(path): path.lstat().st_mode for path in home.rglob("*") if "kept.db-" not in path.name}
