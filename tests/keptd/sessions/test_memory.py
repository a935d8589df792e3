"""A session passes through the daemon and the client in parts: what they hold of it doesn't grow with it.

`KEPT_LARGE=1` compares 200 MB with 20 MB, which takes minutes; else 42 MB are compared with 12 MB.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.crash.homes import Home
from tests.crash.homes import home as started
from tests.places import on_disk

LARGE = bool(os.environ.get("KEPT_LARGE"))
SMALLER, LARGER = (20_000, 200_000) if LARGE else (12_000, 42_000)
"""Messages of about a thousand bytes."""

SPARE_BYTES = 20 * 1024 * 1024
"""What may differ: caches of the database and of the allocator fill up to their limits. Less than the
sessions differ."""

CLIENT = (
    "import sys\n"
    "from kept.cli.process import main\n"
    "code = main(sys.argv[1:])\n"
    "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
    "sys.stderr.write(peak.split()[1])\n"
    "sys.exit(code)\n"
)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with on_disk() as folder:
        yield folder


class Peaks(NamedTuple):
    """The most that was in memory, in bytes."""

    sending: int
    importing: int
    fetching: int
    exporting: int


def write(file: Path, messages: int) -> None:
    """A document with one session."""
    line = {"role": "user", "content": ""}
    with file.open("w") as target:
        target.write('{"format":"kept.session","version":1,"sessions":[{"session":{"id":"s"},"messages":[\n')
        for number in range(messages):
            line["content"] = f"message {number} " + "lorem ipsum dolor sit amet\n" * 37
            target.write((",\n" if number else "") + json.dumps(line))
        target.write("]}]}")


def run(place: Home, *words: str) -> int:
    """A command in a process of its own; the most that it had in memory."""
    command = [sys.executable, "-c", CLIENT, "session", *words]
    done = subprocess.run(command, env=place.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stderr) * 1024


def peak(place: Home) -> int:
    """The most that the daemon had in memory since it was last asked (VmHWM, proc(5)); where the tests are not root's,
    since it began."""
    process = Path(f"/proc/{place.pid()}")
    line = next(line for line in (process / "status").read_text().splitlines() if line.startswith("VmHWM"))
    with suppress(PermissionError):
        (process / "clear_refs").write_text("5")
    return int(line.split()[1]) * 1024


def peaks(folder: Path, messages: int) -> Peaks:
    """Import and export, in a fresh home."""
    folder.mkdir()
    source, target = folder / "in.json", folder / "out.json"
    write(source, messages)
    with started(folder / "home") as place:
        sending = run(place, "import", str(source))
        importing = peak(place)
        fetching = run(place, "export", "s", str(target))
        exporting = peak(place)
    with target.open() as exported:
        assert sum(1 for _ in exported) == messages + 4
    return Peaks(sending, importing, fetching, exporting)


def test_memory_does_not_grow_with_a_session(tmp_path: Path) -> None:
    small, large = measured(tmp_path, "small", SMALLER), measured(tmp_path, "large", LARGER)
    for number in range(2):
        if not grown(small, large):
            break
        # What else runs on the machine only adds, by what waits in queues meanwhile: the least is what it takes.
        large = Peaks(*map(min, large, measured(tmp_path, f"large {number}", LARGER)))
    if LARGE:
        sys.stdout.write(f"\n{SMALLER} messages: {small}\n{LARGER} messages: {large}\n")
    assert grown(small, large) == {}, (small, large)


def measured(folder: Path, name: str, messages: int) -> Peaks:
    """As `peaks`; nothing of it stays."""
    found = peaks(folder / name, messages)
    shutil.rmtree(folder / name)
    return found


def grown(small: Peaks, large: Peaks) -> dict[str, int]:
    """What took more than it may, and by how much."""
    more = {name: getattr(large, name) - getattr(small, name) for name in Peaks._fields}
    return {name: size for name, size in more.items() if size > SPARE_BYTES}
