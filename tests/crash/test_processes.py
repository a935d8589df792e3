"""Many processes at once, from no daemon at all: one daemon, nothing lost, no error."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from signal import SIGTERM

import pytest

from tests.faulty_vfs import DEADLINE

from .homes import Home, home, stored

PROCESSES = 16
ENTRIES = 20

# Says that it is ready, and goes on at a line of input, so that all begin together.
WRITER = """
import sys
import kept
from kept.wire.journal import LogAction
from kept.wire.memory import SetMemory
name, count = sys.argv[1], int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
with kept.connect(client=name, patience=60) as client:
    for number in range(count):
        if number % 2:
            client.call(LogAction(action=f"{name}-{number}"))
        else:
            client.call(SetMemory(key=f"{name}-{number}", value=number))
print("done", flush=True)
"""


def run_together(place: Home, processes: int, entries: int) -> list[str]:
    """What each of the processes said, all begun in the same moment."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, f"p{number}", str(entries)],
            env=dict(place.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(processes)
    ]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        return [process.communicate(timeout=3 * DEADLINE)[0] for process in started]
    finally:
        for process in started:
            process.kill()
            process.communicate()


@pytest.mark.crash
def test_sixteen_processes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with home(tmp_path) as place:
        said = run_together(place, PROCESSES, ENTRIES)
        assert said == ["done\n"] * PROCESSES
        assert place.starts() == 1
        place.end(SIGTERM)
        with stored(place) as db:
            names = "SELECT key FROM memory UNION ALL SELECT action FROM action"
            found = Counter(str(name) for (name,) in db.execute(names))
        expected = {f"p{process}-{entry}" for process in range(PROCESSES) for entry in range(ENTRIES)}
        assert found == dict.fromkeys(expected, 1)
        with capsys.disabled():
            sys.stdout.write(
                f"\n{PROCESSES} processes writing {ENTRIES} entries each at once: "
                f"{len(found)} of {len(expected)} there, 1 daemon, no error seen\n"
            )


def test_ten_clients_at_once_start_one_daemon(tmp_path: Path) -> None:
    with home(tmp_path) as place:
        assert run_together(place, 10, 1) == ["done\n"] * 10
        assert place.starts() == 1
