"""How often a search finds the turn that answers a question: hit@5, hit@10 and MRR, overall and by category.

Reads conversations in LoCoMo's public format (https://github.com/snap-research/locomo): a JSON file, or a folder of
them, with a list of samples, each with `conversation` (`session_1`, `session_1_date_time`, ... whose turns have
`dia_id`, `speaker`, `text`) and `qa` (`question`, `evidence`, `category`). Each question is searched for within its
conversation, by plain FTS5 (any word, BM25), by FTS5 with stems and without stop words, and by kept's `message.search`.
Without a folder, conversations are made up (see `conversations`).

    python -m tests.bench.retrieval [FOLDER] [--seed N]
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from kept.wire.message import NewMessage, SearchMessages, SendMessage
from kept.wire.session import CreateSession
from keptd.sessions import DOMAIN
from keptd.store.english import is_stop_word
from tests.bench import conversations
from tests.rooms import Rooms

DEPTH = 10
MADE = 10
QUERY_CHARACTERS = 1000
_TIMES = ("%I:%M %p on %d %B, %Y", "%I:%M %p on %d %B %Y")
_TURN = re.compile(r"D\d+:\d+")


class Turn(NamedTuple):
    """One message: its id in the set, and what was said."""

    id: str
    speaker: str
    text: str


class Question(NamedTuple):
    """A question, the turns that answer it, and its kind."""

    text: str
    evidence: frozenset[str]
    category: str


class Sample(NamedTuple):
    """One conversation: its sessions, each with its date as text, and the questions about it."""

    name: str
    sessions: list[tuple[str, list[Turn]]]
    questions: list[Question]


Search = Callable[[str, str], Sequence[str]]
"""From a sample's name and a question to the ids of turns, best first."""


def load(folder: Path | None, seed: int) -> list[Sample]:
    """The samples of a file or a folder, or made-up ones."""
    if folder is None:
        raw = conversations.samples(MADE, seed)
    else:
        raw = []
        for path in sorted(folder.rglob("*.json")) if folder.is_dir() else [folder]:
            found = json.loads(path.read_text(encoding="utf-8"))
            raw += [one for one in (found if isinstance(found, list) else [found]) if _is_sample(one)]
    if not raw:
        raise SystemExit(f"{folder} has no conversation in LoCoMo's format")
    return [_sample(f"{place}", one) for place, one in enumerate(raw)]


def _is_sample(one: Any) -> bool:
    return isinstance(one, dict) and isinstance(one.get("conversation"), dict) and isinstance(one.get("qa"), list)


def _sample(name: str, raw: dict[str, Any]) -> Sample:
    talk = raw["conversation"]
    sessions = []
    for number in range(1, len(talk)):
        turns = talk.get(f"session_{number}")
        if isinstance(turns, list) and turns:
            said = [Turn(str(turn["dia_id"]), str(turn["speaker"]), _text(turn)) for turn in turns]
            sessions.append((str(talk.get(f"session_{number}_date_time", "")), said))
    ids = {turn.id for _, turns in sessions for turn in turns}
    questions = [
        Question(str(one["question"]), _evidence(one) & ids, str(one.get("category", ""))) for one in raw["qa"]
    ]
    return Sample(name, sessions, [one for one in questions if one.evidence])


def _text(turn: dict[str, Any]) -> str:
    caption = turn.get("blip_caption")
    return f"{turn.get('text', '')} [{caption}]" if caption else str(turn.get("text", ""))


def _evidence(raw: dict[str, Any]) -> frozenset[str]:
    """The turns that are named, also where several are in one string or a number has a zero before it."""
    named = _TURN.findall(" ".join(map(str, raw.get("evidence") or ())))
    return frozenset(re.sub(r":0+(?=\d)", ":", one) for one in named)


def plain(samples: Iterable[Sample], tokenizer: str, *, stop: bool) -> Search:
    """FTS5 alone: any of the words, ranked by BM25."""
    databases = {}
    for sample in samples:
        db = apsw.Connection(":memory:")
        db.execute(f"CREATE VIRTUAL TABLE turn USING fts5(id UNINDEXED, text, tokenize='{tokenizer}')")
        for _, turns in sample.sessions:
            db.executemany("INSERT INTO turn VALUES (?, ?)", [(one.id, f"{one.speaker}: {one.text}") for one in turns])
        databases[sample.name] = db

    def search(name: str, question: str) -> list[str]:
        words = re.findall(r"\w+", question)
        telling = [word for word in words if not (stop and is_stop_word(word))] or words
        match = " OR ".join(f'"{word}"' for word in telling)
        sql = f"SELECT id FROM turn WHERE turn MATCH ? ORDER BY rank LIMIT {DEPTH}"
        return [str(id_) for (id_,) in databases[name].execute(sql, (match,))]

    return search


def kept(samples: Iterable[Sample], rooms: Rooms) -> Search:
    """`message.search`, within the project that has the conversation. Messages are sent at the set's times."""
    ids: dict[str, str] = {}
    for sample in samples:
        for date, turns in sample.sessions:
            rooms.clock.micros = _micros(date) or rooms.clock.micros
            session = rooms(CreateSession(title=date or None, project=sample.name))
            said = tuple(NewMessage(role="user", speaker=one.speaker, content=one.text) for one in turns)
            sent = rooms(SendMessage(session_id=session.id, messages=said))
            ids.update(zip(sent.ids, (one.id for one in turns), strict=True))

    def search(name: str, question: str) -> list[str]:
        query = question[:QUERY_CHARACTERS]
        return [ids[one.id] for one in rooms(SearchMessages(query=query, project=name, limit=DEPTH)).items]

    return search


def _micros(date: str) -> int | None:
    for form in _TIMES:
        try:
            return int(datetime.strptime(date, form).replace(tzinfo=UTC).timestamp()) * 1_000_000
        except ValueError:
            continue
    return None


def measure(samples: Iterable[Sample], search: Search) -> dict[str, list[int]]:
    """For each category and for all: the place of the first turn that answers, from 1; 0 where there is none."""
    places: dict[str, list[int]] = defaultdict(list)
    for sample in samples:
        for question in sample.questions:
            found = search(sample.name, question.text)
            place = next((place for place, one in enumerate(found, 1) if one in question.evidence), 0)
            places["all"].append(place)
            places[question.category].append(place)
    return dict(sorted(places.items()))


def lines(name: str, places: dict[str, list[int]]) -> Iterator[str]:
    """The rows of the table for one way of searching."""
    for category, found in places.items():
        rates = [sum(0 < place <= depth for place in found) / len(found) for depth in (5, DEPTH)]
        rank = sum(1 / place for place in found if place) / len(found)
        yield f"{name:22}{category:>9}{len(found):>10}{rates[0]:>8.3f}{rates[1]:>8.3f}{rank:>8.3f}"


def main() -> None:
    """Load, search, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    samples = load(options.folder, options.seed)
    if options.folder is None:
        print("No folder was given: these conversations are made up, and say nothing about others.")
    with tempfile.TemporaryDirectory(prefix="kept-") as folder, closing(Rooms(Path(folder), [DOMAIN])) as rooms:
        ways = {
            "FTS5": plain(samples, "unicode61", stop=False),
            "FTS5 stems, stop words": plain(samples, "porter unicode61", stop=True),
            "message.search": kept(samples, rooms),
        }
        print(f"{'':22}{'category':>9}{'questions':>10}{'hit@5':>8}{'hit@10':>8}{'MRR':>8}")
        for name, search in ways.items():
            print("\n".join(lines(name, measure(samples, search))))


if __name__ == "__main__":
    main()
