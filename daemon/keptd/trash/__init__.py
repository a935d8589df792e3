"""The trash: what was deleted and can come back, for a while.

Owns the table `trash`. Any room may put a snapshot of its entity in (`trash.store.put`), and says in its
`Domain.restorers` how that comes back, and in `Domain.purgers` how what it kept beside the snapshot is let go; this
room knows none of them. Refuses to bring back what has no restorer.
"""

from __future__ import annotations

from ..domain import Domain
from ..jobs.declare import collect_jobs
from ..rpc.methods import collect
from . import jobs, methods, store
from .schema import MIGRATIONS

DOMAIN = Domain("trash", MIGRATIONS, collect(methods), jobs=collect_jobs(jobs), derive=store.derive)
