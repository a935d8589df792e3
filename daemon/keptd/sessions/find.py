"""The searches: which rows count, what the indexes find, and the second ranking of messages. All of their SQL.

What narrows a search is a facet of the index where it can be: role, speaker and month of a message, and its session. A
project or a tag stands for its sessions, up to `SESSIONS` of them; for more, and for exact times, the hits are looked
at one by one before they are ranked.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import apsw
import msgspec

from kept.wire.message import FOUND_CHARACTERS, FoundMessage, SearchMessages
from kept.wire.session import FoundSession, SearchSessions

from ..clock import to_micros, to_time
from ..store import queries, scripts
from ..store.search import Gathered, Narrow
from ..store.snippets import snippet
from . import messages, ranking, store
from .ranking import Asked, Ranked, Turn
from .rows import MESSAGE, SESSION, MessageRow, SessionRow, message, session
from .schema import MESSAGE_TEXT, SESSION_TEXT

SESSIONS = 300
"""Sessions that a search in the index can be narrowed to, or kept out of."""

MONTHS = 24
"""Months that a search in the index can be narrowed to."""

_METADATA_BYTES = 1000
"""Metadata of a message above which a result leaves it out."""

_TEXT_CHARACTERS = 2000
_TITLES = 100

_ELSEWHERE = f"SELECT seq FROM session WHERE place IN ('trash', 'staged', 'going') LIMIT {SESSIONS + 1}"
_HAS_TAG = "EXISTS (SELECT 1 FROM session_tag AS t WHERE t.tag = ? AND t.session = s.seq)"
_IN_PROJECT = (
    "SELECT s.seq FROM session AS s WHERE s.project = :project AND s.place = 'here' "
    "AND (:tag IS NULL OR EXISTS (SELECT 1 FROM session_tag AS t WHERE t.tag = :tag AND t.session = s.seq)) "
    f"LIMIT {SESSIONS + 1}"
)
_TAGGED = (
    "SELECT s.seq FROM session_tag AS t CROSS JOIN session AS s ON s.seq = t.session "
    f"WHERE t.tag = :tag AND s.place = 'here' LIMIT {SESSIONS + 1}"
)
_PLACES = "SELECT m.session, m.number FROM json_each(?) AS w CROSS JOIN message AS m ON m.seq = w.value"
_TURNS = (
    "SELECT m.seq, m.session, m.number, m.role, m.speaker, m.created_at, "
    f"substr(m.content, 1, {_TEXT_CHARACTERS}) "
    "FROM json_each(?) AS w CROSS JOIN message AS m "
    "ON m.session = json_extract(w.value, '$[0]') AND m.number = json_extract(w.value, '$[1]')"
)
_ABOUT = "SELECT s.seq, s.title FROM json_each(?) AS w CROSS JOIN session AS s ON s.seq = w.value"
_MESSAGE = (
    f"SELECT s.id, {MESSAGE} FROM message AS m JOIN session AS s ON s.seq = m.session "
    "WHERE m.seq = ? AND s.place = 'here'"
)
_OF_SESSION = (
    "EXISTS (SELECT 1 FROM message AS m INDEXED BY message_in_brief CROSS JOIN session AS s ON s.seq = m.session "
    "WHERE m.seq = {{table}}.rowid AND {where})"
)
_SESSION = f"SELECT {SESSION} FROM session AS s WHERE s.seq = ? AND s.place = 'here'"

_encode = msgspec.json.Encoder().encode


def found_messages(db: apsw.Connection, call: SearchMessages) -> Iterator[FoundMessage]:
    """Up to `call.limit` messages that fit, best first.

    Raises `NotFound` for the session, and `InvalidParams` for a bad FTS5 expression.
    """
    narrow = messages_that_count(db, call)
    if narrow is None:
        return
    gathered = MESSAGE_TEXT.gather(db, call.query, syntax=call.syntax, narrow=narrow)
    for seq, score in _ranked(db, call, gathered)[call.offset : call.offset + call.limit]:
        for session_id, *row in db.execute(_MESSAGE, (seq,)):
            yield _found(db, MessageRow._make(row), str(session_id), score, call)


def found_sessions(db: apsw.Connection, call: SearchSessions) -> Iterator[FoundSession]:
    """Up to `call.limit` sessions that fit, best first. Raises `InvalidParams` for a bad FTS5 expression."""
    facets = () if call.project is None else (store.project_facet(call.project),)
    narrow = _sessions_that_count(call)
    found = SESSION_TEXT.search(db, call.query, syntax=call.syntax, facets=facets, narrow=narrow)
    hits = found[call.offset : call.offset + call.limit]
    there = store.attached(db, [hit.rowid for hit in hits])
    for seq, score, _ in hits:
        for row in map(SessionRow._make, db.execute(_SESSION, (seq,))):
            shown = session(row, there.get(seq, ()))
            text = "\n".join(part for part in (row.title, row.summary, " ".join(shown.tags)) if part)
            yield FoundSession(
                **msgspec.structs.asdict(shown), score=score, snippet=snippet(db, text, call.query, call.syntax)
            )


def messages_that_count(db: apsw.Connection, call: SearchMessages) -> Narrow | None:
    """Which messages a search is about; None where there is none. Raises `NotFound` for the session."""
    within = _sessions_of(db, call)
    if within is None:
        return None
    groups = [*within.facets, *_months(call.since, call.until)]
    if call.role is not None:
        groups.append((messages.role_facet(call.role),))
    if call.speaker is not None:
        groups.append((messages.speaker_facet(call.speaker),))
    where = [_OF_SESSION.format(where=within.where)] if within.where else []
    given = [*within.given]
    for bound, compares in ((call.since, ">="), (call.until, "<")):
        if bound is not None:
            where.append(
                f"EXISTS (SELECT 1 FROM message AS m WHERE m.seq = {{table}}.rowid AND m.created_at {compares} ?)"
            )
            given.append(to_micros(bound))
    return Narrow(tuple(groups), within.without, " AND ".join(where), tuple(given))


def _sessions_of(db: apsw.Connection, call: SearchMessages) -> Narrow | None:
    """The sessions that a search is about; None where there is none."""
    if call.session_id is not None:
        own = store.find(db, call.session_id).seq
        return Narrow(((messages.session_facet(own),),)) if _belongs(db, own, call) else None
    if call.project is None and call.tag is None:
        elsewhere = _facets(db, _ELSEWHERE, {})
        return Narrow(where="s.place = 'here'") if len(elsewhere) > SESSIONS else Narrow(without=elsewhere)
    sql = _TAGGED if call.project is None else _IN_PROJECT
    own_ones = _facets(db, sql, {"project": call.project, "tag": call.tag})
    if len(own_ones) <= SESSIONS:
        return Narrow((own_ones,)) if own_ones else None
    where, given = ["s.place = 'here'"], []
    if call.project is not None:
        where.append("s.project = ?")
        given.append(call.project)
    if call.tag is not None:
        where.append(_HAS_TAG)
        given.append(call.tag)
    return Narrow(where=" AND ".join(where), given=tuple(given))


def _facets(db: apsw.Connection, sql: str, given: dict[str, str | None]) -> tuple[str, ...]:
    rows: list[tuple[Any, ...]] = db.execute(sql, given).fetchall()
    return tuple(messages.session_facet(seq) for (seq,) in rows)


def _belongs(db: apsw.Connection, own: int, call: SearchMessages) -> bool:
    sql = (
        "SELECT 1 FROM session AS s WHERE s.seq = :seq AND (:project IS NULL OR s.project = :project) "
        "AND (:tag IS NULL OR EXISTS (SELECT 1 FROM session_tag AS t WHERE t.tag = :tag AND t.session = s.seq))"
    )
    return db.execute(sql, {"seq": own, "project": call.project, "tag": call.tag}).fetchone() is not None


def _months(since: datetime | None, until: datetime | None) -> list[tuple[str, ...]]:
    """The months of a time that has both ends, where they are few."""
    if since is None or until is None or since >= until:
        return []
    first, last = to_micros(since), to_micros(until) - 1
    begin, end = to_time(first), to_time(last)
    count = (end.year - begin.year) * 12 + end.month - begin.month + 1
    if count > MONTHS:
        return []
    places = range(begin.year * 12 + begin.month - 1, begin.year * 12 + begin.month - 1 + count)
    return [tuple(messages.month_name(place // 12, place % 12 + 1) for place in places)]


def _sessions_that_count(call: SearchSessions) -> Narrow:
    where = ["s.seq = {table}.rowid"]
    given: list[str] = []
    if call.status is not None:
        where.append("s.status = ?")
        given.append(call.status)
    if call.tag is not None:
        where.append(_HAS_TAG)
        given.append(call.tag)
    sql = f"EXISTS (SELECT 1 FROM session AS s WHERE {' AND '.join(where)})" if given else ""
    return Narrow(where=sql, given=tuple(given))


def _ranked(db: apsw.Connection, call: SearchMessages, gathered: Gathered) -> Sequence[Ranked]:
    """The hits, and what a conversation's structure makes of the best of them where a question is asked."""
    if call.syntax != "words" or not ranking.is_question(call.query, len(gathered.words)):
        return [Ranked(hit.rowid, hit.score) for hit in gathered.hits[: call.offset + call.limit]]
    asked = Asked(
        call.query,
        [word.idf for word in gathered.words],
        [frozenset(form.stems[0] for form in word.term.forms if len(form.stems) == 1) for word in gathered.words],
    )
    turns = _turns(db, gathered)
    cut = queries.tokenizer(db)

    @functools.cache
    def stems(text: str) -> Sequence[str]:
        return queries.stems(cut, scripts.prepared(text))

    shown = {turn.seq for turn in turns if _fits(call, turn)}
    best = ranking.rank(asked, turns, _about(db, asked, turns, stems), stems)
    best = [one for one in best if one.seq in shown]
    last = best[-1].score if best else 0.0
    ranked = {one.seq for one in best}
    rest = (hit for hit in gathered.hits if hit.rowid not in ranked)
    return best + [Ranked(hit.rowid, min(hit.score, last)) for hit in rest]


