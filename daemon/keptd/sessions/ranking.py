"""How well turns of a conversation answer a question: a second look at the best hits of the index. Pure; no SQL.

The index scores a turn by its own words. A conversation has more: the question before an answer says what the answer is
about, who is asked about is mostly the one who speaks, "when" is answered with a time. Words of the query that a turn
doesn't have itself it borrows from its neighbours, at a part of their weight; then what is known about the turn as a
whole raises or lowers the sum.

The constants were chosen on conversations that `tests/bench/conversations.py` makes (six of seed 11), each by itself,
and then kept milder than what was best there, since conversations of people are less regular.
`tests/bench/retrieval.py` measures them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

TOP = 150
"""Hits that are looked at again: the best."""

REACH = 2
"""How many turns before and after one lend it words."""

QUESTION_TERMS = 4
"""Terms from which on a query counts as a question without looking like one."""

AFTER_QUESTION = 0.8
BEFORE = 0.35
AFTER = 0.3
FURTHER = 0.15
SESSION = 0.1
"""What a word that is borrowed counts: from a question just before, from another turn just before or after, from one
further off, from anywhere in the session or its title."""

SPEAKER = 0.4
"""Added for who is named in the question."""

TIME = 0.2
NUMBER = 0.1
"""Added for a turn that has a time where one is asked for, or a number."""

DATE = 0.5
"""Added where the turn was said at the date that is named."""

PAIR = 0.1
"""Added for each two words of the query that follow one another in the turn as they do there."""

COVERED = 0.2
"""Added for a turn with all of the words; of one with some, their share by weight."""

ASKING = 0.3
"""Taken from a turn that is a question itself: what it asks for is in another."""

SHORT = 0.25
SHORT_CHARACTERS = 40
"""Taken from a turn that has little room for an answer."""

ENDING = 200
"""Characters at the end of a turn in which a question counts as put to the next one: people add a sentence to it."""

_QUESTION = re.compile(
    r"^\W*(who|whom|whose|what|when|where|which|why|how|did|does|do|is|are|was|were|has|have|had|can|could|would|will)\b"
    r"|\?\s*$",
    re.IGNORECASE,
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    "(jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    "|nov(?:ember)?|dec(?:ember)?)"
)
_DAY = r"([0-3]?\d)(?:st|nd|rd|th)?"
_YEAR = r"((?:19|20)\d\d)"
_DATES = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"\b{_DAY}(?: of)? {_MONTH}\b(?:,? {_YEAR}\b)?",
        rf"\b{_MONTH} {_DAY}\b(?:,? {_YEAR}\b)?",
        rf"\b(?:in|of|during|since|last|this|early|late|mid) {_MONTH}\b(?:,? {_YEAR}\b)?",
        rf"\b{_MONTH},? {_YEAR}\b",
        rf"\b{_YEAR}-([01]\d)-([0-3]\d)\b",
        rf"\b{_YEAR}\b",
    )
)
_ASKS_TIME = re.compile(
    r"\bwhen\b|\b(what|which) (date|day|year|month|week|time)\b|\bhow (long|recently)\b", re.IGNORECASE
)
_ASKS_NUMBER = re.compile(r"\bhow (many|much|old|often|long|far|tall|big)\b", re.IGNORECASE)
_TIME = re.compile(
    r"\b(yesterday|today|tonight|tomorrow|ago|recently|weekend|"
    r"(last|next|this|past|previous|following) (night|week|weekend|month|year|summer|winter|spring|fall|autumn)|"
    r"(mon|tues|wednes|thurs|fri|satur|sun)day|morning|afternoon|evening|"
    r"january|february|march|april|june|july|august|september|october|november|december|"
    r"(19|20)\d\d|(seconds?|minutes?|hours?|days?|weeks?|months?|years?))\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"\d|\b(one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozen|hundred|thousand|once|twice|couple"
    r"|several|every)\b",
    re.IGNORECASE,
)
_PREFIX = re.compile(r"^\s*([^\W\d_][\w.'-]*(?: [\w.'-]+){0,2}):\s")
_WORD = re.compile(r"\w+")


class Turn(NamedTuple):
    """A message as the ranking sees it: `text` is its beginning, `day` year, month and day, `sent_at` microseconds,
    `terms` the bits of the query's terms that it has, and `score` what the index says: 0 for one that has none."""

    seq: int
    session: int
    number: int
    role: str
    speaker: str | None
    text: str
    day: tuple[int, int, int]
    sent_at: int
    score: float
    terms: int


class Ranked(NamedTuple):
    """A message, and how well it fits: higher is better."""

    seq: int
    score: float


class Date(NamedTuple):
    """A date as far as it is named."""

    year: int | None
    month: int | None
    day: int | None

    def fits(self, day: tuple[int, int, int]) -> bool:
        """Whether a day may be the one that is meant."""
        return all(named is None or named == found for named, found in zip(self, day, strict=True))


class Asked(NamedTuple):
    """A query as the ranking sees it: the weight of each term, and the stems that a turn has for it in their order."""

    query: str
    weights: Sequence[float]
    stems: Sequence[Collection[str]]


def is_question(query: str, terms: int) -> bool:
    """Whether neighbours of what has the words are wanted as well; one who types two words wants to see them."""
    return terms >= QUESTION_TERMS or (terms > 1 and _QUESTION.search(query) is not None)


