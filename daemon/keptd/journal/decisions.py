"""The table `decision`: what was decided, what came of it, and what replaced it.

Only the outcome and `superseded_by` change. The memory keys that a decision contradicts have rows of their own as long
as it is in force, so that the table `decision_contradicts` holds nothing that a later decision replaced.
"""

from __future__ import annotations

import apsw
import msgspec

from kept.wire import Page
from kept.wire.errors import Conflict, NotFound
from kept.wire.journal import (
    AddDecision,
    Decision,
    DecisionId,
    FoundDecision,
    ListDecisions,
    ResolveDecision,
    SearchDecisions,
)

from ..clock import to_time
from ..store.ids import new_id
from ..store.pages import Order, fit, page
from ..store.search import Hit
from ..store.snippets import snippet
from ..store.values import encode_value
from .listing import END, Filter, Row, Table, at_hand, count_at_hand, newest
from .resolving import resolve as resolve_row
from .rules import former
from .schema import DECISION_SEARCH

TABLE = Table(
    "decision",
    "seq, id, decision, reasoning, alternatives, outcome, former_outcomes, supersedes, superseded_by, contradicts, "
    "project, session_id, created_at, updated_at, version, actor, status",
)

_ORDER = Order("decision.list", int)

_decode_texts = msgspec.json.Decoder(tuple[str, ...]).decode


def add(db: apsw.Connection, call: AddDecision, at: int, actor: str) -> Decision:
    """Record it. Raises `TooLarge` naming `alternatives`. What it supersedes is for `supersede` to mark."""
    contradicts = tuple(dict.fromkeys(call.contradicts))
    (row,) = db.execute(
        "INSERT INTO decision (id, decision, reasoning, alternatives, supersedes, contradicts, project, session_id, "
        "created_at, latest_at, updated_at, actor) "
        "VALUES (:id, :decision, :reasoning, :alternatives, :supersedes, :contradicts, :project, :session_id, :at, "
        f"{TABLE.latest}, :at, :actor) "
        f"RETURNING {TABLE.columns}",
        {
            "id": new_id(),
            "decision": call.decision,
            "reasoning": call.reasoning,
            "alternatives": encode_value("alternatives", call.alternatives),
            "supersedes": call.supersedes,
            "contradicts": encode_value("contradicts", contradicts),
            "project": call.project,
            "session_id": call.session_id,
            "at": at,
            "actor": actor,
        },
    )
    decision = _decision(row)
    _contradict(db, row[0], decision)
    _index(db, row[0], decision)
    return decision


def supersede(db: apsw.Connection, older: str, by: DecisionId, at: int) -> Decision:
    """Mark the decision `older` as replaced; it contradicts nothing from then on.

    Raises `NotFound` where there is none, and `Conflict` naming the one that replaced it already.
    """
    found = db.execute("SELECT seq, superseded_by FROM decision WHERE id = ?", (older,)).fetchone()
    if found is None:
        raise NotFound(f"supersedes: there is no decision {older}", field="supersedes")
    seq, superseded_by = found
    if superseded_by is not None:
        raise Conflict(
            f"decision {older} is already superseded by {superseded_by}",
            hint="Supersede the newer one.",
            field="supersedes",
            superseded_by=superseded_by,
        )
    db.execute("DELETE FROM decision_contradicts WHERE decision = ?", (seq,))
    (row,) = db.execute(
        "UPDATE decision SET superseded_by = ?, updated_at = ?, version = version + 1 "
        f"WHERE seq = ? RETURNING {TABLE.columns}",
        (by, at, seq),
    )
    return _decision(row)


def resolve(db: apsw.Connection, call: ResolveDecision, at: int, actor: str) -> Decision:
    """Set the outcome; a former one goes to its history. Raises `NotFound`, or `Conflict` on another version."""
    row = resolve_row(db, TABLE, "outcome", call.id, call.outcome, if_version=call.if_version, at=at, actor=actor)
    decision = _decision(row)
    DECISION_SEARCH.remove(db, row[0])
    _index(db, row[0], decision)
    return decision


