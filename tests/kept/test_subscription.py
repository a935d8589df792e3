"""Following the change log through lost connections: nothing missing, nothing twice."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import pytest

import kept
from kept.client import Client
from kept.faults import BadReply, NoDaemon
from kept.wire.errors import Busy, QuotaExceeded
from kept.wire.event import Event, Lost

from .scripted import CUT, Request, Step, change, environment, line, once, refusal, result, serving


def client(home: Path, patience: float = 5.0) -> Client:
    return kept.connect(environ=environment(home), start=False, patience=patience)


class Log:
    """A change log as a script: sends what follows `since`, at most `size` changes on one connection, then cuts it."""

    def __init__(self, size: int = 10, end: int = 10) -> None:
        self.asked: list[Request] = []
        self.size = size
        self.end = end

    def __call__(self, request: Request) -> Iterable[Step]:
        params = request["params"]
        self.asked.append(params)
        since = params.get("since", 5)
        sent = [change(seq) for seq in range(since + 1, min(since + self.size, self.end) + 1)]
        return [result(request, {"id": "s", "seq": since}), *sent, *([CUT] if since + self.size < self.end else [])]


def sequences(found: Iterable[Event | Lost]) -> list[int]:
    return [one.change.seq if isinstance(one, Event) else -one.until for one in found]


def test_a_subscription_gives_the_changes_after_a_place(tmp_path: Path) -> None:
    log = Log()
    with serving(tmp_path, log), client(tmp_path) as one, one.subscribe(["memory"], since=0) as changes:
        assert sequences(islice(changes, 10)) == list(range(1, 11))
        assert changes.seq == 10
        assert log.asked == [{"topics": ["memory"], "since": 0}]


def test_a_lost_connection_is_resumed_without_a_gap(tmp_path: Path) -> None:
    log = Log(size=3)
    with serving(tmp_path, log), client(tmp_path) as one, one.subscribe(since=0) as changes:
        assert sequences(islice(changes, 10)) == list(range(1, 11))
        assert [asked["since"] for asked in log.asked] == [0, 3, 6, 9]


def test_a_subscription_from_now_resumes_from_when_it_began(tmp_path: Path) -> None:
    cuts = iter([True])

    def log(request: Request) -> Iterable[Step]:
        begun = result(request, {"id": "s", "seq": 5})
        return [begun, CUT] if next(cuts, False) else [begun, change(request["params"]["since"] + 1)]

    with serving(tmp_path, log), client(tmp_path) as one, one.subscribe() as changes:
        assert sequences(islice(changes, 1)) == [6]


def test_a_change_that_comes_twice_is_given_once(tmp_path: Path) -> None:
    def log(request: Request) -> Iterable[Step]:
        return [result(request, {"id": "s", "seq": 0}), *map(change, (1, 2, 1, 2, 3))]

    with serving(tmp_path, log), client(tmp_path) as one, one.subscribe(since=0) as changes:
        assert sequences(islice(changes, 3)) == [1, 2, 3]


def test_events_before_the_reply_count(tmp_path: Path) -> None:
    log = lambda request: [change(1) + result(request, {"id": "s", "seq": 1}) + change(2)]  # noqa: E731
    with serving(tmp_path, log), client(tmp_path) as one, one.subscribe(since=0) as changes:
        assert sequences(islice(changes, 2)) == [1, 2]


def test_lost_is_given_and_resuming_does_not_ask_for_it_again(tmp_path: Path) -> None:
    lost = line({"method": "lost", "params": {"subscription_id": "s", "resume_from": 1, "until": 8}})
    since: list[int] = []

    def log(request: Request) -> Iterable[Step]:
        since.append(request["params"]["since"])
        begun = result(request, {"id": "s", "seq": since[-1]})
        return [begun, lost, CUT] if len(since) == 1 else [begun, change(9)]

    with serving(tmp_path, log), client(tmp_path) as one, one.subscribe(since=1) as changes:
        assert sequences(islice(changes, 2)) == [-8, 9]
        assert since == [1, 8]


def test_closing_from_another_thread_ends_the_iteration(tmp_path: Path) -> None:
    with serving(tmp_path, Log(end=0)), client(tmp_path) as one:
        changes = one.subscribe(since=0)
        found: list[Event | Lost] = []
        reading = threading.Thread(target=lambda: found.extend(changes))
        reading.start()
        changes.close()
        reading.join(10)
        assert not reading.is_alive()
        assert found == []


def test_a_refused_subscription_raises(tmp_path: Path) -> None:
    full = lambda request: [refusal(request, QuotaExceeded.code)]  # noqa: E731
    with serving(tmp_path, full), client(tmp_path) as one, pytest.raises(QuotaExceeded):
        one.subscribe()


@pytest.mark.parametrize("bad", [b"{}x\n", line({"method": "event", "params": {"no": 1}})])
def test_an_event_that_is_none_is_a_fault(tmp_path: Path, bad: bytes) -> None:
    log = lambda request: [result(request, {"id": "s", "seq": 0}), bad]  # noqa: E731
    with serving(tmp_path, log), client(tmp_path) as one, pytest.raises(BadReply), one.subscribe() as changes:
        next(changes)


def test_a_daemon_that_stays_away_ends_the_iteration_with_a_fault(tmp_path: Path) -> None:
    with serving(tmp_path, Log(end=0)) as server, client(tmp_path, patience=0.05) as one:
        changes = one.subscribe(since=0)
        server.stop()
        with pytest.raises(NoDaemon):
            next(changes)
        server.start()


def test_a_subscription_that_is_turned_away_as_one_too_many_is_tried_again(tmp_path: Path) -> None:
    full = [refusal(None, Busy.code, retry_after_ms=1), CUT]
    times: Iterator[Iterable[Step]] = iter([full, [refusal({"id": 0}, Busy.code, retry_after_ms=1)]])
    log = lambda request: next(times, [result(request, {"id": "s", "seq": 0}), change(1)])  # noqa: E731
    with serving(tmp_path, log) as server, client(tmp_path) as one, one.subscribe(since=0) as changes:
        assert sequences(islice(changes, 1)) == [1]
        assert len(server.requests) == 3


def test_a_subscription_that_stays_turned_away_says_so(tmp_path: Path) -> None:
    log = lambda request: [refusal(request, Busy.code, retry_after_ms=60_000)]  # noqa: E731
    with serving(tmp_path, log), client(tmp_path) as one, pytest.raises(Busy):
        one.subscribe()


def test_closing_while_it_resumes_ends_the_iteration_though_the_daemon_is_silent(tmp_path: Path) -> None:
    asked = threading.Event()
    begun = once(result({"id": 0}, {"id": "s", "seq": 0}), CUT, method="event.subscribe")
    with serving(tmp_path, lambda request: begun(request) or [asked.set]), client(tmp_path) as one:
        changes = one.subscribe(since=0)
        reading = threading.Thread(target=lambda: list(changes), daemon=True)
        reading.start()
        assert asked.wait(10)
        changes.close()
        reading.join(10)
        assert not reading.is_alive()
