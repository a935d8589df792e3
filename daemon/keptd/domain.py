"""What a domain is to the rest of the daemon, and what its handlers are given. Types only; no logic.

A domain is a package with one `DOMAIN` value. Its handlers are plain synchronous functions: a `Read` is answered from a
read-only connection, a `Write` inside its own savepoint of the writer's transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kept.wire import Actor, Call

if TYPE_CHECKING:
    import apsw

    from kept.wire.component import Status

    from .clock import Clock
    from .config import Config
    from .store.changes import ChangeLog
    from .store.migrations import Migration


@dataclass(frozen=True, slots=True)
class SelfReport:
    """How a part of the daemon is, under a name that starts with `keptd.`; told live, never stored.

    `health` is 0 to 100, `metadata` any JSON value; `checked_at` and `since` (when it took this status) are in
    microseconds since 1970 UTC.
    """

    name: str
    status: Status
    health: int
    metadata: Any
    checked_at: int
    since: int


def _no_reports() -> Sequence[SelfReport]:
    return ()


@dataclass(frozen=True, slots=True)
class ReadCtx:
    """What a handler of a `Read` may use. `db` refuses to write; `self_reports` tells how the daemon itself is;
    `topics` are the entities and methods that a change can have."""

    db: apsw.Connection
    clock: Clock
    caller: Actor
    config: Config
    self_reports: Callable[[], Sequence[SelfReport]] = _no_reports
    topics: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class WriteCtx:
    """What a handler of a `Write` may use. `db` is inside the request's savepoint; raising rolls all of it back.

    Every handler that changes something records it with `changes.add(entity, id, label)`, once per entity.
    """

    db: apsw.Connection
    clock: Clock
    caller: Actor
    config: Config
    changes: ChangeLog
    full: bool = False
    """True while the disk is full: what makes room keeps no copy of what it removes."""


@dataclass(frozen=True, slots=True)
class Handler:
    """One method's implementation, as `@serves` declared it."""

    call: type[Call[Any]]
    result: Any
    run: Callable[[Any, Any], Any]
    heavy: bool | Callable[[Any], bool]
    """Reads only: True, or a predicate on the call, where the cost grows with the data."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """A room's removal of what has run out: `run(ctx, limit)` removes up to `limit` rows and tells how many.

    It runs from time to time, and again as long as it finds a full `limit`. `name` stands in the change log as the
    method.
    """

    name: str
    run: Callable[[WriteCtx, int], int]


@dataclass(frozen=True, slots=True)
class Domain:
    """A room: its name, its migrations in order, its handlers, and its sweeps."""

    name: str
    migrations: tuple[Migration, ...] = ()
    handlers: tuple[Handler, ...] = ()
    sweeps: tuple[Sweep, ...] = ()
