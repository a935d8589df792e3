"""How often a search finds the turn that answers a question: hit@5, hit@10 and MRR, overall and by category.

Reads conversations in LoCoMo's public format (https://github.com/snap-research/locomo): a JSON file, or a folder of
them, with a list of samples, each with `conversation` (`session_1`, `session_1_date_time`, ... whose turns have
`dia_id`, `speaker`, `text`) and `qa` (`question`, `evidence`, `category`). What is not of that form is passed over and
counted; so is a question whose evidence names no turn. Each other question is searched for within its conversation, by
plain FTS5 (any word, BM25), by FTS5 with stems and without stop words, and by kept's `message.search`. Without a
folder, conversations are made up (see `conversations`).

    python -m tests.bench.retrieval [FOLDER] [--seed N]
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections import Counter, defaultdict
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
_TURN = re.compile(r"\bD(\d+):(\d+)\b(?!:)")
"""Also where several stand in one string, but not `D:11:26`, of which nobody can tell which turn is meant."""


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


def load(folder: Path | None, seed: int, skipped: Counter[str]) -> list[Sample]:
    """The samples of a file or a folder, or made-up ones; `skipped` counts what was passed over, by its kind."""
    if folder is None:
        raw = conversations.samples(MADE, seed)
    else:
        raw = []
        for path in sorted(folder.rglob("*.json")) if folder.is_dir() else [folder]:
            raw += _raw(path, skipped)
    if not raw:
        raise SystemExit(f"{folder} has no conversation in LoCoMo's format")
    return [_sample(f"{place}", one, skipped) for place, one in enumerate(raw)]


def _raw(path: Path, skipped: Counter[str]) -> list[dict[str, Any]]:
    """The samples of a file: a list of them, one alone, or an object with one under each name."""
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError:
        skipped["files that are no JSON"] += 1
        return []
    if isinstance(found, dict) and not _is_sample(found):
        found = list(found.values())
    several = found if isinstance(found, list) else [found]
    samples = [one for one in several if _is_sample(one)]
    skipped["samples without a conversation or questions"] += len(several) - len(samples)
    return samples


def _is_sample(one: Any) -> bool:
    return isinstance(one, dict) and isinstance(one.get("conversation"), dict) and isinstance(one.get("qa"), list)


def _sample(name: str, raw: dict[str, Any], skipped: Counter[str]) -> Sample:
    talk = raw["conversation"]
    sessions = []
    ids: set[str] = set()
    for number in sorted(int(key[8:]) for key in talk if re.fullmatch(r"session_\d{1,6}", key)):
        turns = talk[f"session_{number}"]
        said = [turn for turn in map(_said, turns if isinstance(turns, list) else []) if turn and turn.id not in ids]
        skipped["turns without an id or a text"] += (len(turns) if isinstance(turns, list) else 0) - len(said)
        ids.update(turn.id for turn in said)
        if said:
            sessions.append((str(talk.get(f"session_{number}_date_time") or ""), said))
    questions = []
    for one in raw["qa"]:
        text = one.get("question") if isinstance(one, dict) else None
        evidence = _evidence(one) if isinstance(one, dict) else frozenset()
        if not isinstance(text, str) or not text.strip():
            skipped["questions without a text"] += 1
        elif not evidence & ids:
            skipped["questions whose evidence names no turn"] += 1
        else:
            skipped["turns of evidence that are not there"] += len(evidence - ids)
            questions.append(Question(text, evidence & ids, str(one.get("category", ""))))
    return Sample(name, sessions, questions)


def _said(turn: Any) -> Turn | None:
    """A turn, with what is said to be on its picture; None where there is nothing to find, or no way to name it."""
    if not isinstance(turn, dict):
        return None
    caption = turn.get("blip_caption")
    text = f"{turn.get('text') or ''}{f' [{caption}]' if caption else ''}".strip().replace("\0", "")
    named = next(iter(_named(turn.get("dia_id"))), None)
    speaker = " ".join(str(turn.get("speaker") or "").split()) or "unknown"
    return Turn(named, speaker, text) if named and text else None


def _evidence(raw: dict[str, Any]) -> frozenset[str]:
    """The turns that are named: `["D1:3", "D8:6; D9:17"]`, a string instead of a list, or a zero before a number."""
    named = raw.get("evidence")
    return _named(" ".join(map(str, named)) if isinstance(named, list) else named)


def _named(text: Any) -> frozenset[str]:
    return frozenset(f"D{int(session)}:{int(place)}" for session, place in _TURN.findall(str(text or "")))


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
    skipped: Counter[str] = Counter()
    samples = load(options.folder, options.seed, skipped)
    if options.folder is None:
        print("No folder was given: these conversations are made up, and say nothing about others.")
    for what, count in skipped.items():
        if count:
            print(f"passed over: {count:,} {what}")
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
