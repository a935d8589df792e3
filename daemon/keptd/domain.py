"""What a domain is to the rest of the daemon, and what its handlers are given. Types only; no logic.

A domain is a package with one `DOMAIN` value. Its handlers are plain synchronous functions: a `Read` is answered from a
read-only connection, a `Write` inside its own savepoint of the writer's transaction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kept.wire import Actor, Call

if TYPE_CHECKING:
    import apsw

    from kept.wire.component import Status

    from .clock import Clock
    from .config import Config
    from .store import Store
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
    restorers: Mapping[str, Restorer] = field(default_factory=dict)
    """How each kind of entity comes back from the trash."""
    purgers: Mapping[str, Purger] = field(default_factory=dict)
    """How a kind of entity that kept more than its snapshot is let go when it leaves the trash for good."""


Restorer = Callable[[WriteCtx, str], None]
"""Brings an entity back from its snapshot in the trash (JSON), and records the change. Raises `Conflict` where its name
has been taken meanwhile."""

Purger = Callable[[WriteCtx, str], None]
"""Lets go of the rows that an entity (by its id) kept while it was in the trash, and records the change. It runs for
each of many in one write: what takes long it leaves to a job of its room."""


@dataclass(frozen=True, slots=True)
class Handler:
    """One method's implementation, as `@serves` declared it."""

    call: type[Call[Any]]
    result: Any
    run: Callable[[Any, Any], Any]
    heavy: bool | Callable[[Any], bool]
    """Reads only: True, or a predicate on the call, where the cost grows with the data."""
    at_once: Callable[[Any, Any], Any] | None = None
    """Asynchronous ones only: tried first; None from it means that the answer has to be waited for."""


Tell = Callable[[int, int, str], None]
"""Takes how much is done, of how much (0 where that isn't known), and what is being done."""


def to_nobody(_done: int, _total: int, _text: str) -> None:
    """Progress that nobody follows."""


@dataclass(frozen=True, slots=True)
class JobCtx:
    """What a job may use. `progress` is told how far it is."""

    store: Store
    clock: Clock
    config: Config
    actor: Actor
    progress: Tell
    rooms: tuple[Domain, ...] = ()
    self_reports: Callable[[], Sequence[SelfReport]] = _no_reports


@dataclass(frozen=True, slots=True)
class Job:
    """Work that the daemon does by itself, as `@job` declared it. `run` gives a sentence on what it did.

    `setting` is the key of the section `jobs` that says when; `timeout` is in seconds.
    """

    name: str
    description: str
    setting: str
    timeout: float
    run: Callable[[JobCtx], Awaitable[str]]


def _nothing_derived(_db: apsw.Connection) -> None:
    return


@dataclass(frozen=True, slots=True)
class SearchIndex:
    """A full-text index, and the table whose rows it has, by their rowid.

    `create` is the statement that makes it; `fill` puts all of these rows into an index that is empty. `rows` is the
    SQL condition on a row of the table that is in it.
    """

    name: str
    table: str
    create: str
    fill: Callable[[apsw.Connection], None]
    rows: str = "TRUE"


Carry = Callable[["apsw.Connection"], None]
"""Writes into a database, inside the transaction in which it takes another's place."""


@dataclass(frozen=True, slots=True)
class Domain:
    """A room: its name, its migrations in order, its handlers, and its jobs.

    What it stores counts as the owner's data, and is exported, imported and deleted with everything else:

    - every table of its migrations, but for `local_tables`, which mean something on this machine alone;
    - `indexes`, which are made anew from their tables;
    - `folders`, below the data folder.

    `entities` are those of its changes that no method is named after.

    `restorers` says how its entities come back from the trash, by their type, and `purgers` how those that kept rows
    of their own leave it for good. `damaged_files` reads its files below the data folder and names those that are
    damaged; `salvage_file` takes a damaged one, a sound copy from a backup or None, and the path where to write what
    can be read of both, and gives what is lost, in words. `at_start` is run once before anything is served, and then
    `settle` is awaited, which may write: it ends what a killed daemon left unfinished. `beside` runs from then on as
    long as the daemon serves, and asks for the settings when it needs them: a reload changes them.

    Where a backup or an import takes the place of what is kept, `local_tables` stay as they are. A room whose local
    tables name rows of others has `succession` instead: it reads what is so now, and gives what writes the same into
    what comes. `going_on` does the same beside `local_tables`, for what must outlast the going back: a list of what
    happened, a right that was taken back.

    Four are for a database that is put together again from what could be read of a damaged one and from a backup.
    `derive` makes anew the tables in `derived`, whose rows follow from others, and sets right
    what no longer fits together. `endings` are the methods whose change says that an entity is gone, and `moving` the
    tables whose rows get a new rowid with each change.
    """

    name: str
    migrations: tuple[Migration, ...] = ()
    handlers: tuple[Handler, ...] = ()
    jobs: tuple[Job, ...] = ()
    derive: Callable[[apsw.Connection], None] = _nothing_derived
    derived: frozenset[str] = frozenset()
    endings: frozenset[str] = frozenset()
    moving: frozenset[str] = frozenset()
    local_tables: tuple[str, ...] = ()
    indexes: tuple[SearchIndex, ...] = ()
    folders: tuple[str, ...] = ()
    restorers: Mapping[str, Restorer] = field(default_factory=dict)
    purgers: Mapping[str, Purger] = field(default_factory=dict)
    damaged_files: Callable[[Path], Sequence[str]] | None = None
    salvage_file: Callable[[Path, Path | None, Path], str] | None = None
    at_start: Callable[[Store], None] | None = None
    settle: Callable[[Store, Clock], Awaitable[None]] | None = None
    beside: Callable[[Store, Clock, Callable[[], Config]], Coroutine[Any, Any, None]] | None = None
    succession: Callable[[apsw.Connection], Carry] | None = None
    going_on: Callable[[apsw.Connection], Carry] | None = None
    entities: frozenset[str] = frozenset()