def dates(query: str) -> list[Date]:
    """The dates that are named, as far as they are."""
    found: list[Date] = []
    for place, form in enumerate(_DATES):
        for match in form.finditer(query):
            one = _date(place, match.groups())
            if not any(_says_more(other, one) for other in found):
                found.append(one)
    return found


def _date(form: int, groups: tuple[str | None, ...]) -> Date:
    year, month, day = None, None, None
    if form == 0:
        day, month, year = groups
    elif form == 1:
        month, day, year = groups
    elif form in (2, 3):
        month, year = groups
    elif form == 4:
        year, month, day = groups
    else:
        (year,) = groups
    return Date(_number(year), _month(month), _number(day))


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _month(text: str | None) -> int | None:
    if text is None or text.isdigit():
        return _number(text)
    return _MONTHS.index(text[:3].lower()) + 1


def _says_more(other: Date, one: Date) -> bool:
    return all(named is None or named == also for named, also in zip(one, other, strict=True))


def rank(
    asked: Asked, turns: Iterable[Turn], about: Mapping[int, int], stems: Callable[[str], Sequence[str]]
) -> list[Ranked]:
    """The turns that have a word of the query, or a neighbour that has one: best first, newest first where they fit
    alike.

    `turns` are the hits and what is within `REACH` of them; `about` has the terms of each session as a whole; `stems`
    gives the stems of a text in order.
    """
    found = {(turn.session, turn.number): turn for turn in turns}
    view = _View(
        asked,
        found,
        about,
        stems,
        frozenset(word.lower() for word in _WORD.findall(asked.query)),
        dates(asked.query),
        sum(asked.weights) or 1.0,
        _ASKS_TIME.search(asked.query) is not None,
        _ASKS_NUMBER.search(asked.query) is not None,
    )
    ranked = [Ranked(turn.seq, _fit(view, turn)) for turn in found.values()]
    ranked.sort(key=lambda one: (-one.score, -one.seq))
    return [one for one in ranked if one.score > 0]


class _View(NamedTuple):
    """All that the score of one turn depends on."""

    asked: Asked
    turns: Mapping[tuple[int, int], Turn]
    about: Mapping[int, int]
    stems: Callable[[str], Sequence[str]]
    words: frozenset[str]
    dates: Sequence[Date]
    whole: float
    asks_time: bool
    asks_number: bool


def _fit(view: _View, turn: Turn) -> float:
    score = turn.score + _borrowed(view, turn)
    factor = 1.0 + COVERED * _weight(view, turn.terms) / view.whole
    speaker = speaker_of(turn)
    if speaker is not None and view.words.intersection(map(str.lower, _WORD.findall(speaker))):
        factor += SPEAKER
    if view.asks_time and _TIME.search(turn.text):
        factor += TIME
    if view.asks_number and _NUMBER.search(turn.text):
        factor += NUMBER
    if any(date.fits(turn.day) for date in view.dates):
        factor += DATE
    if turn.terms & (turn.terms - 1):
        factor += PAIR * _pairs(view, turn)
    if asks(turn):
        factor -= ASKING
    if len(turn.text) < SHORT_CHARACTERS:
        factor -= SHORT
    return score * factor


def _borrowed(view: _View, turn: Turn) -> float:
    """What the words count that the turn has from its neighbours: each once, from the one that lends most."""
    lenders: list[tuple[float, int]] = []
    for distance in range(-REACH, REACH + 1):
        near = view.turns.get((turn.session, turn.number + distance))
        if near is not None and near.terms and distance:
            lenders.append((_part(near, turn, distance), near.terms))
    if not lenders and not turn.terms:
        return 0.0
    lenders.append((SESSION, view.about.get(turn.session, 0)))
    lenders.sort(reverse=True)
    score, had = 0.0, turn.terms
    for part, terms in lenders:
        score += part * _weight(view, terms & ~had)
        had |= terms
    return score


def _part(near: Turn, turn: Turn, distance: int) -> float:
    if distance == -1:
        return AFTER_QUESTION if _puts_question(near) and speaker_of(near) != speaker_of(turn) else BEFORE
    return AFTER if distance == 1 else FURTHER


def _weight(view: _View, terms: int) -> float:
    return sum(weight for place, weight in enumerate(view.asked.weights) if terms >> place & 1)


def _pairs(view: _View, turn: Turn) -> int:
    """How many neighbouring terms of the query are neighbours in the turn, in the same order."""
    wanted = [place for place in range(len(view.asked.stems) - 1) if turn.terms >> place & 3 == 3]
    if not wanted:
        return 0
    stems = view.stems(turn.text)
    follow = set(pairwise(stems))
    return sum(
        any((first, second) in follow for first in view.asked.stems[place] for second in view.asked.stems[place + 1])
        for place in wanted
    )


def asks(turn: Turn) -> bool:
    """Whether a turn ends in a question."""
    return turn.text.rstrip().endswith(("?", "\uff1f"))


def _puts_question(turn: Turn) -> bool:
    """Whether a turn has a question that the next may answer: unlike `asks`, something may follow it."""
    return any(mark in turn.text[-ENDING:] for mark in ("?", "\uff1f"))


def speaker_of(turn: Turn) -> str | None:
    """Who speaks: the message's speaker, or the name that its text begins with (`Ann: …`)."""
    if turn.speaker is not None:
        return turn.speaker
    named = _PREFIX.match(turn.text)
    return named.group(1) if named else None
