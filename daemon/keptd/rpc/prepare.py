"""Preparation: a line of bytes becomes work that needs no more checking, or a refusal. Pure; may run in any thread.

Everything that can be refused without looking at the state is refused here: depth, JSON, the request's form, the
method, its parameters, and text that looks like a credential.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple, get_type_hints

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from kept.frames import BadRequest, Request, RequestId, decode_batch, decode_request, too_deep
from kept.wire import VALUE_BYTES, Call, Control, Read, Write
from kept.wire.errors import KeptError, MethodNotFound, ParseError, TooLarge

from ..config import Config
from ..domain import Handler
from ..store.unforeseen import guarded
from ..store.values import encode_value
from .guard import guard
from .params import Params

CANCEL = "$/cancelRequest"


class Cancel(Struct, frozen=True):
    """The parameters of a `$/cancelRequest`."""

    id: str | int | float | None


class Method:
    """A handler, with what a request for it needs at hand, and how long its requests took.

    `calls`, `seconds` in all and at `worst` are counted on the loop's thread, from where a request is begun until its
    reply is ready: for a write the wait for its commit is part of that.
    """

    __slots__ = (
        *(
            "at_once",
            "call",
            "calls",
            "decode",
            "heavy",
            "is_async",
            "kind",
            "name",
            "run",
            "seconds",
            "worst",
        ),
    )

    def __init__(self, handler: Handler) -> None:
        self.call = handler.call
        self.name = handler.call.method
        self.decode = Params(handler.call).decode
        self.heavy = handler.heavy
        self.kind = next(kind for kind in (Read, Write, Control) if issubclass(handler.call, kind))
        self.run = handler.run
        self.at_once = handler.at_once
        self.is_async = inspect.iscoroutinefunction(handler.run)
        self.calls = 0
        self.seconds = 0.0
        self.worst = 0.0

    def took(self, seconds: float) -> None:
        """Count a request."""
        self.calls += 1
        self.seconds += seconds
        if seconds > self.worst:  # noqa: PLR1730 - a call of max() costs as much as all of the rest
            self.worst = seconds


class Refusal(NamedTuple):
    """An error reply; to nobody where the id is unset."""

    request_id: RequestId | UnsetType
    error: KeptError


class Task(NamedTuple):
    """A checked call for a method; `size` is what it took in bytes. A notification has no id."""

    request_id: RequestId | UnsetType
    method: Method
    call: Any
    size: int


Work = Task | Refusal | Cancel

_decode_cancel = msgspec.json.Decoder(Cancel).decode


def prepare(line: bytes, methods: Mapping[str, Method], config: Config) -> Work | list[Work]:
    """Read a line; a list for a batch."""
    limits = config.limits
    if fault := _not_utf8(line):
        return Refusal(None, fault)
    if too_deep(line, limits.depth):
        return Refusal(None, TooLarge(f"the message nests deeper than {limits.depth}", limit=limits.depth))
    if line[0] != 0x5B and line.lstrip()[:1] != b"[":
        return _prepare_one(line, len(line), methods, config)
    try:
        batch = decode_batch(line)
    except KeptError as refusal:
        return Refusal(None, refusal)
    if len(batch) > limits.batch:
        return Refusal(
            None, TooLarge(f"a batch of {len(batch)} requests; at most {limits.batch} are taken", limit=limits.batch)
        )
    return [_prepare_one(message, len(bytes(message)), methods, config) for message in batch]


def _not_utf8(line: bytes) -> ParseError | None:
    # The decoder passes over strings that it is not asked for, and those of the parameters, without looking at them.
    if not line.isascii():
        try:
            line.decode()
        except UnicodeDecodeError as fault:
            return ParseError(f"not a JSON text: byte {fault.start} is not UTF-8")
    return None


def _prepare_one(line: bytes | Raw, size: int, methods: Mapping[str, Method], config: Config) -> Work:
    try:
        request = decode_request(line)
    except BadRequest as refusal:
        return Refusal(refusal.request_id, refusal)
    except ParseError as refusal:
        return Refusal(None, refusal)
    method = methods.get(request.method)
    if method is None:
        return _prepare_unknown(request)
    try:
        call = guarded(method.name, lambda: _checked(method, request, config))
    except KeptError as refusal:
        return Refusal(request.id, refusal)
    return Task(request.id, method, call, size)


def _checked(method: Method, request: Request, config: Config) -> Call[Any]:
    call: Call[Any] = method.decode(request.params)
    if len(bytes(request.params)) > VALUE_BYTES:
        # Else it is found by the writer, which would do that for the next in line as well.
        for name in _open_fields(method.call):
            encode_value(name, getattr(call, name))
    return guard(call, config.secrets.on_secret)


@cache
def _open_fields(call: type[Call[Any]]) -> tuple[str, ...]:
    """The fields that take any JSON. Looked up when a request is large enough to need them: for all calls it would be a
    third of what a start of the daemon takes."""
    return tuple(name for name, kind in get_type_hints(call).items() if kind is Any)


def _prepare_unknown(request: Request) -> Work:
    if request.method == CANCEL and request.id is UNSET:
        try:
            return _decode_cancel(request.params)
        except msgspec.DecodeError:
            pass  # A notification can't be answered, not even when it is wrong.
    return Refusal(request.id, MethodNotFound("there is no method of that name"))
