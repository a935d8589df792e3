"""A person at the command line: types words, and gets what is printed. Behind it stands a recorder, or real domains."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import msgspec

from kept.cli import run
from kept.cli.surface import Caller, Here, NeedsCaller, Surface
from kept.wire import Call
from kept.wire.catalog import result_type
from tests.rooms import Rooms

R = TypeVar("R")

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Printed:
    """What came of a command; `local` where it asked to be run by the caller."""

    code: int
    out: str
    err: str
    local: bool = False


class Recorder:
    """A `Caller` that notes the calls, and answers each with what it was given for its class, or raises it."""

    def __init__(self, answers: dict[type[Call[Any]], Any] | None = None) -> None:
        self.answers = answers or {}
        self.calls: list[Call[Any]] = []

    def __call__(self, call: Call[R], /) -> R:
        self.calls.append(call)
        answer = self.answers.get(type(call), {})
        if isinstance(answer, Exception):
            raise answer
        return cast("R", answer)

    @property
    def last(self) -> Any:
        return self.calls[-1]


class OverTheWire:
    """A `Caller` in front of domains: what they give arrives as it would over a socket."""

    def __init__(self, rooms: Rooms) -> None:
        self.rooms = rooms

    def __call__(self, call: Call[R], /) -> R:
        result = msgspec.json.encode(self.rooms(call))
        return cast("R", msgspec.json.decode(result, type=result_type(type(call))))


def type_in(
    words: str | list[str],
    call: Caller,
    *,
    columns: int = 80,
    terminal: bool = True,
    colour: bool = False,
    stdin: str | None = None,
    here: Here | None = None,
    now: datetime = NOW,
) -> Printed:
    """Run a command line as the daemon does, unless `here` is a client's process."""
    out: list[str] = []
    err: list[str] = []
    surface = Surface(out.append, err.append, columns=columns, terminal=terminal, colour=colour, here=here, now=now)
    if stdin is not None:
        surface = surface.reading(stdin)
    try:
        code = run(shlex.split(words) if isinstance(words, str) else words, call, surface)
    except NeedsCaller:
        return Printed(0, "".join(out), "".join(err), local=True)
    return Printed(code, "".join(out), "".join(err))
