"""What a handler of a `Control` may use: the connection that asks, and the daemon behind it. Types only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from kept.wire import Actor, Call, Page
from kept.wire.daemon import DaemonStatus, Reloaded
from kept.wire.job import Job, JobHistory, Run
from kept.wire.maintenance import MethodStats

from ..bus import Bus
from ..clock import Clock
from ..config import Config
from ..domain import Domain, SelfReport, Tell
from ..store import Store
from .peer import Peer
from .prepare import Work
from .sinks import Sink


class Jobs(Protocol):
    """What the runner of the jobs offers to handlers. Each raises `NotFound` for a job that there isn't."""

    def begin_anew(self) -> None:
        """Forget what was known of the jobs and is not written down any more."""
        ...

    def listed(self) -> list[Job]:
        """Every job as it is, by name."""
        ...

    async def history(self, call: JobHistory) -> Page[Run]:
        """Runs, newest first. Raises `InvalidParams` naming `cursor`, and `StorageFailed`."""
        ...

    async def run_now(self, name: str, asked_by: Actor, progress: Tell) -> Run:
        """Run it and wait for the end. Raises `Conflict` while it runs."""
        ...

    async def pause(self, name: str, asked_by: Actor) -> Job:
        """Keep it from running by itself. Raises `StorageFull` or `StorageFailed` where that can't be kept."""
        ...

    async def resume(self, name: str, asked_by: Actor) -> Job:
        """Let it run again; as `pause`."""
        ...


class Daemon(Protocol):
    """What the supervisor offers to handlers."""

    @property
    def jobs(self) -> Jobs:
        """What the daemon does by itself."""
        ...

    def status(self) -> DaemonStatus:
        """How everything is."""
        ...

    def peers(self) -> Iterable[Peer]:
        """The connections, in the order in which they came."""
        ...

    def reload(self) -> Reloaded:
        """Read the configuration again. Raises `InvalidParams` where it is wrong; the old one stays."""
        ...

    def unapplied(self) -> tuple[str, ...]:
        """The settings that are given otherwise than they are in force. Raises `InvalidParams` where they are wrong."""
        ...

    def stop(self) -> None:
        """Begin to end; returns at once."""
        ...

    def restart(self) -> None:
        """Begin to end, for another daemon to take its place behind the same socket; returns at once. Raises `Conflict`
        where a service manager does that, and `InvalidParams` for settings with which none would start."""
        ...

    async def replaced(self) -> None:
        """What is kept has been replaced as a whole: drop what belonged to it, in memory and in the mirror's files."""
        ...


@dataclass(frozen=True, slots=True)
class ControlCtx:
    """What a handler of a `Control` is given."""

    peer: Peer
    store: Store
    bus: Bus
    clock: Clock
    config: Config
    daemon: Daemon
    calls: tuple[type[Call[Any]], ...]
    topics: frozenset[str]
    """The entities and methods that a change can have."""
    progress: Tell
    """Tell the caller how far its request is: how much is done, of how much (0 where that isn't known), and what is
    being done. Seldom, since each is a message."""
    prepare: Callable[[bytes], Work | list[Work]]
    """Read and check a request line; in any thread."""
    begin: Callable[[Work | list[Work], Sink], Peer]
    """Carry out one prepared request on behalf of this one; its reply goes to the sink. Gives who asks for it."""
    on_cancel: Callable[[Callable[[], None]], None]
    """Have something called when the request is cancelled or its caller has gone, instead of cancelling the task."""
    rooms: tuple[Domain, ...]
    timings: Callable[[], tuple[MethodStats, ...]]
    self_reports: Callable[[], Sequence[SelfReport]]
