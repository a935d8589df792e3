"""The room of what is known: entries under a key that is unique in its scope, and their former values.

Owns the tables `memory`, `memory_tag`, `memory_history` and the index `memory_text`. Refuses to show an entry that has
expired: whether its row has been swept yet can't be seen from outside. The persistent tier only.
"""

from __future__ import annotations

from ..domain import Domain, SearchIndex
from ..jobs.declare import collect_jobs
from ..rpc.methods import collect
from . import jobs, methods, store
from .schema import MIGRATIONS, TEXT

DOMAIN = Domain(
    name="memory",
    migrations=MIGRATIONS,
    handlers=collect(methods),
    jobs=collect_jobs(jobs),
    derive=store.derive,
    derived=frozenset(("memory_tag",)),
    endings=frozenset(("memory.delete", "memory.expire")),
    moving=frozenset(("memory",)),
    indexes=(SearchIndex(TEXT.name, "memory", TEXT.make_sql(), store.index_all),),
    restorers={"memory": methods.restore_memory},
)
