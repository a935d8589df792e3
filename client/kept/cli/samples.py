"""What the daemon is doing at one moment, and how much of it between two.

Asks only what is answered from counters at hand: the sizes of single tables would take a read of every page. Draws
nothing.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from ..wire.daemon import Activity, Clients, ConnectedClient, CountActivity, DaemonStatus, Status
from ..wire.job import Job, ListJobs
from .surface import Caller

_SHORTEST = 0.01
"""Seconds between two looks from which rates say something."""


class Sample(Struct, frozen=True, kw_only=True):
    """One look at the daemon: `at` by the calendar, `moment` in seconds of a clock that never goes back."""

    at: datetime
    moment: float
    daemon: DaemonStatus
    activity: Activity
    clients: tuple[ConnectedClient, ...]
    jobs: tuple[Job, ...]


class Rates(Struct, frozen=True, kw_only=True):
    """What happened in `seconds`: each as an amount per second, bytes as bytes per second."""

    seconds: float
    since_start: bool
    """True where there was no look before: these are the averages since the daemon's start."""
    requests: float
    reads: float
    refused: float
    commits: float
    writes: float
    """Writes that were committed, those of the daemon itself included."""
    mean_batch: float | None
    """Writes in a commit; None where there was no commit."""
    changes: float | None
    """Places in the change log, which outlives the daemon; None where there was no look before."""
    received_bytes: float
    sent_bytes: float
    growth_bytes: float | None
    """Of the database and its log together; None where there was no look before."""


class View(Struct, frozen=True, kw_only=True):
    """A sample and its rates, for programs."""

    at: datetime
    daemon: DaemonStatus
    activity: Activity
    clients: tuple[ConnectedClient, ...]
    jobs: tuple[Job, ...]
    rates: Rates


class Waiting(Struct, frozen=True, kw_only=True):
    """There was nobody to ask."""

    at: datetime
    waiting: str
    """Why."""


def take(call: Caller, at: datetime, moment: float) -> Sample:
    """Look now. Raises what `call` raises."""
    return Sample(
        at=at,
        moment=moment,
        daemon=call(Status()),
        activity=call(CountActivity()),
        clients=tuple(call(Clients()).items),
        jobs=tuple(call(ListJobs()).items),
    )


def comparable(before: Sample | None, now: Sample) -> Sample | None:
    """`before`, where it is an earlier look at the same run of the daemon, whose counters have gone on since."""
    if before is None or now.moment - before.moment < _SHORTEST:
        return None
    one, other = before.daemon, now.daemon
    return before if (one.pid, one.started_at) == (other.pid, other.started_at) else None


def rates(before: Sample | None, now: Sample) -> Rates:
    """What happened between two looks; without one before, or after a restart, since the daemon's start."""
    before = comparable(before, now)
    seconds = now.moment - before.moment if before else max(1.0, float(now.daemon.uptime_seconds))
    early = _counters(before) if before else {}
    counted = {name: max(0, count - early.get(name, 0)) for name, count in _counters(now).items()}
    each = {name: count / seconds for name, count in counted.items()}
    return Rates(
        seconds=seconds,
        since_start=before is None,
        requests=each["requests"],
        reads=each["reads"],
        refused=each["refused"],
        commits=each["commits"],
        writes=each["writes"],
        mean_batch=counted["writes"] / counted["commits"] if counted["commits"] else None,
        changes=each["changes"] if before else None,
        received_bytes=each["received_bytes"],
        sent_bytes=each["sent_bytes"],
        growth_bytes=(_stored(now) - _stored(before)) / seconds if before else None,
    )


def _counters(sample: Sample) -> dict[str, int]:
    daemon, storage = sample.daemon, sample.daemon.storage
    return {
        "requests": daemon.requests,
        "reads": sample.activity.reads,
        "refused": daemon.refused,
        "commits": storage.commits,
        "writes": storage.writes,
        "changes": storage.last_seq,
        "received_bytes": daemon.received_bytes,
        "sent_bytes": daemon.sent_bytes,
    }


def _stored(sample: Sample) -> int:
    return sample.daemon.storage.database_bytes + sample.daemon.storage.wal_bytes


def client_rates(before: Sample | None, now: Sample) -> list[float]:
    """Requests per second of each client of `now`, in their order: since the look before, or since it came."""
    before = comparable(before, now)
    if before is None:
        ages = [max(1.0, (now.at - client.connected_at).total_seconds()) for client in now.clients]
        return [client.requests / age for client, age in zip(now.clients, ages, strict=True)]
    seconds = now.moment - before.moment
    known = {(client.pid, client.connected_at): client.requests for client in before.clients}
    asked = [client.requests - known.get((client.pid, client.connected_at), 0) for client in now.clients]
    return [max(0, count) / seconds for count in asked]


def method_rates(before: Sample | None, now: Sample) -> list[float]:
    """Calls per second of each method of `now`, in their order."""
    before = comparable(before, now)
    seconds = now.moment - before.moment if before else max(1.0, float(now.daemon.uptime_seconds))
    known = {method.method: method.calls for method in before.activity.methods} if before else {}
    return [max(0, method.calls - known.get(method.method, 0)) / seconds for method in now.activity.methods]


def view(before: Sample | None, now: Sample) -> View:
    """The sample with its rates."""
    return View(
        at=now.at,
        daemon=now.daemon,
        activity=now.activity,
        clients=now.clients,
        jobs=now.jobs,
        rates=rates(before, now),
    )
