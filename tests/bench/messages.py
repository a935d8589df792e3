"""What a search over messages costs, for rare and common words, with filters, and for a question.

Fills one home through the room's own functions, in large transactions, with texts whose words are spread as in a
language (Zipf): sessions of 50 messages, a hundred projects. Prints medians; aims at 30 ms.

    python -m tests.bench.messages [--messages N] [--folder DIR] [--rounds N]

A folder that is given is kept, and filled only once.
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path

import apsw

from kept.wire.message import NewMessage, SearchMessages, SendMessage
from kept.wire.session import CreateSession
from keptd.clock import to_time
from keptd.config import Config
from keptd.domain import WriteCtx
from keptd.sessions import DOMAIN
from keptd.sessions.message_methods import send_message
from keptd.sessions.methods import create_session
from keptd.store import changes
from tests.bench.million import RANKS, vocabulary
from tests.rooms import ACTOR, Rooms

SESSION = 50
WORDS = 15
TRANSACTION = 400
MINUTE = 60


def fill(rooms: Rooms, size: int, words: list[str]) -> None:
    """So many messages, unless they are there."""
    [(present,)] = rooms.reader.execute("SELECT count(*) FROM message")
    chance = random.Random(3)
    shares = list(itertools.accumulate(1 / (rank + 1) for rank in range(len(words))))
    db = rooms.writer
    for batch in range(present // SESSION, size // SESSION, TRANSACTION):
        with db:
            for number in range(batch, min(batch + TRANSACTION, size // SESSION)):
                log = changes.ChangeLog(db, rooms.clock.now(), ACTOR, "message.send")
                ctx = WriteCtx(db, rooms.clock, ACTOR, Config(), log)
                call = CreateSession(title=f"talk {number}", project=f"p-{number % 100}", tags=(f"t{number % 5000}",))
                session = create_session(ctx, call)
                said = tuple(
                    NewMessage(
                        role="user" if place % 2 else "assistant",
                        speaker="Ann" if place % 2 else "Bob",
                        content=" ".join(chance.choices(words, cum_weights=shares, k=WORDS)),
                    )
                    for place in range(SESSION)
                )
                send_message(ctx, SendMessage(session_id=session.id, messages=said))
                rooms.clock.advance(10 * MINUTE)
        db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def searches(rooms: Rooms, words: list[str]) -> dict[str, SearchMessages]:
    """What is timed, by name."""
    common, medium = words[RANKS["commonest"]], words[RANKS["medium"]]
    since = to_time(rooms.clock.now() - 30 * 86_400 * 1_000_000)
    several = " ".join(words[rank] for rank in (5, 300, 2000, 9000))
    return {
        **{f"{name} word": SearchMessages(query=words[rank]) for name, rank in RANKS.items()},
        "commonest, of a project": SearchMessages(query=common, project="p-7"),
        "commonest, of a tag": SearchMessages(query=common, tag="t7"),
        "commonest, of a role": SearchMessages(query=common, role="user"),
        "commonest, last 30 days": SearchMessages(query=common, since=since),
        "rare, of a project": SearchMessages(query=medium, project="p-7"),
        "question": SearchMessages(query=f"When did Ann {several}?"),
        "question, of a project": SearchMessages(query=f"When did Ann {several}?", project="p-7"),
        "phrase": SearchMessages(query=f"{common} {words[1]}", syntax="phrase"),
        "prefix of 3 letters": SearchMessages(query=medium[:3], syntax="prefix"),
        "prefix of 2 letters": SearchMessages(query=medium[:2], syntax="prefix"),
    }


def main() -> None:
    """Fill, time, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=500_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    words = vocabulary()
    with tempfile.TemporaryDirectory(prefix="kept-") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        with closing(Rooms(folder, [DOMAIN])) as rooms:
            begin = time.perf_counter()
            fill(rooms, options.messages, words)
            print(f"{options.messages:,} messages; filled in {time.perf_counter() - begin:.0f} s")
            for name, call in searches(rooms, words).items():
                spent = []
                for _ in range(options.rounds):
                    begin = time.perf_counter()
                    rooms(call)
                    spent.append((time.perf_counter() - begin) * 1000)
                print(f"{name:28}{statistics.median(spent):>9.2f} ms")


if __name__ == "__main__":
    main()
