"""Maintenance: how large and how well the database is, and the housekeeping that keeps it so.

Owns no table. Refuses to repair: a check only reads, and names the next step.
"""

from __future__ import annotations

from ..domain import Domain
from ..jobs.declare import collect_jobs
from ..rpc.methods import collect
from . import jobs, methods

DOMAIN = Domain("maintenance", handlers=collect(methods), jobs=collect_jobs(jobs))
