"""Control: daemon.*, rpc.discover and cli.run. What concerns the connection or the daemon itself; it stores nothing."""

from __future__ import annotations

from ..domain import Domain
from ..rpc import cli
from ..rpc.methods import collect
from . import methods

DOMAIN = Domain("control", handlers=(*collect(methods), *collect(cli)))
