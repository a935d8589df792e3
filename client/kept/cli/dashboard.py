"""The view of `kept top`: two samples and a size in, lines out. Pure; never wider or longer than the size.

Text that came from clients is made harmless here.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from datetime import datetime

from ..wire.daemon import ConnectedClient, DaemonStatus
from ..wire.job import Job
from .grid import Column, Grid, Line, cut, flow, stack
from .jobs import outcome, state
from .samples import Rates, Sample, client_rates, method_rates, rates
from .text import age, clip, duration, one_line, roughly, size

_LONGEST_NAME = 200

HELP = (
    "q ends, space holds the view still, ? shows or hides this.",
    "Rates are those since the view before; in the first one since the daemon's start.",
    "batch: writes that were committed together. refused: requests that were answered with an error.",
    "in flight: requests without a reply yet. queued: bytes of these, and of replies that the client has not read.",
    "Clients are sorted by what they ask for, methods by the time that they took in all.",
)


def draw(before: Sample | None, now: Sample, width: int, height: int | None, footer: Line | None = None) -> list[Line]:
    """The view in `width` cells (1 or more) and `height` lines (2 or more; None for as many as it takes), the footer
    last."""
    found = rates(before, now)
    facts = [Line(text, "title") for text in flow(_daemon(now), width)]
    facts += [Line(text, "warning") for text in flow(_troubles(now.daemon), width)]
    facts += [Line(text) for text in flow(_activity(found, now), width)]
    facts += [Line(text) for text in flow(_storage(found, now), width)]
    grids = (_clients(before, now), _jobs(now), _methods(before, now))
    last = [] if footer is None else [Line(clip(footer.text, width), footer.mark)]
    if height is None:
        return [*facts, Line(""), *stack(grids, width, None), *last]
    room = height - len(last)
    # A line is left for how many rows there are, where there is no room for one.
    lines = [Line(clip(line.text, width), line.mark) for line in cut(facts, max(1, room - 1))]
    if room - len(lines) > sum(grid.rows + 2 for grid in grids):
        lines.append(Line(""))
    lines += stack(grids, width, room - len(lines))
    return [*lines, *[Line("")] * (room - len(lines)), *last]


def explain(width: int, height: int, footer: Line) -> list[Line]:
    """The help, in the same space."""
    lines = [Line(text) for paragraph in HELP for text in textwrap.wrap(paragraph, width)]
    lines = [Line(clip(line.text, width)) for line in cut(lines, height - 1)]
    return [*lines, *[Line("")] * (height - 1 - len(lines)), Line(clip(footer.text, width), footer.mark)]


def _daemon(now: Sample) -> Iterator[str]:
    daemon = now.daemon
    yield f"keptd {one_line(daemon.version)}"
    yield f"pid {daemon.pid}"
    yield f"up {duration(daemon.uptime_seconds)}"
    yield f"storage {one_line(daemon.storage.state)}"
    yield one_line(daemon.home)


def _troubles(daemon: DaemonStatus) -> Iterator[str]:
    storage = daemon.storage
    if storage.state != "ok":
        yield f"storage: {one_line(storage.detail)}"
    if not storage.is_checked:
        yield "the database is being checked"
    if storage.recovered is not None:
        yield f"recovered: {one_line(storage.recovered)}"
    if daemon.jobs_failing:
        yield f"failing: {one_line(', '.join(daemon.jobs_failing))}"


def _activity(found: Rates, now: Sample) -> Iterator[str]:
    yield "since the start:" if found.since_start else f"in {found.seconds:.1f} s:"
    yield f"{_rate(found.requests)} requests/s"
    yield f"{_rate(found.reads)} reads/s"
    yield f"{_rate(found.writes)} writes/s"
    yield f"{_rate(found.commits)} commits/s"
    yield f"batch {'-' if found.mean_batch is None else _rate(found.mean_batch)}"
    yield f"{_rate(found.refused)} refused/s"
    yield f"in {size(round(found.received_bytes))}/s"
    yield f"out {size(round(found.sent_bytes))}/s"
    if now.daemon.storage.queued:
        yield f"{now.daemon.storage.queued:,} writes wait"


def _storage(found: Rates, now: Sample) -> Iterator[str]:
    storage = now.daemon.storage
    yield f"database {size(storage.database_bytes)}"
    yield f"log {size(storage.wal_bytes)}"
    yield f"free {size(storage.free_bytes)}"
    yield f"change {storage.last_seq:,}"
    if found.changes is not None:
        yield f"{_rate(found.changes)} changes/s"
    if found.growth_bytes is not None:
        sign = "-" if found.growth_bytes < 0 else "+"
        yield f"{sign}{size(round(abs(found.growth_bytes)))}/s"


def _clients(before: Sample | None, now: Sample) -> Grid:
    asking = dict(zip(now.clients, client_rates(before, now), strict=True))
    clients = sorted(
        now.clients,
        key=lambda each: (-asking[each], -each.in_flight, -each.queued_bytes, -each.requests, each.connected_at),
    )
    return Grid(
        "clients",
        (
            Column("CLIENT", [_name(each.client) for each in clients], 0, number=False),
            Column("PID", [str(each.pid) for each in clients], 3),
            Column("REQ/S", [_rate(asking[each]) for each in clients], 1),
            Column("IN FLIGHT", [f"{each.in_flight:,}" for each in clients], 2),
            Column("QUEUED", [size(each.queued_bytes) if each.queued_bytes else "0" for each in clients], 4),
            Column("REQUESTS", [f"{each.requests:,}" for each in clients], 6),
            Column("SUBS", [str(each.subscriptions) for each in clients], 8),
            Column("SINCE", [_length(each.connected_at, now.at) for each in clients], 5),
            Column("FOR", [_for_whom(each) for each in clients], 7, number=False),
        ),
    )


def _jobs(now: Sample) -> Grid:
    def urgency(job: Job) -> tuple[bool, bool, bool, float]:
        due = job.next_at.timestamp() if job.next_at else 0.0
        return (not job.running, not job.failures, job.next_at is None, due)

    jobs = sorted(now.jobs, key=urgency)
    return Grid(
        "jobs",
        (
            Column("JOB", [_name(job.name) for job in jobs], 0, number=False),
            Column("STATE", [_state(job) for job in jobs], 1, number=False),
            Column("LAST", [age(job.last_at, now.at) if job.last_at else "never" for job in jobs], 3),
            Column("TOOK", ["-" if job.last_seconds is None else f"{job.last_seconds:,.1f} s" for job in jobs], 5),
            Column("NEXT", [age(job.next_at, now.at) if job.next_at else "-" for job in jobs], 2),
            Column("FAILED", [f"{job.failures:,}" if job.failures else "-" for job in jobs], 4),
        ),
        frozenset(at for at, job in enumerate(jobs) if job.failures),
    )


def _methods(before: Sample | None, now: Sample) -> Grid:
    methods = now.activity.methods
    return Grid(
        "methods",
        (
            Column("METHOD", [_name(each.method) for each in methods], 0, number=False),
            Column("CALLS/S", [_rate(each) for each in method_rates(before, now)], 1),
            Column("MEAN MS", [f"{each.mean_ms:,.2f}" for each in methods], 2),
            Column("WORST MS", [f"{each.worst_ms:,.1f}" for each in methods], 3),
            Column("CALLS", [f"{each.calls:,}" for each in methods], 4),
        ),
    )


def _name(text: str) -> str:
    return one_line(text[:_LONGEST_NAME]) or "-"


def _for_whom(client: ConnectedClient) -> str:
    return _name(" / ".join(part for part in (client.user, client.project) if part))


def _state(job: Job) -> str:
    """What it does; of one that waits, how it went."""
    now = state(job)
    return (outcome(job.last_result) or now) if now == "waiting" else now


def _length(since: datetime, now: datetime) -> str:
    return roughly(max(0.0, (now - since).total_seconds()))


def _rate(value: float) -> str:
    return f"{value:.1f}" if 0 < value < 9.95 else f"{value:,.0f}"
