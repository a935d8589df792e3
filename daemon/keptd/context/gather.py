"""The candidates for a bundle, from the rooms below: what each section shows, in which order, and why.

Every look-up is served by an index and bounded, so that a bundle costs the same in a small and in a large database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import apsw
import msgspec

from kept.wire import GLOBAL
from kept.wire.component import Component
from kept.wire.errors import NotFound
from kept.wire.journal import Action, Decision, RecordedError
from kept.wire.memory import Memory
from kept.wire.session import Session

from ..clock import DAY, to_time
from ..component import store as components
from ..domain import ReadCtx
from ..journal import store as journal
from ..memory import store as memories
from ..sessions import store as conversations
from .rules import COUNTED, Candidate, SectionName, Shelf

ENTRIES = 100
"""Candidates of a section: more than any budget that an agent has use for would hold. The rest is counted."""

EXPIRED_DAYS = 7
"""For how long what expired is still shown, as stale."""

DETAIL_CHARACTERS = 200
"""The longest context or metadata, as JSON, that is shown beside its entry."""

LAST = 3
"""How many of the last sessions are shown: a bundle says how they ended, and is no list of them."""

_LINE = ("this session", "the session that it continues")
_MINUTE = "%Y-%m-%d %H:%MZ"
_NOTHING = frozenset(("null", "{}", "[]", '""'))

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def shelves(ctx: ReadCtx, project: str | None, session_id: str | None = None) -> tuple[Shelf, ...]:
    """The sections in the order of their importance. More than one SELECT: run it in a transaction. Raises `NotFound`
    for a session that there isn't."""
    db, reports = ctx.db, ctx.self_reports()
    line = () if session_id is None else _line(db, session_id)
    if line and project is None:
        project = line[0].project
    return (
        Shelf(
            "session", "This conversation", 15, [_session(db, row, why) for row, why in zip(line, _LINE, strict=False)]
        ),
        _shelf(
            "components",
            "Not in order",
            10,
            [_component(item) for item in components.troubled(db, reports, ENTRIES)],
            lambda: components.count_troubled(db, reports, COUNTED),
        ),
        _memories(ctx, project),
        _shelf(
            "decisions",
            "Decided, still open",
            15,
            [_decision(item) for item in journal.open_decisions(db, project, ENTRIES)],
            lambda: journal.count_open_decisions(db, project, COUNTED),
        ),
        _shelf(
            "errors",
            "Unresolved errors",
            15,
            [_error(item) for item in journal.unresolved_errors(db, project, ENTRIES)],
            lambda: journal.count_unresolved_errors(db, project, COUNTED),
        ),
        Shelf(
            "sessions",
            "How the last sessions ended",
            15,
            [
                _session(db, row, "active last")
                for row in conversations.latest(db, project, LAST, [row.id for row in line])
            ],
        ),
        _shelf(
            "actions",
            "Done lately",
            10,
            [_action(item) for item in journal.recent_actions(db, project, ENTRIES)],
            lambda: journal.count_actions(db, project, COUNTED),
        ),
    )


def _shelf(
    name: SectionName,
    title: str,
    share: int,
    candidates: Sequence[Candidate],
    count: Callable[[], int],
    extra: Sequence[Candidate] = (),
) -> Shelf:
    """A shelf of up to `ENTRIES` candidates; where there are so many, `count` says how many there are in all.
    `extra` ones come behind them and are not counted."""
    shown = [*candidates, *extra]
    if len(candidates) < ENTRIES:
        return Shelf(name, title, share, shown)
    total = max(count(), len(candidates))
    return Shelf(name, title, share, shown, total - len(candidates), total >= COUNTED)


def _memories(ctx: ReadCtx, project: str | None) -> Shelf:
    scopes = (project, GLOBAL) if project is not None else (GLOBAL,)
    now = ctx.clock.now()
    known = memories.top(ctx.db, scopes, now, ENTRIES)
    return _shelf(
        "memories",
        "Known",
        35,
        list(_known(ctx, project, known)),
        lambda: memories.count(ctx.db, scopes, now, COUNTED),
        list(_expired(ctx, scopes, now)),
    )


