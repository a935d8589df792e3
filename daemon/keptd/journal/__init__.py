"""What happened: actions, decisions and errors, newest first.

Owns the tables `action`, `decision`, `decision_contradicts`, `decision_search` and `error`. Refuses to change anything
but what `resolve` and `supersedes` set, and keeps what an outcome or a resolution replaced.
"""

from __future__ import annotations

from ..domain import Domain
from ..rpc.methods import collect
from . import methods
from .schema import MIGRATIONS

DOMAIN = Domain("journal", MIGRATIONS, collect(methods))
