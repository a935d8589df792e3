"""What a million memories cost against ten thousand: point read, newest 50, search, context bundle, start.

Fills one home for each size through the store, in large transactions, with texts whose words are spread as in a
language (Zipf), then times the same calls on both in turn, on one core. Prints medians and ratios. Aims at a million:
read, list and bundle at most 1.5 times as long as at ten thousand; any search within 30 ms; start to the first answer
within 0.5 s.

    python tests/bench/million.py [--sizes 10000 1000000] [--folder DIR] [--rounds N]

A folder that is given is kept, and filled only once.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import apsw

from kept.wire import Actor, Call, Read
from kept.wire.context import BundleContext
from kept.wire.memory import GetMemory, ListMemories, SearchMemories, SetMemory
from keptd import component, context, journal, memory, sessions
from keptd.clock import SystemClock
from keptd.config import Config
from keptd.domain import ReadCtx, WriteCtx
from keptd.memory.methods import set_memory
from keptd.store import changes, receipts
from keptd.store.database import open_reader, open_writer
from keptd.store.migrations import migrate

ACTOR = Actor(client="bench", uid=os.getuid(), pid=os.getpid())
DOMAINS = (memory.DOMAIN, journal.DOMAIN, component.DOMAIN, sessions.DOMAIN, context.DOMAIN)
TRANSACTION = 20_000
VOCABULARY = 50_000
WORDS = 12
START_SECONDS = 30

RANKS = {"commonest": 0, "common": 30, "medium": 1000, "rare": 40_000}
"""Words by how often they come, from the first."""


def vocabulary() -> list[str]:
    """Words that look like words, the same in every run."""
    chance = random.Random(1)
    syllables = [first + second for first in "bdfgklmnprstvz" for second in ("a", "e", "i", "o", "u", "an", "or", "il")]
    words: dict[str, None] = {}
    while len(words) < VOCABULARY:
        words["".join(chance.choices(syllables, k=chance.randint(2, 5)))] = None
    return list(words)


def entries(size: int, words: list[str]) -> Iterator[SetMemory]:
    """Memories of an ordinary person, the same in every run."""
    chance = random.Random(2)
    shares = list(itertools.accumulate(1 / (rank + 1) for rank in range(len(words))))
    for number in range(size):
        text = " ".join(chance.choices(words, cum_weights=shares, k=WORDS))
        yield SetMemory(
            key=f"note {number}",
            value={"text": text, "number": number},
            scope="global" if chance.random() < 0.7 else f"p-{chance.randrange(100):08x}",
            category=f"kind {min(int(chance.expovariate(0.3)), 19)}",
            priority=min(10, 1 + int(chance.expovariate(0.4))),
            tags=tuple(f"tag {chance.randrange(200)}" for _ in range(chance.randrange(3))),
            ttl=86_400 * 365 if chance.random() < 0.02 else None,
        )


def fill(home: Path, size: int, words: list[str]) -> None:
    """A home with `size` memories, unless it has them."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    db = open_writer(home / "kept.db")
    clock = SystemClock()
    sets = [("changes", changes.MIGRATIONS), ("receipts", receipts.MIGRATIONS)]
    migrate(db, [*sets, *((domain.name, domain.migrations) for domain in DOMAINS)], clock.now())
    [(present,)] = db.execute("SELECT count(*) FROM memory")
    begin = time.perf_counter()
    wanted = itertools.islice(entries(size, words), present, None)
    while batch := list(itertools.islice(wanted, TRANSACTION)):
        with db:
            for call in batch:
                log = changes.ChangeLog(db, clock.now(), ACTOR, call.method)
                set_memory(WriteCtx(db, clock, ACTOR, Config(), log), call)
        db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    db.close()
    if present < size:
        spent = time.perf_counter() - begin
        bytes_ = (home / "kept.db").stat().st_size
        print(f"filled {size:,}: {spent:.0f} s, {spent / (size - present) * 1e6:.0f} µs each, {bytes_ / 2**20:.0f} MiB")


