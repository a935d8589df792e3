"""The room of what is known: entries under a key that is unique in its scope, and their former values.

Owns the tables `memory`, `memory_tag`, `memory_history` and the index `memory_text`. Refuses to show an entry that has
expired: whether its row has been swept yet can't be seen from outside. The persistent tier only.
"""

from __future__ import annotations

from ..domain import Domain
from ..rpc.methods import collect
from . import jobs, methods
from .schema import MIGRATIONS

DOMAIN = Domain(name="memory", migrations=MIGRATIONS, handlers=collect(methods), sweeps=(jobs.SWEEP,))