def _turns(db: apsw.Connection, gathered: Gathered) -> list[Turn]:
    """The best hits, and the turns around them."""
    hits = {hit.rowid: hit for hit in gathered.hits}
    best = _encode([hit.rowid for hit in gathered.hits[: ranking.TOP]]).decode()
    reach = range(-ranking.REACH, ranking.REACH + 1)
    wanted = {(own, number + step) for own, number in db.execute(_PLACES, (best,)) for step in reach}
    turns = []
    for seq, own, number, role, speaker, at, text in db.execute(_TURNS, (_encode(sorted(wanted)).decode(),)):
        hit = hits.get(seq)
        day = to_time(at)
        turns.append(
            Turn(
                seq,
                own,
                number,
                role,
                speaker,
                text,
                (day.year, day.month, day.day),
                at,
                hit.score if hit else 0.0,
                hit.terms if hit else 0,
            )
        )
    return turns


def _about(db: apsw.Connection, asked: Asked, turns: Iterable[Turn], stems: Any) -> dict[int, int]:
    """The terms that each session has, in what was found or in its title."""
    about: dict[int, int] = {}
    for turn in turns:
        about[turn.session] = about.get(turn.session, 0) | turn.terms
    some = _encode(list(about)[:_TITLES]).decode()
    for own, title in db.execute(_ABOUT, (some,)):
        has = set(stems(title))
        about[own] |= sum(1 << place for place, forms in enumerate(asked.stems) if not has.isdisjoint(forms))
    return about


def _fits(call: SearchMessages, turn: Turn) -> bool:
    """Whether a neighbour of a hit, of the same session, is within the filters itself."""
    return (
        (call.role is None or turn.role == call.role)
        and (call.speaker is None or (turn.speaker or "").casefold() == call.speaker.casefold())
        and (call.since is None or turn.sent_at >= to_micros(call.since))
        and (call.until is None or turn.sent_at < to_micros(call.until))
    )


def _found(db: apsw.Connection, row: MessageRow, session_id: str, score: float, call: SearchMessages) -> FoundMessage:
    """A message as a result shows it: no more of it than a reader can look through."""
    whole = message(row, session_id)
    fields = msgspec.structs.asdict(whole)
    is_large = len(row.metadata) > _METADATA_BYTES
    if is_large:
        fields["metadata"] = None
    fields["content"] = whole.content[:FOUND_CHARACTERS]
    return FoundMessage(
        **fields,
        score=score,
        snippet=snippet(db, whole.content, call.query, call.syntax),
        cut=is_large or len(whole.content) > FOUND_CHARACTERS,
    )