def get(db: apsw.Connection, decision_id: str) -> Decision:
    """One decision. Raises `NotFound`."""
    row = db.execute(f"SELECT {TABLE.columns} FROM decision WHERE id = ?", (decision_id,)).fetchone()
    if row is None:
        raise NotFound(f"there is no decision {decision_id}")
    return _decision(row)


def listed(db: apsw.Connection, call: ListDecisions) -> Page[Decision]:
    """A page, newest first. Raises `InvalidParams` naming `cursor`."""
    (before,) = _ORDER.after(call.cursor) or (END,)
    narrow = Filter(project=call.project, status=call.status, since=call.since)
    rows = newest(db, TABLE, narrow, before, call.limit + 1)
    return page(rows, call.limit, _decision, lambda row: _ORDER.cursor(row[0]))


def search(db: apsw.Connection, call: SearchDecisions) -> Page[FoundDecision]:
    """The best of what fits. Raises `InvalidParams` naming `query` where it is to be FTS5 and is none."""
    facets = () if call.project is None else (f"project={call.project}",)
    hits = DECISION_SEARCH.search(db, call.query, syntax=call.syntax, facets=facets)
    return Page(items=fit(_found(db, hit, call) for hit in hits[call.offset : call.offset + call.limit]))


def open_ones(db: apsw.Connection, project: str | None, limit: int) -> list[Decision]:
    """The newest open ones of the project and of none."""
    return [_decision(row) for row in at_hand(db, TABLE, project, "open", limit)]


def count_open(db: apsw.Connection, project: str | None, limit: int) -> int:
    """How many open ones there are of the project and of none, counted up to `limit`."""
    return count_at_hand(db, TABLE, project, "open", limit)


def derive(db: apsw.Connection) -> None:
    """Make the keys anew that the decisions in force contradict."""
    db.execute("DELETE FROM decision_contradicts")
    for row in db.execute(f"SELECT {TABLE.columns} FROM decision ORDER BY seq"):
        decision = _decision(row)
        if decision.superseded_by is None:
            _contradict(db, row[0], decision)


def _contradict(db: apsw.Connection, seq: int, decision: Decision) -> None:
    db.executemany(
        "INSERT INTO decision_contradicts (decision, project, key) VALUES (?, ?, ?)",
        [(seq, decision.project, key) for key in decision.contradicts],
    )


def index_all(db: apsw.Connection) -> None:
    """Put every decision into the text index, which is empty."""
    for row in db.execute(f"SELECT {TABLE.columns} FROM decision ORDER BY seq"):
        _index(db, row[0], _decision(row))


def _index(db: apsw.Connection, seq: int, decision: Decision) -> None:
    facets = () if decision.project is None else (f"project={decision.project}",)
    DECISION_SEARCH.add(db, seq, _texts(decision), facets)


def _texts(decision: Decision) -> tuple[str, str, str, str]:
    """One text for each column of the index."""
    return decision.decision, decision.reasoning, "\n".join(decision.alternatives), decision.outcome or ""


def _found(db: apsw.Connection, hit: Hit, call: SearchDecisions) -> FoundDecision:
    (row,) = db.execute(f"SELECT {TABLE.columns} FROM decision WHERE seq = ?", (hit.rowid,))
    decision = _decision(row)
    shown = snippet(db, "\n".join(_texts(decision)), call.query, call.syntax)
    return FoundDecision(**msgspec.structs.asdict(decision), score=hit.score, snippet=shown)


def _decision(row: Row) -> Decision:
    return Decision(
        id=DecisionId(row[1]),
        status=row[16],
        decision=row[2],
        reasoning=row[3],
        alternatives=_decode_texts(row[4]),
        outcome=row[5],
        former_outcomes=former(row[6]),
        supersedes=row[7],
        superseded_by=row[8],
        contradicts=_decode_texts(row[9]),
        project=row[10],
        session_id=row[11],
        created_at=to_time(row[12]),
        updated_at=to_time(row[13]),
        version=row[14],
        actor=row[15],
    )
