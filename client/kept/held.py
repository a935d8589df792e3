"""What a client's connection holds, such as its place in a session, so that the one after it holds the same.

Owns which calls those are: each says of itself whether it takes hold of something (`Call.holds`) or lets it go
(`Call.lets_go`). Knows no socket: the clients make the calls again, before anything else that they were asked for.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from .wire import Call
from .wire.errors import KeptError

LetGo = Callable[[Call[Any], KeptError], object]
"""Called with what could not be held on to when the connection was made anew, and the daemon's refusal."""


class NotHeld(UserWarning):
    """What a client held could not be taken hold of again on a new connection: the session was deleted meanwhile."""


def warn(call: Call[Any], refusal: KeptError) -> None:
    """Tell it as a Python warning, where nobody asked to be told otherwise."""
    warnings.warn(f"{call.method} was refused on a new connection: {refusal.message}", NotHeld, stacklevel=2)


class Held:
    """The calls to make again, in the order in which they were made first. Belongs to one client.

    What a new connection is refused is held no more, and is told to whoever asked for it (`told`).
    """

    def __init__(self, told: LetGo = warn) -> None:
        self._told = told
        self._calls: dict[tuple[type[Call[Any]], Any], Call[Any]] = {}

    def note(self, call: Call[Any]) -> None:
        """Take in that a call was carried out."""
        if call.holds is not None:
            self._calls[type(call), getattr(call, call.holds)] = call
        elif call.lets_go is not None and call.lets_go.holds is not None:
            self._calls.pop((call.lets_go, getattr(call, call.lets_go.holds)), None)

    def calls(self) -> tuple[Call[Any], ...]:
        """What a new connection has to begin with."""
        return tuple(self._calls.values())

    def refuse(self, call: Call[Any], refusal: KeptError) -> None:
        """It is held no more."""
        if call.holds is not None:
            self._calls.pop((type(call), getattr(call, call.holds)), None)
        self._told(call, refusal)

    def clear(self) -> None:
        """The connection was ended on purpose, and all that it held with it."""
        self._calls.clear()
