"""A call as bytes and its reply as a result, for every kind of client; which calls may be repeated after a lost
connection, and which daemons can be talked to.

Knows no socket. Owns the idempotency keys: a change without one gets one, so that it can be sent twice and counts once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cache
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from .faults import BadReply, OtherProtocol
from .frames import MESSAGE_BYTES, too_large
from .wire import Call
from .wire.catalog import result_type
from .wire.daemon import Welcome

R = TypeVar("R")

REPLY_BYTES = 64 * 1024 * 1024
"""The longest reply that a client takes."""

OLDEST_PROTOCOL = 1
"""The oldest protocol that has all that this client asks for."""

_KEY = "idempotency_key"

_encode = msgspec.json.Encoder().encode


class Reply(Struct, Generic[R]):
    """A reply with its result decoded in the same pass. Without an id it is a notification, or a refusal of what could
    not be read."""

    id: int | None = None
    result: R | UnsetType = UNSET
    error: dict[str, Any] | None = None


class Plan(Struct, frozen=True):
    """What is prepared once per class of calls."""

    head: bytes
    """From the end of the id to the parameters."""
    decode: Callable[[bytes | memoryview], Reply[Any]]
    decode_result: Callable[[msgspec.Raw], Any]
    is_keyed: bool
    """Whether it has an idempotency key."""
    repeatable: bool
    """Whether it may be sent again when the connection is lost before the reply: reads, what has an idempotency key,
    and what a connection holds or lets go, since that ended with it.

    Not so another control call that does something, such as `daemon.stop`."""


@cache
def plan(call: type[Call[Any]]) -> Plan:
    """The plan for a class of calls."""
    result = result_type(call)
    reply: Any = Reply  # A type that is made at run time is none to the type checker.
    return Plan(
        head=b',"method":' + _encode(call.method) + b',"params":',
        decode=msgspec.json.Decoder(reply[result]).decode,
        decode_result=msgspec.json.Decoder(result).decode,
        is_keyed=_KEY in call.__struct_fields__,
        repeatable=call.is_repeatable or bool(call.holds or call.lets_go),
    )


def new_key() -> str:
    """An idempotency key: 16 hex digits of microseconds since 1970, so that keys sort by time, and 80 random bits."""
    return f"{time.time_ns() // 1000:016x}{os.urandom(10).hex()}"


def with_key(call: Call[R], make: Callable[[], str] = new_key) -> Call[R]:
    """A call that can have an idempotency key and has none, with one; any other as it is."""
    if plan(type(call)).is_keyed and getattr(call, _KEY) is None:
        return msgspec.structs.replace(call, **{_KEY: make()})
    return call


class Keys:
    """The idempotency keys of a command line, made from one: run again, it counts once.

    They go by order and not by content. Where the second run goes another way than the first, since it finds what that
    has left, a key meets another request than before, which is refused; by content, a change could be made twice.
    """

    def __init__(self, first: str) -> None:
        self._first = first
        self._number = 0

    def put_on(self, call: Call[R]) -> Call[R]:
        """As `with_key`, with the next of them."""
        return with_key(call, self._next)

    def _next(self) -> str:
        self._number += 1
        return f"{self._first}-{self._number}"


def request(number: int, call: Call[Any], head: bytes) -> bytes:
    """The line that asks for `call`. Raises `TooLarge` for more than 16 MiB, and `TypeError` for what is no JSON."""
    line = b'{"jsonrpc":"2.0","id":%d%b%b}\n' % (number, head, _encode(call))
    if len(line) > MESSAGE_BYTES:
        raise too_large(MESSAGE_BYTES)
    return line


def unexpected(call: type[Call[Any]], fault: Exception) -> BadReply:
    """The fault for a reply that doesn't decode. It quotes no part of the reply."""
    return BadReply(
        f"the reply to {call.method} is not what this client knows: {type(fault).__name__}; "
        "the daemon may be of another version: restart it with `kept daemon stop`"
    )


def check_protocol(welcome: Welcome) -> None:
    """Raises `OtherProtocol` for a daemon that is too old for this client.

    A newer one is no obstacle: what a protocol adds to results is passed over by whoever does not know it.
    """
    if welcome.protocol < OLDEST_PROTOCOL:
        raise OtherProtocol(
            f"the daemon ({welcome.name} {welcome.version}) speaks protocol {welcome.protocol}, "
            f"this client needs {OLDEST_PROTOCOL} or later: restart the daemon with `kept daemon stop`"
        )
