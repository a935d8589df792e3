"""The blocking client: typed calls that survive a daemon which is killed, busy, or not there yet.

Owns what is repeated and how long: reads, and writes under the same idempotency key, until a deadline; a control call
(such as `daemon.stop`) that was sent, never. One connection, one lock; for several calls at once use `batch` or
several clients.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self, TypeVar

from .calls import plan, with_key
from .faults import ConnectionLost, Fault, NoDaemon, NoReply
from .held import Held
from .holder import elsewhere
from .link import Broken, Follow, Link, Ticket
from .paths import Paths
from .patience import Patience
from .settings import DEFAULTS, Settings
from .subscription import Subscription
from .wire import Call
from .wire.daemon import Hello
from .wire.errors import Busy, KeptError, StorageFailed

R = TypeVar("R")


class Client:
    """A connection to the owner's daemon that mends itself. `kept.connect()` makes one.

    Every method may raise a daemon's refusal (`kept.wire.errors`), a `kept.faults.Fault`, or `kept.trust.Untrusted`.
    It may be used by several threads, which take turns; not across a fork.
    """

    def __init__(self, paths: Paths, hello: Hello | None = None, settings: Settings = DEFAULTS) -> None:
        self.paths = paths
        self._hello = hello
        self._settings = settings
        self._lock = threading.Lock()
        self._link: Link | None = None
        self._held = Held(settings.on_let_go)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection, and all that it held. A later call opens a new one."""
        with self._lock:
            self._drop()
            self._held.clear()

    def open(self) -> None:
        """Connect now, starting the daemon where that is allowed. Where it is not, and there is none, raises
        `NoDaemon` at once."""
        with self._lock:
            if self._link is None:
                patience = Patience(self._settings.patience, await_daemon=self._settings.start)
                self._renew(patience)

    def call(self, call: Call[R], *, progress: Follow | None = None) -> R:
        """The result of a call. A write without an idempotency key gets one.

        `progress` is called, in this thread, each time that the daemon tells how far the call is; it may not use this
        client. What it raises ends the call, and the connection with it, by which the daemon gives up what it can.
        """
        how = plan(type(call))
        if how.is_keyed:
            call = with_key(call)
        refusal: KeptError | None = None
        is_sent = False
        with self._lock:
            link = self._link
            if link is not None and how.repeatable and progress is None:
                try:
                    result: R = link.exchange(call, how)
                except Broken as lost:
                    self._drop()
                    is_sent = lost.sent
                except (Busy, StorageFailed) as momentary:
                    refusal = momentary
                except KeptError:
                    raise
                except BaseException as fault:
                    _tell(fault, may_be_done=how.is_keyed)
                    # A reply may still come: on this connection it would be taken for that to the next call.
                    self._drop()
                    raise
                else:
                    self._held.note(call)
                    return result
            pending = Ticket(call, how, follow=progress, held=self._held)
            pending.sent = is_sent
            if refusal is not None:
                pending.settle(refusal)
            self._settle([pending])
        if isinstance(pending.outcome, (KeptError, Fault)):
            raise pending.outcome
        answered: R = pending.outcome
        return answered

    def batch(self, calls: Iterable[Call[Any]], *, return_errors: bool = False) -> list[Any]:
        """The results of many calls, in their order, without a round trip for each.

        Writes are applied in the order given, unless the daemon refuses one as busy and takes it later. All are
        carried out even where one is refused; then the first refusal is raised, or, with `return_errors`, each stands
        in the place of its result.
        """
        pending = [Ticket(with_key(call), plan(type(call)), held=self._held) for call in calls]
        with self._lock:
            self._settle(pending)
        if not return_errors:
            for one in pending:
                if isinstance(one.outcome, (KeptError, Fault)):
                    raise one.outcome
        return [one.outcome for one in pending]

    def subscribe(
        self, topics: Iterable[str] | None = None, since: int | None = None, first: tuple[Call[Any], ...] = ()
    ) -> Subscription:
        """The changes from after `since`, or from now on, as an iterator; on a connection of its own.

        `first` is called on that connection, and on each that takes its place, before anything is followed: what
        belongs to a connection, such as who is in a session. What the daemon refuses of it ends the subscription.
        """
        return Subscription(
            lambda patience: self._connect(patience, reply_seconds=0),
            None if topics is None else tuple(topics),
            since,
            self._settings.patience,
            first,
        )

    def _settle(self, calls: list[Ticket]) -> None:
        """Settle every call, repeating what may be repeated."""
        patience = Patience(self._settings.patience)
        while True:
            _reopen(calls, patience)
            waiting = [one for one in calls if not one.done]
            if not waiting:
                return
            try:
                self._attempt(waiting, patience)
            except Broken as lost:
                self._drop()
                _give_up_unrepeatable(waiting)
                pause = patience.pause()
                if pause is None:
                    nobody = NoDaemon(f"the connection to the daemon was lost again and again: {lost}")
                    _tell(nobody, may_be_done=_may_be_done(waiting))
                    raise nobody from None
                time.sleep(pause)
            except Busy as refusal:
                # Of the connection, not of one call: too many are open.
                self._drop()
                _wait(patience.after(refusal), refusal)
            except BaseException as fault:
                self._drop()
                _tell(fault, may_be_done=_may_be_done(waiting))
                raise

    def _attempt(self, waiting: list[Ticket], patience: Patience) -> None:
        if self._link is not None and not all(one.plan.repeatable for one in waiting) and self._link.ended():
            # The daemon ended while nothing was asked: noticed now, what can't be repeated is not put at risk.
            self._drop()
        link = self._link or self._renew(patience)
        link.pipeline(waiting, self._settings.reply_seconds)

    def _renew(self, patience: Patience) -> Link:
        """The connection that takes the place of the one before, and holds what that held."""
        self._link = self._connect(patience, holds=True)
        return self._link

    def _connect(self, patience: Patience, reply_seconds: float | None = None, *, holds: bool = False) -> Link:
        """A new connection, as soon as there is somebody to connect to, and room."""
        seconds = self._settings.reply_seconds if reply_seconds is None else reply_seconds
        while True:
            try:
                link = self._reach(seconds)
                return self._holding(link) if holds else link
            except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
                nobody = NoDaemon(f"no daemon answers at {self.paths.socket}; start it with: kept daemon start")
            except Broken as lost:
                nobody = NoDaemon(f"the daemon at {self.paths.socket} ends every connection: {lost}")
            except Busy as refusal:
                _wait(patience.after(refusal), refusal)
                continue
            except BlockingIOError:
                # As many wait to be taken as the kernel lets wait.
                raise NoReply("the daemon takes no more connections") from None
            except OSError as fault:
                raise NoDaemon(f"{self.paths.socket} can't be connected to: {fault.strerror}") from None
            if self._settings.start:
                self._start_daemon(patience)
            pause = patience.pause()
            if pause is None:
                raise nobody
            time.sleep(pause)

    def _holding(self, link: Link) -> Link:
        """The connection, which holds what the one before it held. Raises `Broken`, `Busy`, or a `Fault`."""
        try:
            self._hold_again(link)
        except BaseException:
            link.close()
            raise
        return link

    def _hold_again(self, link: Link) -> None:
        again = [Ticket(call, plan(type(call))) for call in self._held.calls()]
        link.pipeline(again, self._settings.reply_seconds)
        for one in again:
            if isinstance(one.outcome, (Busy, Fault)):
                raise one.outcome
        for one in again:
            if isinstance(one.outcome, KeptError):
                self._held.refuse(one.call, one.outcome)

    def _reach(self, seconds: float) -> Link:
        try:
            return Link(self.paths.socket, self._hello, seconds)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            other = elsewhere(self.paths, self._settings.environ)
            if other is None:
                raise
            return Link(other, self._hello, seconds)

    def _start_daemon(self, patience: Patience) -> None:
        from .start import start  # noqa: PLC0415 - only where no daemon runs, which is rare

        start(self.paths, max(patience.left, 0.1), self._settings.environ)

    def _drop(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None


def _wait(pause: float | None, refusal: KeptError) -> None:
    if pause is None:
        raise refusal
    time.sleep(pause)


def _give_up_unrepeatable(calls: list[Ticket]) -> None:
    for one in calls:
        if one.sent and not one.done and not one.plan.repeatable:
            one.settle(
                ConnectionLost(f"the connection ended before the reply to {one.call.method}; it may have been done")
            )


def _may_be_done(calls: list[Ticket]) -> bool:
    """Whether one of them is a change that was sent and never answered."""
    return any(one.sent and not one.done and one.plan.is_keyed for one in calls)


def _tell(fault: BaseException, *, may_be_done: bool) -> None:
    if isinstance(fault, Fault):
        fault.may_be_done = may_be_done


def _reopen(calls: list[Ticket], patience: Patience) -> None:
    """Those calls that were refused for the moment only wait again, after the pause that the daemon needs."""
    for kind in (Busy, StorageFailed):
        refused = [one for one in calls if one.done and isinstance(one.outcome, kind)]
        pause = patience.after(refused[0].outcome) if refused else None
        if pause is not None:
            for one in refused:
                one.done = False
            time.sleep(pause)
