"""The vault with 10,000 entries: how long unlocking takes, and what its calls take beside `memory.get`.

Passwords cost what they cost by default (64 MiB, 3 passes, 4 lanes). `vault.retrieve` and `memory.get` alternate in
blocks, so that load hits both alike; printed are medians over the blocks' medians. Aims: unlocked within 1.5 s, and
`vault.retrieve` in at most 3 times what `memory.get` takes.

    python -m tests.bench.vault [--entries N] [--blocks N] [--calls N]
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kept
from kept.client import Client
from kept.wire.memory import GetMemory, SetMemory
from kept.wire.vault import (
    DeleteSecret,
    InitVault,
    ListSecrets,
    LockVault,
    RetrieveSecret,
    RotateKey,
    SearchSecrets,
    StoreSecret,
    UnlockVault,
)

from ._daemon import daemon, environment, machine

UNLOCK_AIM = 1.5
"""Seconds."""

RATIO_AIM = 3.0

PASSWORD = "correct horse battery staple"
UNLOCKS = 7
BATCH = 200

Run = Callable[[], object]


def fill(client: Client, entries: int) -> None:
    """So many entries as people have them, and memories with the same names and values."""
    for begin in range(0, entries, BATCH):
        secrets = [_entry(number) for number in range(begin, min(begin + BATCH, entries))]
        client.batch(secrets)
        client.batch([SetMemory(key=one.name, value=one.value) for one in secrets])


def _entry(number: int) -> StoreSecret:
    return StoreSecret(
        name=f"account {number} at service {number % 97}",
        value=f"token-{number:08}-" + "x" * 40,
        category=("credential", "private", "finance")[number % 3],
        tags=(f"team-{number % 13}", "production"),
        metadata={"user": f"user{number}@example.org", "url": f"https://service{number % 97}.example.org/login"},
    )


def seconds(run: Run) -> float:
    """How long it takes."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def medians(subjects: dict[str, Run], blocks: int, calls: int) -> dict[str, float]:
    """The median over the blocks' medians of each subject, in µs, after one block that doesn't count."""
    found: dict[str, list[float]] = {name: [] for name in subjects}
    for block in range(blocks + 1):
        for name, run in subjects.items():
            median = statistics.median(seconds(run) for _ in range(calls)) * 1e6
            if block:
                found[name].append(median)
    return {name: statistics.median(measured) for name, measured in found.items()}


def unlocks(client: Client) -> list[float]:
    """How long each of several unlocks takes, from locked to unlocked."""
    measured = []
    for _ in range(UNLOCKS):
        client.call(LockVault())
        measured.append(seconds(lambda: client.call(UnlockVault(password=PASSWORD))))
    return measured


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--entries", type=int, default=10_000)
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--calls", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kept-") as folder:
        home = Path(folder)
        with (
            daemon(home, f"vault.max_entries={options.entries + 1000}"),
            kept.connect(environ=environment(home), start=False) as client,
        ):
            client.call(InitVault(password=PASSWORD))
            filled = seconds(lambda: fill(client, options.entries))
            unlocked = statistics.median(unlocks(client))
            print(machine())
            print(f"{options.entries} entries and as many memories stored in {filled:.1f} s, {BATCH} calls at a time")
            print(f"unlock                    {unlocked:8.2f} s      (aim: at most {UNLOCK_AIM} s)")
            times = medians(_subjects(client, options.entries), options.blocks, options.calls)
            for name, median in times.items():
                print(f"{name:26}{median:8.1f} µs")
            ratio = times["vault.retrieve"] / times["memory.get"]
            print(f"ratio, retrieve to get    {ratio:8.2f}        (aim: at most {RATIO_AIM})")
            for name, times_of in medians(_slow(client, options.entries), 3, 20).items():
                print(f"{name:26}{times_of / 1000:8.2f} ms")
            print(f"rotate                    {seconds(lambda: client.call(RotateKey(password=PASSWORD))):8.2f} s")


def _subjects(client: Client, entries: int) -> dict[str, Run]:
    names = [_entry(number).name for number in range(0, entries, 7)]
    gets = itertools.cycle([GetMemory(key=name) for name in names])
    retrieves = itertools.cycle([RetrieveSecret(id=name) for name in names])
    return {
        "memory.get": lambda: client.call(next(gets)),
        "vault.retrieve": lambda: client.call(next(retrieves)),
    }


def _slow(client: Client, entries: int) -> dict[str, Run]:
    names = itertools.count(entries)
    stored: list[Any] = []
    return {
        "vault.store": lambda: stored.append(client.call(_entry(next(names)))),
        "vault.delete": lambda: client.call(DeleteSecret(id=stored.pop().id)) if stored else None,
        "vault.search": lambda: client.call(SearchSecrets(query="user77 service")),
        "vault.list": lambda: client.call(ListSecrets(limit=50)),
        "vault.list, one category": lambda: client.call(ListSecrets(limit=50, category="finance", prefix="account 9")),
    }


if __name__ == "__main__":
    main()
