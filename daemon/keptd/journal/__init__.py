"""What happened: actions, decisions and errors, newest first.

Owns the tables `action`, `decision`, `decision_contradicts`, `decision_search` and `error`, and the folder `archives`,
to which old actions move. Refuses to change anything
but what `resolve` and `supersedes` set, and keeps what an outcome or a resolution replaced.
"""

from __future__ import annotations

from ..domain import Domain, SearchIndex
from ..jobs.declare import collect_jobs
from ..rpc.methods import collect
from . import archive, jobs, methods, salvage, store
from .schema import DECISION_SEARCH, MIGRATIONS

DOMAIN = Domain(
    "journal",
    MIGRATIONS,
    collect(methods),
    jobs=collect_jobs(jobs),
    derive=store.derive,
    derived=frozenset(("decision_contradicts",)),
    indexes=(SearchIndex(DECISION_SEARCH.name, "decision", DECISION_SEARCH.make_sql(), store.index_decisions),),
    folders=(archive.FOLDER,),
    damaged_files=archive.damaged,
    salvage_file=salvage.salvage,
)
