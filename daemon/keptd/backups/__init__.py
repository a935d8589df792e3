"""Backups: whole copies of the database in the folder `backups`, each checked by restoring it aside.

Owns that folder and the format of what is in it. Refuses to know any table of another room: a backup is the file, page
by page. Refuses to replace anything before a backup has been checked, and to thin a good backup out for a worse one.
"""

from __future__ import annotations

from ..domain import Domain
from ..jobs.declare import collect_jobs
from ..rpc.methods import collect
from . import jobs, methods

DOMAIN = Domain("backups", handlers=collect(methods), jobs=collect_jobs(jobs))
