"""A process that runs a command with secrets: `run` of `kept.vault_run.relay`, without a vault."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

SECONDS = 30
"""A deadline for what ends in milliseconds unless it is broken."""

SECRET = "tok-Zx81Qm47Lp"

SCRIPT = """
import json, os, sys
from kept.thin import Refusal
from kept.vault_run import Launch
from kept.vault_run.child import NotStarted
from kept.vault_run.forms import forms
from kept.vault_run.relay import run
given = json.loads(os.environ.pop("LENT"))
files = {int(number): text.encode() for number, text in given["files"].items()}
hidden = {name: forms(value) for name, value in given["hidden"].items()}
launch = Launch(
    command=tuple(sys.argv[1:]), added=given["added"], files=files, hidden=hidden, terminal=given["terminal"]
)
try:
    code = run(launch, os.environ)
except (NotStarted, Refusal) as fault:
    print(fault, file=sys.stderr)
    code = fault.code
sys.exit(code)
"""


def words(*command: str) -> list[str]:
    """What Python is to be run with."""
    return ["-c", SCRIPT, *command]


def environ(
    *,
    added: dict[str, str] | None = None,
    files: dict[int, str] | None = None,
    hidden: dict[str, Any] | None = None,
    terminal: bool = True,
) -> dict[str, str]:
    """Its environment."""
    given = {
        "added": {"TOKEN": SECRET} if added is None else added,
        "files": files or {},
        "hidden": {"n": SECRET} if hidden is None else hidden,
        "terminal": terminal,
    }
    path = os.pathsep.join(filter(None, sys.path))
    return {"PATH": os.environ["PATH"], "PYTHONPATH": path, "LANG": "C.UTF-8", "LENT": json.dumps(given)}


def lent(*command: str, stdin: bytes = b"", **given: Any) -> subprocess.CompletedProcess[bytes]:
    """Run it to its end."""
    return subprocess.run(
        [sys.executable, *words(*command)],
        env=environ(**given),
        input=stdin,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )


def begun(*command: str, **given: Any) -> subprocess.Popen[bytes]:
    """Start it."""
    return subprocess.Popen(
        [sys.executable, *words(*command)],
        env=environ(**given),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
