"""Jobs: what the daemon does by itself, when it is due, and how it went.

Owns the tables `job` and `job_run`. Each room declares its jobs on the functions that do the work (`declare`); the
runner gives each a task and refuses to let one overlap itself. Refuses to know what a job does.
"""

from __future__ import annotations

from ..domain import Domain
from ..rpc.methods import collect
from . import jobs, methods
from .declare import collect_jobs
from .schema import MIGRATIONS

DOMAIN = Domain("jobs", MIGRATIONS, collect(methods), collect_jobs(jobs), local_tables=("job", "job_run"))
