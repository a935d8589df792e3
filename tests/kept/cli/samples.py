"""Samples of a daemon that never ran: usual ones, and any that there could be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import strategies as st

from kept.cli.samples import Sample
from kept.wire.daemon import Activity, ConnectedClient, DaemonStatus, Storage
from kept.wire.job import Job, JobName
from kept.wire.maintenance import MethodStats

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def connected(name: str, requests: int = 0, pid: int = 1, **more: Any) -> ConnectedClient:
    """A client that came a minute ago."""
    usual: dict[str, Any] = dict.fromkeys(
        ("in_flight", "queued_bytes", "received_bytes", "sent_bytes", "subscriptions"), 0
    )
    names = dict.fromkeys(("user", "project", "session"))
    given = {**usual, **names, "connected_at": NOW - timedelta(minutes=1), **more}
    return ConnectedClient(client=name, requests=requests, pid=pid, **given)


def job(name: str, **more: Any) -> Job:
    """A job that has never run."""
    never = dict.fromkeys(("next_at", "last_at", "last_seconds", "last_result", "last_error"))
    given: dict[str, Any] = {"schedule": "every 1h", "paused": False, "running": False, "failures": 0, **never, **more}
    return Job(name=JobName(name), description="", **given)


def method(name: str, calls: int) -> MethodStats:
    """A method whose calls took a millisecond."""
    return MethodStats(method=name, calls=calls, mean_ms=1.0, worst_ms=2.5)


def sample(
    moment: float = 100.0,
    *,
    clients: tuple[ConnectedClient, ...] = (),
    jobs: tuple[Job, ...] = (),
    methods: tuple[MethodStats, ...] = (),
    reads: int = 0,
    storage: dict[str, Any] | None = None,
    **daemon: Any,
) -> Sample:
    """A quiet daemon, but for what is given."""
    kept = {"state": "ok", "detail": "in order", "database_bytes": 1024, "wal_bytes": 0, "free_bytes": 2048}
    counts = dict.fromkeys(("last_seq", "commits", "writes", "largest_batch", "queued"), 0)
    usual = {"version": "1.0", "protocol": 1, "pid": 7, "home": "/data", "socket": "/s", "started_at": NOW}
    none = dict.fromkeys(("connections", "subscriptions", "requests", "refused"), 0)
    status = {**usual, **none, "uptime_seconds": 100, **daemon, "storage": {**kept, **counts, **(storage or {})}}
    return Sample(
        at=NOW,
        moment=moment,
        daemon=msgspec.convert(status, DaemonStatus),
        activity=Activity(reads=reads, writes=0, controls=0, methods=methods),
        clients=clients,
        jobs=jobs,
    )


_counts = st.integers(0, 2**53)
_times = st.datetimes(datetime(1970, 1, 2), datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds of a strategy
_names = st.text(max_size=300) | st.sampled_from(
    ["\x1b[2J\x1b]0;title\x07", "漢字" * 50, "a\n\tb", "e\u0301\u200d" * 9]
)
_seconds = st.floats(0, 1e9)
_clients = st.builds(
    ConnectedClient,
    client=_names,
    pid=_counts,
    user=st.none() | _names,
    project=st.none() | _names,
    session=st.none() | _names,
    connected_at=_times,
    **dict.fromkeys(
        ("requests", "in_flight", "queued_bytes", "received_bytes", "sent_bytes", "subscriptions"), _counts
    ),
)
_jobs = st.builds(
    Job,
    name=_names.map(JobName),
    description=_names,
    schedule=_names,
    paused=st.booleans(),
    running=st.booleans(),
    next_at=st.none() | _times,
    last_at=st.none() | _times,
    last_seconds=st.none() | _seconds,
    last_result=st.none() | _names,
    last_error=st.none() | _names,
    failures=_counts,
)
_methods = st.builds(MethodStats, method=_names, calls=_counts, mean_ms=_seconds, worst_ms=_seconds)
_storages = st.builds(
    Storage,
    state=_names,
    detail=_names,
    ending=_names,
    is_checked=st.booleans(),
    recovered=st.none() | _names,
    **dict.fromkeys(
        (
            *("database_bytes", "wal_bytes", "free_bytes", "last_seq", "commits", "writes", "largest_batch"),
            "queued",
        ),
        _counts,
    ),
)
_daemons = st.builds(
    DaemonStatus,
    version=_names,
    home=_names,
    socket=_names,
    started_at=st.sampled_from([NOW, NOW + timedelta(seconds=1)]),
    pid=st.just(7),
    storage=_storages,
    jobs_failing=st.lists(_names, max_size=20).map(tuple),
    **dict.fromkeys(
        (
            *("protocol", "uptime_seconds", "connections", "subscriptions", "requests", "refused"),
            *("received_bytes", "sent_bytes"),
        ),
        _counts,
    ),
)
any_sample = st.builds(
    Sample,
    at=_times,
    moment=st.floats(0, 1e9),
    daemon=_daemons,
    activity=st.builds(
        Activity,
        reads=_counts,
        writes=_counts,
        controls=_counts,
        methods=st.lists(_methods, max_size=12).map(tuple),
    ),
    clients=st.lists(_clients, max_size=12).map(tuple),
    jobs=st.lists(_jobs, max_size=12).map(tuple),
)
"""Any sample that a daemon, or something that passes for one, could give."""
