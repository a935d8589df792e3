"""daemon.*: the daemon itself, and rpc.discover."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from . import Actor, Control, Name, Page, Project, Time
from .errors import Conflict, InvalidParams, SecretFound
from .maintenance import MethodStats


class Welcome(Struct, frozen=True, kw_only=True):
    """Who answers, and whom it takes the caller for."""

    name: str
    version: str
    protocol: int
    pid: int
    actor: Actor


class Pong(Struct, frozen=True, kw_only=True):
    """The daemon's time."""

    time: Time


class Storage(Struct, frozen=True, kw_only=True):
    """The database: its state, sizes in bytes, and what the writer has done since the start."""

    state: Annotated[str, Meta(description="`ok`, `full` or `failed`, so far.")]
    detail: str
    database_bytes: int
    wal_bytes: int
    free_bytes: int
    last_seq: int
    commits: int
    writes: int
    largest_batch: int
    queued: int
    ending: str = "clean"
    """How the run before this one ended: `clean`, `unclean` or `damaged`."""
    is_checked: bool = True
    """Whether the database has been looked at as this start has to: all of it, after an unclean end."""
    recovered: str | None = None
    """What this start's recovery of a damaged database lost, or that it lost nothing; None where none was needed."""


class DaemonStatus(Struct, frozen=True, kw_only=True):
    """How the daemon is."""

    version: str
    protocol: int
    pid: int
    home: str
    socket: str
    started_at: Time
    uptime_seconds: int
    connections: int
    subscriptions: int
    requests: int
    refused: int
    """Requests that were answered with an error."""
    storage: Storage
    jobs_failing: tuple[str, ...] = ()
    """The jobs whose last run failed or took too long."""
    received_bytes: int = 0
    """What all connections have sent since the start, those that have ended as well."""
    sent_bytes: int = 0
    """What was sent to them."""


class ConnectedClient(Struct, frozen=True, kw_only=True):
    """A connection: who it is, and what it asks for."""

    client: str
    """The name that `daemon.hello` gave, else that of the program."""
    pid: int
    user: str | None
    project: str | None
    session: str | None
    connected_at: Time
    requests: int
    """Since it came, those in flight included. A command line that the daemon runs counts as one."""
    in_flight: int
    queued_bytes: int
    """Requests that are in flight, and replies that it has not read."""
    received_bytes: int
    sent_bytes: int
    subscriptions: int


class Activity(Struct, frozen=True, kw_only=True):
    """What the daemon has been asked since its start: requests that were carried out, by kind and by method."""

    reads: int
    writes: int
    controls: int
    """Calls about the connection or the daemon itself, command lines that it ran among them."""
    methods: tuple[MethodStats, ...]
    """Every method that was called, what took longest in all first."""


class Reloaded(Struct, frozen=True, kw_only=True):
    """Which settings changed, which of those took effect, and which wait for a restart."""

    applied: tuple[str, ...]
    needs_restart: tuple[str, ...]


class Stopping(Struct, frozen=True, kw_only=True):
    """The daemon ends after what is in flight."""

    pid: int


class Restarting(Struct, frozen=True, kw_only=True):
    """The daemon ends after what is in flight, and another takes its place in the process `pid`."""

    pid: int


GOING_AWAY = "$/goingAway"
"""The notification that each connection gets before it is ended, where another daemon takes over."""


class GoingAway(Struct, frozen=True, kw_only=True):
    """Connect again: what is in flight is answered, then this connection ends, and who connects waits for the next
    daemon. `restarts` is whether that one begins by itself; else the next connection starts it."""

    restarts: bool


class Hello(Control[Welcome], frozen=True, kw_only=True):
    """Name the caller. Optional; each write stores who made it, with the uid and pid that the kernel reports."""

    method = "daemon.hello"
    errors = (SecretFound,)
    keeps_text = True
    is_repeatable = True

    client: Name
    version: Name | None = None
    user: Name | None = None
    project: Project | None = None
    session: Name | None = None
    kind: (
        Annotated[
            Literal["agent", "person", "program"],
            Meta(description="What it is. An agent gets those secrets alone that an agent may read."),
        ]
        | None
    ) = None


class Ping(Control[Pong], frozen=True, kw_only=True):
    """Ask whether the daemon answers."""

    method = "daemon.ping"
    is_repeatable = True


class Status(Control[DaemonStatus], frozen=True, kw_only=True):
    """How the daemon and its storage are."""

    method = "daemon.status"
    is_repeatable = True


class Clients(Control[Page[ConnectedClient]], frozen=True, kw_only=True):
    """Every connection to the daemon, in the order in which they came; at most `limits.connections`, on one page."""

    method = "daemon.clients"
    is_repeatable = True


class CountActivity(Control[Activity], frozen=True, kw_only=True):
    """What the daemon has been asked, from counters that are at hand: cheap however large the database is."""

    method = "daemon.activity"
    is_repeatable = True


class Reload(Control[Reloaded], frozen=True, kw_only=True):
    """Read the configuration again; applies what can change at run time and says what needs a restart."""

    method = "daemon.reload"
    errors = (InvalidParams,)


class Stop(Control[Stopping], frozen=True, kw_only=True):
    """End the daemon: what is in flight is finished, and everything is on disk."""

    method = "daemon.stop"


class Restart(Control[Restarting], frozen=True, kw_only=True):
    """Start the daemon anew, of the version that is installed by now, without refusing a client.

    What is in flight is finished and every connection is told (`$/goingAway`) and ended; who connects meanwhile waits.
    Refused where a service manager runs the daemon, which does that as well.
    """

    method = "daemon.restart"
    errors = (Conflict, InvalidParams)


class Discover(Control[dict[str, Any]], frozen=True, kw_only=True):
    """The OpenRPC document: every method with its parameters, result and errors."""

    method = "rpc.discover"
    is_repeatable = True


class CommandResult(Struct, frozen=True, kw_only=True):
    """What a command printed, and its exit code. `local` asks the caller to run it by itself."""

    code: int
    out: str = ""
    err: str = ""
    local: bool = False


class RunCommand(Control[CommandResult], frozen=True, kw_only=True):
    """Run a `kept` command line in the daemon, for the thin script. It opens no file and reads no terminal."""

    method = "cli.run"

    argv: Annotated[
        tuple[Annotated[str, Meta(max_length=4_194_304)], ...],
        Meta(max_length=1000, description="The words after `kept`."),
    ]
    columns: (
        Annotated[int, Meta(ge=1, le=10_000, description="Width of the terminal that the output goes to, if any.")]
        | None
    ) = None
    colour: Annotated[bool, Meta(description="Colour is welcome.")] = False
    stdin: Annotated[str, Meta(description="What `-` reads.")] | None = None
    progress: Annotated[bool, Meta(description="Tell with `$/progress` how far long work is.")] = False
    version: Annotated[Name | None, Meta(description="The caller's, where a person is to be told of another.")] = None
    key: Annotated[
        Annotated[str, Meta(min_length=1, max_length=100)] | None,
        Meta(
            description="What the idempotency keys of its writes are made from, in their order: KEY-1, KEY-2. Whoever "
            "gets no answer makes the same calls with them, and nothing is done twice."
        ),
    ] = None
