"""What 100,000 sessions with 5 million messages cost against a thousand sessions: list, last messages, deep page, send,
search.

Fills one home for each size through the store, in large transactions, with texts whose words are spread as in a
language (Zipf). One session has a fifth of all messages. Then times the same calls on both in turn, on one core, and
prints medians and ratios. Aims: list, last 20 messages, page at depth a million, and send at most 1.5 times as long as
at a thousand sessions; any search within 30 ms at the median.

    python -m tests.bench.sessions [--sizes 1000 100000] [--folder DIR] [--rounds N]

A size is a number of sessions; each has 50 messages on average. A folder that is given is kept, and filled only once.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import apsw

from kept.wire import Call
from kept.wire.message import ListMessages, NewMessage, Role, SearchMessages, SendMessage
from kept.wire.session import CreateSession, ListSessions, SearchSessions
from keptd import sessions, trash
from keptd.clock import SystemClock
from keptd.config import Config, Sessions
from keptd.domain import ReadCtx, WriteCtx
from keptd.sessions.message_methods import send_message
from keptd.sessions.methods import create_session
from keptd.store import OWN, changes
from keptd.store.database import open_reader, open_writer
from keptd.store.migrations import migrate

from .million import ACTOR, RANKS, show, timed, vocabulary

DOMAINS = (trash.DOMAIN, sessions.DOMAIN)
EACH = 50
LARGEST = 5
"""One session has this part of all messages: a fifth."""

PROJECTS = 10
TAGS = 10
WORDS = 20
TRANSACTION = 10_000
ROLES: tuple[Role, ...] = ("user", "assistant")
AIM = 1.5

Answer = Callable[[Call[Any]], Any]


def talk(chance: random.Random, words: list[str], shares: list[float], count: int) -> tuple[NewMessage, ...]:
    """So many turns of a conversation."""
    texts = chance.choices(words, cum_weights=shares, k=WORDS * count)
    return tuple(
        NewMessage(role=ROLES[turn % 2], content=" ".join(texts[turn * WORDS : (turn + 1) * WORDS]))
        for turn in range(count)
    )


def fill(home: Path, size: int, words: list[str]) -> None:
    """A home with `size` sessions, unless it has them; the first is the largest."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    clock = SystemClock()
    begin = time.perf_counter()
    with closing(open_writer(home / "kept.db")) as db:
        migrate(db, [*OWN, *((domain.name, domain.migrations) for domain in DOMAINS)], clock.now())
        if db.execute("SELECT count(*) FROM session").get:
            return
        work = _work(size, words, write_to(db))
        while True:
            with db:
                if not sum(itertools.islice(work, TRANSACTION // EACH)):
                    break
            db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    spent = time.perf_counter() - begin
    bytes_ = (home / "kept.db").stat().st_size
    each = spent / (size * EACH) * 1e6
    print(f"filled {size:,} sessions: {spent:.0f} s, {each:.0f} µs a message, {bytes_ / 2**20:.0f} MiB", flush=True)


def _work(size: int, words: list[str], write: Answer) -> Iterator[int]:
    """Makes a session, or adds to the largest one, with each step; gives how many messages that were."""
    chance = random.Random(size)
    shares = list(itertools.accumulate(1 / (rank + 1) for rank in range(len(words))))
    largest = write(CreateSession(title="the largest", project="p-0"))
    apart = size * EACH // LARGEST
    rest = (size * EACH - apart) // (size - 1)
    for number in range(1, size):
        tags = (f"tag {chance.randrange(TAGS)}",)
        begun = write(CreateSession(title=f"session {number}", project=f"p-{chance.randrange(PROJECTS)}", tags=tags))
        write(SendMessage(session_id=begun.id, messages=talk(chance, words, shares, rest)))
        share = apart * number // (size - 1) - apart * (number - 1) // (size - 1)
        if share:
            write(SendMessage(session_id=largest.id, messages=talk(chance, words, shares, share)))
        yield rest + share


def write_to(db: apsw.Connection) -> Answer:
    """A function that carries out a write within the transaction that is open."""
    clock, config = SystemClock(), Config(sessions=Sessions(max_messages=10_000_000, max_bytes=1 << 40))
    run: dict[type[Call[Any]], Callable[[Any, Any], Any]] = {
        CreateSession: create_session,
        SendMessage: send_message,
    }

    def write(call: Call[Any]) -> Any:
        log = changes.ChangeLog(db, clock.now(), ACTOR, call.method)
        return run[type(call)](WriteCtx(db, clock, ACTOR, config, log), call)

    return write


def read_from(db: apsw.Connection) -> Answer:
    """A function that answers a read."""
    handlers = {handler.call: handler.run for domain in DOMAINS for handler in domain.handlers}
    ctx = ReadCtx(db, SystemClock(), ACTOR, Config())
    return lambda call: handlers[type(call)](ctx, call)


def reads(answer: Answer, size: int, words: list[str]) -> dict[str, Call[Any]]:
    """What is timed, by name."""
    largest = answer(SearchSessions(query="the largest")).items[0].id
    depth = size * EACH // LARGEST - 100
    deep = answer(ListMessages(session_id=largest, before=101, limit=50)).next_cursor
    newest = answer(ListSessions(limit=2)).items
    other = next(found.id for found in newest if found.id != largest)
    searches = {f"search: {name} word": SearchMessages(query=words[rank]) for name, rank in RANKS.items()}
    common, medium = words[RANKS["commonest"]], words[RANKS["medium"]]
    return {
        "session.list, 50": ListSessions(),
        "session.list, 50 of a project": ListSessions(project="p-7"),
        "session.list, 50 with a tag": ListSessions(tag="tag 7"),
        "last 20 messages": ListMessages(session_id=other, limit=20),
        "last 20 messages of the largest": ListMessages(session_id=largest, limit=20),
        "50 messages at the far end, by cursor": ListMessages(session_id=largest, cursor=deep),
        "50 messages at the far end, by offset": ListMessages(session_id=largest, offset=depth),
        **searches,
        "search: commonest and medium": SearchMessages(query=f"{common} {medium}"),
        "search: commonest in a session": SearchMessages(query=common, session_id=other),
        "search: commonest in the largest": SearchMessages(query=common, session_id=largest),
        "search: common in a project": SearchMessages(query=words[RANKS["common"]], project="p-7"),
        "search: common with a tag": SearchMessages(query=words[RANKS["common"]], tag="tag 7"),
        "search: titles": SearchSessions(query="session 77"),
    }


def compare_reads(homes: dict[int, Path], words: list[str], rounds: int) -> None:
    """Print each read's median on every home."""
    connections = {size: open_reader(home / "kept.db") for size, home in homes.items()}
    answers = {size: read_from(db) for size, db in connections.items()}
    wanted = {size: reads(answer, size, words) for size, answer in answers.items()}
    for name in next(iter(wanted.values())):
        medians = []
        for size, answer in answers.items():
            run = partial(answer, wanted[size][name])
            medians.append(statistics.median([timed(run) for _ in range(rounds + 3)][3:]))
        show(name, medians)
    for db in connections.values():
        db.close()


def compare_sends(homes: dict[int, Path], words: list[str], rounds: int) -> None:
    """Print the median of a send with its commit, on every home in turn; then of the handler alone."""
    chance = random.Random(7)
    shares = list(itertools.accumulate(1 / (rank + 1) for rank in range(len(words))))
    opened = {size: open_writer(home / "kept.db") for size, home in homes.items()}
    took: dict[int, list[tuple[float, float]]] = {size: [] for size in homes}
    newest = {size: read_from(db)(ListSessions(limit=50)).items for size, db in opened.items()}
    for _ in range(rounds):
        for size, db in opened.items():
            [new] = talk(chance, words, shares, 1)
            call = SendMessage(session_id=chance.choice(newest[size]).id, content=new.content)
            write = write_to(db)
            begin = time.perf_counter()
            with db:
                write(call)
                handled = time.perf_counter()
            took[size].append((time.perf_counter() - begin, handled - begin))
    for name, which in (("message.send, with its commit", 0), ("message.send, without", 1)):
        show(name, [statistics.median(pair[which] for pair in took[size]) * 1000 for size in homes])
    for db in opened.values():
        db.close()


def main() -> None:
    """Fill, time, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 100_000])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--rounds", type=int, default=101)
    options = parser.parse_args()
    words = vocabulary()
    with tempfile.TemporaryDirectory(prefix="kept-") as temporary:
        homes = {size: (options.folder or Path(temporary)) / str(size) for size in sorted(options.sizes)}
        for size, home in homes.items():
            fill(home, size, words)
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        print(f"{'median, ms':38}" + "".join(f"{size:>14,}" for size in homes) + f"{'ratio':>8}")
        compare_reads(homes, words, options.rounds)
        compare_sends(homes, words, options.rounds)


if __name__ == "__main__":
    main()
