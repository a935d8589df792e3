"""What kept adds to the start of a shell: from its process to its first prompt, in a real terminal.

Each shell starts with a start-up file that sets a prompt only (absent), and with one that also evaluates
`kept shell-init` while no daemon runs (down; none is started), while one serves (up: the banner is shown), and while
one is stopped (hung). The four take turns on one core. Prints medians, and the differences to `absent`. Last, what
`--log-commands` adds to a prompt: a command that does nothing, with it and without.

    python -m tests.bench.shells [--rounds N]
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from ..kept.shells.in_terminal import SHELLS, Account, Terminal
from ._daemon import machine, pin_to_one_core

CASES = ("absent", "down", "up", "hung")
COMMANDS = 50


def milliseconds(account: Account, shell: str) -> float:
    """From the start of the terminal to the prompt."""
    begin = time.perf_counter()
    with Terminal(account, shell) as terminal:
        terminal.prompt()
        return (time.perf_counter() - begin) * 1000


def starts(folder: Path, shell: str, rounds: int) -> dict[str, float]:
    """The medians of each case."""
    accounts = {}
    around: dict[str, Callable[[], AbstractContextManager[None]]] = dict.fromkeys(CASES, nullcontext)
    for case in CASES:
        (folder / case).mkdir(mode=0o700)
        account = accounts[case] = Account(folder / case)
        account.starts(shell, flags="--no-start")
        if case in ("up", "hung"):
            account.knows("use SQLite")
    file = next(path for path in accounts["absent"].folder.rglob("*") if "shell-init" in _text(path))
    file.write_text("\n".join(line for line in file.read_text().splitlines() if "shell-init" not in line))
    around["hung"] = accounts["hung"].stopped
    times: dict[str, list[float]] = {case: [] for case in CASES}
    try:
        for number in range(rounds + 2):
            for case in CASES:
                with around[case]():
                    taken = milliseconds(accounts[case], shell)
                if number >= 2:
                    times[case].append(taken)
    finally:
        for account in accounts.values():
            account.end()
    return {case: statistics.median(measured) for case, measured in times.items()}


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() and path.parent.name != "bin" else ""


def prompts(folder: Path, shell: str) -> tuple[float, float]:
    """The medians of a prompt's way back, without the log of commands and with it."""
    account = Account(folder)
    account.knows("use SQLite")
    found = []
    try:
        for flags in ("", "--log-commands"):
            account.starts(shell, flags=f"--no-banner {flags}")
            with Terminal(account, shell) as terminal:
                terminal.prompt()
                times = []
                for _ in range(COMMANDS):
                    begin = time.perf_counter()
                    terminal.runs("true")
                    times.append((time.perf_counter() - begin) * 1000)
                    time.sleep(0.1)
            found.append(statistics.median(times))
    finally:
        account.end()
    return found[0], found[1]


def main() -> None:
    """Measure each shell that is installed, and print."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--rounds", type=int, default=15)
    rounds = options.parse_args().rounds
    pin_to_one_core()
    print(machine())
    print(f"{'start, ms':<10}" + "".join(f"{case:>16}" for case in CASES))
    for shell in filter(shutil.which, SHELLS):
        with tempfile.TemporaryDirectory(prefix="kept-", dir="/tmp") as folder:
            found = starts(Path(folder), shell, rounds)
        cells = [f"{taken:.0f} (+{taken - found['absent']:.0f})" for taken in found.values()]
        print(f"{shell:<10}" + "".join(f"{cell:>16}" for cell in cells))
    print(f"{'prompt, ms':<10}{'without a log':>16}{'with one':>16}")
    for shell in filter(shutil.which, SHELLS):
        with tempfile.TemporaryDirectory(prefix="kept-", dir="/tmp") as folder:
            without, logging = prompts(Path(folder), shell)
        print(f"{shell:<10}{without:>16.1f}{logging:>16.1f}")


if __name__ == "__main__":
    main()
