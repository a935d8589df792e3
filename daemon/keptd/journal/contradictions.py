"""Which decisions say that a memory is no longer true. Reads `decision_contradicts`; `decisions` writes it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import apsw

from kept.wire import GLOBAL
from kept.wire.journal import DecisionId

from ..clock import to_time
from ..store.values import encode_value

QUERY = """
    SELECT c.project, c.key, d.id, d.decision, d.created_at
    FROM json_each(:keys) AS wanted
    CROSS JOIN decision_contradicts AS c INDEXED BY decision_contradicts_by_key
        ON c.key = wanted.value AND (c.project = :project OR c.project IS NULL)
    CROSS JOIN decision AS d ON d.seq = c.decision
    ORDER BY d.seq
"""
"""What `contradictions` asks, oldest decision first."""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """The decision that makes a memory untrue."""

    id: DecisionId
    decision: str
    created_at: datetime


def contradictions(
    db: apsw.Connection, project: str | None, keys: Iterable[str]
) -> dict[tuple[str, str], Contradiction]:
    """The newest decision in force that contradicts a memory, by the memory's scope and key, where there is one.

    A decision of `project` speaks of that project's memories and of the global ones, one without a project of the
    global ones only, and decisions of other projects of nothing here. Costs one look in an index for each of `keys`.
    """
    rows = db.execute(QUERY, {"keys": encode_value("keys", list(keys)), "project": project})
    found: dict[tuple[str, str], Contradiction] = {}
    for its_project, key, decision_id, decision, created_at in rows:
        contradiction = Contradiction(decision_id, decision, to_time(created_at))
        found[GLOBAL, key] = contradiction
        if its_project is not None:
            found[its_project, key] = contradiction
    return found