def _known(ctx: ReadCtx, project: str | None, known: Sequence[Memory]) -> Iterator[Candidate]:
    """The highest priorities first; what a newer decision contradicts comes last, marked."""
    contradicted = journal.contradictions(ctx.db, project, {memory.key for memory in known})
    stale: list[Candidate] = []
    for memory in known:
        against = contradicted.get((memory.scope, memory.key))
        if against is not None and against.created_at > memory.updated_at:
            stale.append(_memory(memory, f"contradicted by the decision: {_short(against.decision)}"))
        else:
            yield _memory(memory, None)
    yield from stale


def _expired(ctx: ReadCtx, scopes: Sequence[str], now: int) -> Iterator[Candidate]:
    """What expired lately, newest first, marked."""
    for gone in memories.recently_expired(ctx.db, scopes, now, now - EXPIRED_DAYS * DAY, ENTRIES):
        text = f"{gone.key}: {_value(_decode(gone.value))}"
        yield Candidate(gone.id, text, "expired lately", f"expired {to_time(gone.expired_at):{_MINUTE}}")


def _memory(memory: Memory, stale: str | None) -> Candidate:
    where = "everywhere" if memory.scope == GLOBAL else f"project {memory.scope}"
    return Candidate(
        memory.id,
        f"{memory.key}: {_value(_decode(bytes(memory.value)))}",
        f"priority {memory.priority}, {where}",
        stale,
    )


def _component(component: Component) -> Candidate:
    why = f"{component.status} since {component.updated_at:{_MINUTE}}"
    text = f"{component.name}: {component.status}, health {component.health}{_detail(component.metadata)}"
    return Candidate(component.id, text, why)


def _decision(decision: Decision) -> Candidate:
    return Candidate(
        decision.id,
        f"{decision.decision} (because {decision.reasoning})",
        f"open since {decision.created_at:{_MINUTE}}",
    )


def _error(error: RecordedError) -> Candidate:
    text = f"{error.error}{_detail(error.context)}"
    return Candidate(error.id, text, f"unresolved since {error.created_at:{_MINUTE}}")


def _action(action: Action) -> Candidate:
    return Candidate(action.id, f"{action.created_at:{_MINUTE}} {action.action}", f"done by {action.actor}")


def _line(db: apsw.Connection, session_id: str) -> tuple[Session, ...]:
    """A session, and its parent where that is still here."""
    own = conversations.get(db, session_id)
    try:
        return (own,) if own.parent_id is None else (own, conversations.get(db, own.parent_id))
    except NotFound:
        return (own,)


def _session(db: apsw.Connection, session: Session, why: str) -> Candidate:
    """How far a session has come: its summary, else what was said last. Nothing of who is there, since that changes
    without anything being said."""
    who, beginning = conversations.last_said(db, session.id) or (session.actor, "")
    written_at = session.last_message_at or session.created_at
    if session.closed_at is not None:
        state = f"{session.status} {session.closed_at:{_MINUTE}}"
    else:
        state = f"open, last written {written_at:{_MINUTE}}"
    told = session.summary or _short(beginning, DETAIL_CHARACTERS)
    is_late = session.summary is not None and written_at > session.updated_at
    return Candidate(
        session.id,
        f"{session.title or 'without a title'} ({state}, by {who}){f': {told}' if told else ''}",
        why,
        "more was said after this summary" if is_late else None,
    )


def _value(value: object) -> str:
    return value if isinstance(value, str) else _encode(value).decode()


def _detail(value: object) -> str:
    """What was said beside an entry, where it is short; what is longer is left to a look at the entry."""
    shown = _encode(value).decode()
    return f" ({shown})" if len(shown) <= DETAIL_CHARACTERS and shown not in _NOTHING else ""


def _short(text: str, length: int = 80) -> str:
    first = next((line for line in text.splitlines() if line.strip()), "")
    return first if len(first) <= length else f"{first[: length - 1]}…"
