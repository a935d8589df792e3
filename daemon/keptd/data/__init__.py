"""Data: all that is kept, at once: exported, imported, or deleted.

Archives wait in the folder of `transfers` to be fetched or imported. Knows no room: what there is to carry comes
from the database's own schema and from what each `Domain` says of itself. Opens no path that a caller names.
"""

from __future__ import annotations

from ..domain import Domain
from ..jobs.declare import collect_jobs
from ..rpc.methods import collect
from ..store import Store, replacing
from ..transfers import Transfers
from . import jobs, methods


def _settle(store: Store) -> None:
    """Nobody fetches what was left over, and an import that a crash interrupted is settled."""
    Transfers(store.path.parent).tidy_all()
    replacing.settle(store.path.parent, store.inline)


DOMAIN = Domain("data", handlers=collect(methods), jobs=collect_jobs(jobs), at_start=_settle)
