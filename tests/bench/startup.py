"""How long the daemon takes to start on an empty home, and which imports that time goes to.

After one round that doesn't count, starts it again and again, on an empty home and on the home that it left, until it
answers `daemon.ping`; prints medians, beside an interpreter that only starts. Then it lists the imports that take
longest, each package and each module alone (`python -X importtime`). Aim: ready well within 0.5 s.

    python -m tests.bench.startup [--rounds N] [--imports N]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from ._daemon import START_SECONDS, answers, end, environment, machine

AIM_MS = 500

ENVIRONMENT = environment(Path("/nonexistent"))
"""For an interpreter that opens no home."""


class Import(NamedTuple):
    """A module, and the µs that its import took alone and with all that it imported first."""

    name: str
    alone: int
    whole: int


def ready(home: Path) -> float:
    """Milliseconds until a daemon on that home answers; it is stopped afterwards."""
    begin = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "keptd"], env=environment(home), stderr=subprocess.DEVNULL)
    try:
        while not answers(home / "run" / "keptd.sock"):
            if process.poll() is not None or time.perf_counter() - begin > START_SECONDS:
                raise SystemExit(f"the daemon did not start (exit code {process.poll()})")
            time.sleep(0.001)
        return (time.perf_counter() - begin) * 1000
    finally:
        end(process)


def run(*arguments: str) -> float:
    """Milliseconds that an interpreter takes with these arguments."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, env=ENVIRONMENT)
    return (time.perf_counter() - begin) * 1000


def imports() -> list[Import]:
    """What `keptd.__main__` imports, in order."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import uvloop, keptd.__main__"],
        check=True,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )
    found = []
    for line in done.stderr.splitlines():
        alone, _, rest = line.removeprefix("import time:").partition("|")
        whole, _, name = rest.partition("|")
        if alone.strip().isdigit():
            found.append(Import(name.strip(), int(alone), int(whole)))
    return found


def by_package(found: list[Import]) -> Counter[str]:
    """The µs of all modules of a package together, alone."""
    total: Counter[str] = Counter()
    for one in found:
        total[one.name.partition(".")[0]] += one.alone
    return total


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--imports", type=int, default=15)
    options = parser.parse_args()
    names = ("python -c pass", "import keptd.__main__", "ready, empty home", "ready, its home again")
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(options.rounds + 1):
        with tempfile.TemporaryDirectory(prefix="kept-") as folder:
            taken = (
                run("-c", "pass"),
                run("-c", "import keptd.__main__"),
                ready(Path(folder)),
                ready(Path(folder)),
            )
        for name, one in zip(names, taken, strict=True):
            if number:
                times[name].append(one)
    print(machine())
    for name, measured in times.items():
        aim = f"     (aim: well within {AIM_MS})" if name.startswith("ready") else ""
        print(f"{name:24}{statistics.median(measured):8.1f} ms{aim}")
    found = imports()
    print(f"\nimports, slowed by being timed: {len(found)} modules, {sum(one.alone for one in found) / 1000:.0f} ms")
    print("packages, ms alone:  ", end="")
    print(", ".join(f"{name} {alone / 1000:.1f}" for name, alone in by_package(found).most_common(options.imports)))
    print("modules, ms alone:   ", end="")
    longest = sorted(found, key=lambda one: one.alone, reverse=True)[: options.imports]
    print(", ".join(f"{one.name} {one.alone / 1000:.1f}" for one in longest))


if __name__ == "__main__":
    main()
