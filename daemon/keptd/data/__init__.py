"""Data: all that is kept, at once: exported, imported, or deleted.

Owns the folder `exports`, where archives wait to be fetched or imported. Knows no room: what there is to carry comes
from the database's own schema and from what each `Domain` says of itself. Opens no path that a caller names.
"""

from __future__ import annotations

from ..domain import Domain
from ..jobs.declare import collect_jobs
from ..rpc.methods import collect
from . import jobs, methods, transfers

DOMAIN = Domain("data", handlers=collect(methods), jobs=collect_jobs(jobs), at_start=transfers.settle)
