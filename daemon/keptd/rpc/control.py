"""What a handler of a `Control` may use: the connection that asks, and the daemon behind it. Types only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from kept.wire import Call
from kept.wire.daemon import DaemonStatus, Reloaded

from ..bus import Bus
from ..clock import Clock
from ..config import Config
from ..store import Store
from .peer import Peer
from .prepare import Work
from .sinks import Sink


class Daemon(Protocol):
    """What the supervisor offers to handlers."""

    def status(self) -> DaemonStatus:
        """How everything is."""
        ...

    def reload(self) -> Reloaded:
        """Read the configuration again. Raises `InvalidParams` where it is wrong; the old one stays."""
        ...

    def stop(self) -> None:
        """Begin to end; returns at once."""
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
    prepare: Callable[[bytes], Work | list[Work]]
    """Read and check a request line; in any thread."""
    begin: Callable[[Work | list[Work], Sink], Peer]
    """Carry out one prepared request on behalf of this one; its reply goes to the sink. Gives who asks for it."""
    on_cancel: Callable[[Callable[[], None]], None]
    """Have something called when the request is cancelled or its caller has gone, instead of cancelling the task."""
