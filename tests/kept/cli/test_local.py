"""Commands that run in the caller's process, with a process that a test plays."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, TypeVar

import msgspec

from kept.checkup import Examination
from kept.cli.surface import Asked, Caller
from kept.paths import find
from kept.service import Service
from kept.vault_run import Launch
from kept.wire import Actor, Call
from kept.wire.daemon import DaemonStatus, Status, Stop, Stopping
from kept.wire.event import Change, Event, Lost, SubscriptionId
from kept.wire.vault import OpenEntry, RetrieveSecret

from .test_everyday import daemon_status
from .typing_at import NOW, Recorder, type_in

R = TypeVar("R")


def event(seq: int, label: str) -> Event:
    change = Change(
        seq=seq,
        at=NOW,
        actor=Actor(client="nvim\x1b", uid=1, pid=2),
        method="memory.set",
        entity="memory",
        entity_id="1",
        label=label,
    )
    return Event(subscription_id=SubscriptionId("1"), change=change)


class Played:
    """A client's process: gives the events that it was made with, and says whether it started a daemon."""

    def __init__(
        self,
        *events: Event | Lost,
        starts: bool = False,
        ends: bool = True,
        answer: str | None = None,
        daemon: Caller | None = None,
    ) -> None:
        self.daemon = daemon
        self.events = events
        self.starts = starts
        self.ends = ends
        self.awaited: list[tuple[str, int]] = []
        self.answer = answer
        self.seen = Examination(findings=())
        self.questions: list[str] = []
        self.shown: list[tuple[int, int, str]] = []
        self.asked: list[tuple[tuple[str, ...] | None, int | None]] = []
        self.paper: list[str] = []
        """What its pager was given."""
        self.first: tuple[Call[Any], ...] = ()
        self.secrets: list[str] = []
        """What is given for what is asked and not shown."""
        self.wanted: list[Asked] = []
        self.launched: list[Launch] = []
        self.caller: Caller | None = None
        """Who gives it what a person allows."""
        self.typed = b""
        """What its standard input has."""

    def input(self) -> BinaryIO:
        return io.BytesIO(self.typed)

    def follow(
        self,
        topics: tuple[str, ...] | None,
        since: int | None,
        begun: Callable[[int], object],
        first: tuple[Call[Any], ...] = (),
    ) -> Iterator[Event | Lost]:
        self.asked.append((topics, since))
        self.first = first
        begun(since or 7)
        return iter(self.events)

    def start(self) -> bool:
        return self.starts

    @contextmanager
    def paged(self) -> Iterator[Callable[[str], object]]:
        yield self.paper.append

    @contextmanager
    def drawing(self) -> Iterator[Callable[[int, int, str], object]]:
        yield lambda done, total, text: self.shown.append((done, total, text))

    def ask(self, question: str) -> str | None:
        self.questions.append(question)
        return self.answer

    def secret(self, asked: Asked) -> str:
        self.wanted.append(asked)
        return self.secrets.pop(0)

    def attended(self) -> bool:
        return self.answer is not None

    def await_consent(self, request: RetrieveSecret, told: Callable[[str], object]) -> OpenEntry:
        assert self.caller is not None
        told("type kept vault confirm request-1 allow")
        return self.caller(request)

    def launch(self, launch: Launch) -> int:
        self.launched.append(launch)
        return 3

    def observe(self) -> Caller:
        raise AssertionError("nobody observes")

    def ask_within(self, seconds: float, call: Call[R]) -> R:
        assert self.daemon is not None, "nobody asks"
        return self.daemon(call)

    def terminal(self) -> tuple[int, int] | None:
        return None

    def examine(self) -> Examination:
        return self.seen

    def shell_lines(self, shell: str, banner: bool, log_commands: bool) -> str:
        return f"{shell} banner={banner} log={log_commands}\n"

    def service(self) -> Service:
        """Of a home whose manager can't be reached."""
        return Service(find({"KEPT_HOME": "/nowhere"}), {"HOME": "/nowhere", "KEPT_HOME": "/nowhere"})

    def await_restart(self, pid: int | None, before: DaemonStatus | None) -> DaemonStatus | None:
        assert before is not None
        return msgspec.structs.replace(before, version="0.2.0") if self.ends else None

    def await_end(self, home: str, pid: int) -> bool:
        self.awaited.append((home, pid))
        return self.ends


