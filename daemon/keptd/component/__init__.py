"""How things are: components by name, each with a status and a health.

Owns the table `component`. Merges in what the daemon reports of itself under names that start with `keptd.`, and
refuses to let anybody else set or delete those.
"""

from __future__ import annotations

from ..domain import Domain
from ..rpc.methods import collect
from . import methods
from .schema import MIGRATIONS

DOMAIN = Domain(
    "component",
    MIGRATIONS,
    collect(methods),
    endings=frozenset(("component.delete",)),
    restorers={"component": methods.restore_component},
)
