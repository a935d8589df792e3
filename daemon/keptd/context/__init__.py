"""Context: what a session should know when it starts, as a bundle, and mirrored as files for tools that only read
files.

Owns no table: it shows what the rooms below it hold. Refuses to cut an entry in half, and to hide that something was
left out.
"""

from __future__ import annotations

from ..domain import Domain
from ..rpc.methods import collect
from . import methods

DOMAIN = Domain("context", handlers=collect(methods))
