"""Events: the change log for clients, paged (`event.list`) and followed (`event.subscribe`).

Owns what a subscription is. Refuses to queue events: a subscription is a place in the log that moves on as fast as
its client reads. The table is the store's.
"""

from __future__ import annotations

from ..domain import Domain
from ..rpc.methods import collect
from . import methods

DOMAIN = Domain("events", handlers=collect(methods))