LOST = Lost(subscription_id=SubscriptionId("1"), resume_from=3, until=9)


def test_watch_prints_a_harmless_line_per_change_and_what_was_passed_over() -> None:
    here = Played(event(1, "editor\n\x1b[31m"), LOST)
    printed = type_in("watch", Recorder(), here=here, terminal=False)
    assert printed.out == "2026-01-01T00:00:00Z  memory.set          editor \ufffd[31m  (nvim\ufffd)\n"
    assert printed.err.splitlines()[1:] == ["passed over changes 4 to 9: kept event list --since 3"]
    assert here.asked == [(None, None)]


def test_watch_gives_programs_one_json_document_per_line() -> None:
    here = Played(event(1, "a"), LOST, event(10, "b"))
    printed = type_in("watch memory decision.add --since 0 --json", Recorder(), here=here)
    lines = [json.loads(line) for line in printed.out.splitlines()]
    assert lines[0]["change"]["label"] == "a"
    assert (lines[1]["resume_from"], lines[1]["until"]) == (3, 9)
    assert len(lines) == 3
    assert here.asked == [(("memory", "decision.add"), 0)]


def test_watch_says_at_once_that_it_follows_and_how_to_end_it() -> None:
    assert type_in("watch", Recorder(), here=Played()).err == "following from change 7; Ctrl-C ends\n"
    assert type_in("watch --json", Recorder(), here=Played()).err == ""


def test_daemon_stop_waits_for_the_end() -> None:
    recorder = Recorder({Status: daemon_status(), Stop: Stopping(pid=7)})
    here = Played(daemon=recorder)
    assert type_in("daemon stop", recorder, here=here).out == "keptd (pid 7) has ended\n"
    assert here.awaited == [(daemon_status().home, 7)]
    assert json.loads(type_in("daemon stop --json", recorder, here=here).out) == {"pid": 7, "ended": True}
    assert type_in("daemon stop", recorder).local


def test_a_daemon_that_does_not_end_in_time_is_told() -> None:
    recorder = Recorder({Status: daemon_status(), Stop: Stopping(pid=7)})
    printed = type_in("daemon stop", recorder, here=Played(ends=False, daemon=recorder))
    assert (printed.code, printed.out) == (1, "")
    assert "has not ended yet" in printed.err


def test_daemon_stop_without_waiting_says_that_it_was_told() -> None:
    recorder = Recorder({Status: daemon_status(), Stop: Stopping(pid=7)})
    here = Played(daemon=recorder)
    assert type_in("daemon stop --no-wait", recorder, here=here).out == "keptd (pid 7) is stopping\n"
    assert here.awaited == []


def test_a_subscription_by_its_method_follows_as_well() -> None:
    here = Played(event(1, "a"))
    assert "memory.set" in type_in("event subscribe --topics memory", Recorder(), here=here).out
    assert here.asked == [(("memory",), None)]


def test_daemon_start_tells_whether_it_had_to() -> None:
    recorder = Recorder({Status: daemon_status()})
    assert (
        type_in("daemon start", recorder, here=Played(starts=True, daemon=recorder)).out == "keptd is running (pid 7)\n"
    )
    told_people = type_in("daemon start", recorder, here=Played(daemon=recorder)).out
    assert told_people == "keptd runs already (pid 7, for 2 h 1 min)\n"
    told = json.loads(type_in("daemon start --json", recorder, here=Played(starts=True, daemon=recorder)).out)
    assert told["started"] is True
    assert told["daemon"]["pid"] == 7