def reads(words: list[str], size: int) -> dict[str, Read[Any]]:
    """What is timed, by name."""
    searches = {f"search: {name} word": SearchMemories(query=words[rank]) for name, rank in RANKS.items()}
    common, rare = words[RANKS["commonest"]], words[RANKS["medium"]]
    return {
        "point read": GetMemory(key=f"note {size // 2}", scope=_scope_of(size // 2, words)),
        "newest 50": ListMemories(),
        "newest 50 of a category": ListMemories(category="kind 1"),
        "highest 50 of a scope": ListMemories(scope="global", order="priority"),
        "newest 50 of priority 8 up": ListMemories(min_priority=8),
        "first 50 of a key prefix": ListMemories(prefix="note 5"),
        "newest 50 with a tag": ListMemories(tag="tag 7"),
        **searches,
        "search: commonest and medium": SearchMemories(query=f"{common} {rare}"),
        "search: commonest in a scope": SearchMemories(query=common, scope="global"),
        "context bundle": BundleContext(),
    }


def _scope_of(number: int, words: list[str]) -> str:
    return next(itertools.islice(entries(number + 1, words), number, None)).scope


@contextmanager
def reader(home: Path) -> Iterator[Callable[[Call[Any]], Any]]:
    """A function that answers a call from the database of a home, in a transaction."""
    db = open_reader(home / "kept.db")
    handlers = {handler.call: handler.run for domain in DOMAINS for handler in domain.handlers}
    ctx = ReadCtx(db, SystemClock(), ACTOR, Config())
    try:
        yield lambda call: handlers[type(call)](ctx, call)
    finally:
        db.close()


def timed(run: Callable[[], Any]) -> float:
    """Milliseconds that one run takes."""
    begin = time.perf_counter()
    run()
    return (time.perf_counter() - begin) * 1000


def ready(home: Path) -> float:
    """Milliseconds from the start of a daemon on a home until it answers daemon.ping."""
    environment = {**os.environ, "KEPT_HOME": str(home)}
    environment.pop("KEPT_SOCKET", None)
    begin = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "keptd"], env=environment, stderr=subprocess.DEVNULL)
    try:
        while not _answers(home / "run" / "keptd.sock"):
            if process.poll() is not None or time.perf_counter() - begin > START_SECONDS:
                raise SystemExit(f"the daemon did not start (exit code {process.poll()})")
            time.sleep(0.002)
        return (time.perf_counter() - begin) * 1000
    finally:
        process.terminate()
        process.wait()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
        except OSError:
            return False
        connection.sendall(b'{"jsonrpc":"2.0","id":1,"method":"daemon.ping"}\n')
        return "result" in json.loads(connection.makefile().readline() or "{}")


def compare(homes: dict[int, Path], words: list[str], rounds: int) -> None:
    """Print each read's median on every home, and the ratio of the largest to the smallest."""
    print(f"{'median, ms':38}" + "".join(f"{size:>14,}" for size in homes) + f"{'ratio':>8}")
    wanted = {size: reads(words, size) for size in homes}
    for name in next(iter(wanted.values())):
        medians = []
        for size, home in homes.items():
            with reader(home) as answer:
                run = partial(answer, wanted[size][name])
                runs = [timed(run) for _ in range(rounds + 5)][5:]
                medians.append(statistics.median(runs))
        show(name, medians)


def show(name: str, medians: list[float]) -> None:
    """One line of the table."""
    print(f"{name:38}" + "".join(f"{median:>14.4f}" for median in medians) + f"{medians[-1] / medians[0]:>8.2f}")


def main() -> None:
    """Fill, time, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--rounds", type=int, default=201)
    parser.add_argument("--no-daemon", action="store_true", help="leave out the start of a real daemon")
    options = parser.parse_args()
    words = vocabulary()
    with tempfile.TemporaryDirectory(prefix="kept-") as temporary:
        homes = {size: (options.folder or Path(temporary)) / str(size) for size in sorted(options.sizes)}
        for size, home in homes.items():
            fill(home, size, words)
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(cores)})
        compare(homes, words, options.rounds)
        os.sched_setaffinity(0, cores)
        if not options.no_daemon:
            show("start to ready", [statistics.median(ready(home) for _ in range(5)) for home in homes.values()])


if __name__ == "__main__":
    main()
