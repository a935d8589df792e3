"""What a folder's history is made of: its git commits, or its files where there is no git or no commit. Reads, never
writes."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

_GIT_SECONDS = 60
_SUBJECT_CHARACTERS = 500
_UNIT = "\x1f"


@dataclass(frozen=True)
class Moment:
    """Something in the history: a commit's or a file's name, when it was, and what it says."""

    name: str
    at: str
    text: str


@dataclass(frozen=True)
class History:
    """The moments, oldest first, what they are, and why there are no commits where there are none."""

    moments: tuple[Moment, ...]
    kind: str
    remark: str = ""


def read(folder: Path, most: int) -> History:
    """The newest `most` commits of `folder`, else as many of its files."""
    git = shutil.which("git")
    if git is None:
        return _files(folder, most, "git is not installed")
    wanted = ["log", f"--max-count={most}", "-z", f"--format=%H{_UNIT}%aI{_UNIT}%s"]
    command = [git, "-c", "log.showSignature=false", "-C", str(folder), *wanted]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_GIT_SECONDS, check=False)  # noqa: S603 - no shell
    except subprocess.TimeoutExpired:
        return _files(folder, most, f"git took longer than {_GIT_SECONDS} s")
    if done.returncode != 0 or not done.stdout:
        return _files(folder, most, "there is no git history")
    commits = (line.split(_UNIT, 2) for line in done.stdout.decode("utf-8", "replace").split("\0") if line)
    return History(tuple(Moment(name, at, _text(subject)) for name, at, subject in commits)[::-1], "commits")


def _files(folder: Path, most: int, why: str) -> History:
    found = tuple(islice(_walk(folder), most))
    return History(found, "files", f"{why}, so the folder's files are recorded instead")


def _walk(folder: Path) -> Iterator[Moment]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            # A name may hold bytes that are no UTF-8; stored text may not.
            path = os.fsencode(os.path.relpath(os.path.join(parent, name), folder)).decode("utf-8", "replace")
            yield Moment(path, "", _text(f"found the file {path}"))


def _text(text: str) -> str:
    return " ".join(text.split())[:_SUBJECT_CHARACTERS] or "(no subject)"
