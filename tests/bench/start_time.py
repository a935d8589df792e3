"""How long a command takes on a warm daemon: `kept memory get KEY` against `python -I -S -c pass`.

Starts a daemon in a home of its own, stores one memory, then runs both commands in turn on one core, so that load and
frequency changes hit both alike. Prints medians and their ratio. Aim: at most 1.6.

    python -m tests.bench.start_time [--rounds N] [--kept PATH]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ._daemon import daemon, environment, machine, pin_to_one_core

AIM = 1.6
KEY = "colour"


def milliseconds(command: list[str], variables: Mapping[str, str]) -> float:
    """Wall time of one run of `command`, its output thrown away. Raises where it fails."""
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    begin = time.perf_counter()
    pid = os.posix_spawn(command[0], command, variables, file_actions=quiet)
    _, status = os.waitpid(pid, 0)
    elapsed = time.perf_counter() - begin
    if status:
        raise SystemExit(f"{command[0]} ended with {os.waitstatus_to_exitcode(status)}")
    return elapsed * 1000


def medians(commands: Sequence[list[str]], variables: Mapping[str, str], rounds: int) -> list[float]:
    """The median time of each command in ms, after five rounds that don't count."""
    times: list[list[float]] = [[] for _ in commands]
    for number in range(rounds + 5):
        for command, measured in zip(commands, times, strict=True):
            taken = milliseconds(command, variables)
            if number >= 5:
                measured.append(taken)
    return [statistics.median(measured) for measured in times]


def main() -> None:
    """Start a daemon, measure, print."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--rounds", type=int, default=300)
    options.add_argument("--kept", default=str(Path(sys.executable).with_name("kept")), help="the script to measure")
    asked = options.parse_args()
    pin_to_one_core()
    with tempfile.TemporaryDirectory(prefix="kept-") as folder, daemon(Path(folder)):
        here = environment(Path(folder))
        subprocess.run([asked.kept, "memory", "set", KEY, "blue"], env=here, check=True, stdout=subprocess.DEVNULL)
        bare, kept = medians(
            [[sys.executable, "-I", "-S", "-c", "pass"], [asked.kept, "memory", "get", KEY]], here, asked.rounds
        )
    print(machine())
    print(f"python -I -S -c pass      {bare:6.2f} ms")
    print(f"kept memory get {KEY}    {kept:6.2f} ms")
    print(f"ratio                     {kept / bare:6.2f}     (aim: at most {AIM})")


if __name__ == "__main__":
    main()
