"""Frames: bytes in, JSON-RPC messages out, and back. No socket, no loop, no method is known here.

A frame is one line of UTF-8 that holds one JSON text. Owns the limits that must hold before anything is decoded: the
length of a line and the depth of its nesting (the decoder recurses, and decoding costs memory in proportion to the
line).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from .wire.errors import InvalidRequest, KeptError, ParseError, TooLarge

MESSAGE_BYTES = 16 * 1024 * 1024
DEPTH = 64

RequestId = str | int | float | None


class Request(Struct, frozen=True):
    """A call, or a notification where `id` is unset."""

    jsonrpc: Literal["2.0"]
    method: str
    params: Raw = Raw()
    id: str | int | float | UnsetType | None = UNSET


class Result(Struct, frozen=True, tag_field="jsonrpc", tag="2.0"):
    """A successful reply."""

    id: RequestId
    result: Any


class Failure(Struct, frozen=True, tag_field="jsonrpc", tag="2.0"):
    """A refusal: `error` is the error object."""

    id: RequestId
    error: dict[str, Any]


class Notification(Struct, frozen=True, tag_field="jsonrpc", tag="2.0"):
    """A message that wants no reply."""

    method: str
    params: Any


class Incoming(Struct, frozen=True):
    """What a client receives: a reply to `id`, or a notification with a `method`."""

    jsonrpc: Literal["2.0"]
    id: RequestId = None
    method: str = ""
    params: Raw = Raw()
    result: Raw = Raw()
    error: dict[str, Any] | None = None


class Splitter:
    """Cuts a stream of chunks into lines, holding at most `limit` bytes of an unfinished one.

    A line past the limit is dropped up to its end, and reported once, as `None` in the place of the line.
    """

    def __init__(self, limit: int = MESSAGE_BYTES) -> None:
        self._limit = limit
        self._held = bytearray()
        self._dropping = False

    @property
    def held(self) -> int:
        """Bytes of the unfinished line."""
        return len(self._held)

    def feed(self, chunk: bytes) -> list[bytes | None]:
        """The lines that `chunk` completes, without their ends and without blank ones."""
        if not self._held and not self._dropping and chunk.endswith(b"\n") and chunk.find(b"\n") == len(chunk) - 1:
            return self._whole(chunk[:-1])
        *ended, rest = chunk.split(b"\n")
        lines: list[bytes | None] = []
        for piece in ended:
            lines += self._finish(piece)
        if rest and not self._dropping:
            self._held += rest
            if len(self._held) > self._limit:
                self._held = bytearray()
                self._dropping = True
                lines.append(None)
        return lines

    def _finish(self, piece: bytes) -> list[bytes | None]:
        if self._dropping:
            self._dropping = False
            return []
        if not self._held:
            return self._whole(piece)
        line = bytes(self._held + piece)
        self._held = bytearray()
        return self._whole(line)

    def _whole(self, line: bytes) -> list[bytes | None]:
        if len(line) > self._limit:
            return [None]
        return [line] if line and not line.isspace() else []


_NOT_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))
_TO_BRACKETS = bytes.maketrans(b"{}", b"[]")


def too_deep(line: bytes, depth: int = DEPTH) -> bool:
    """Whether the JSON text nests deeper than `depth`; in time linear in the line, without recursion.

    Text that is no JSON may be called too deep or not; it is refused either way.
    """
    if line.count(b"[") + line.count(b"{") <= depth:
        return False
    if b"\\" in line:
        line = line.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Outside of strings stand the even pieces between quotes.
    skeleton = b"".join(line.translate(_TO_BRACKETS, _NOT_STRUCTURE).split(b'"')[::2])
    for _ in range(depth):
        if not skeleton:
            return False
        skeleton = skeleton.replace(b"[]", b"")  # just one level: what it leaves is not looked at again
    return bool(skeleton)


_VERSION = 'Expected "2.0" - at `$.jsonrpc`'
"""The decoder would quote what came instead."""

_decode_request = msgspec.json.Decoder(Request).decode
_decode_batch = msgspec.json.Decoder(list[Raw]).decode
_decode_any = msgspec.json.Decoder().decode
_decode_incoming = msgspec.json.Decoder(Incoming).decode
_encode = msgspec.json.Encoder().encode


def decode_request(line: bytes | Raw) -> Request:
    """One request. Raises `ParseError` for what is no JSON, `InvalidRequest` (with the id as `request_id`, where
    there is a valid one) for JSON that is no request."""
    try:
        return _decode_request(line)
    except msgspec.ValidationError as refusal:
        reason = _VERSION if "$.jsonrpc" in str(refusal) else str(refusal)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise ParseError(f"not a JSON text: {_reason(fault)}") from None
    try:
        message = _decode_any(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise ParseError(f"not a JSON text: {_reason(fault)}") from None
    raise BadRequest(f"not a JSON-RPC 2.0 request: {reason}", _id_of(message))


def decode_batch(line: bytes) -> list[Raw]:
    """The members of a batch. Raises `ParseError`, or `InvalidRequest` for an empty one."""
    try:
        batch = _decode_batch(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise ParseError(f"not a JSON text: {_reason(fault)}") from None
    if not batch:
        raise InvalidRequest("an empty batch")
    return batch


def decode_incoming(line: bytes) -> Incoming:
    """What a daemon sent. Raises `ParseError` for anything else."""
    try:
        return _decode_incoming(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise ParseError(f"the daemon sent something else than JSON-RPC 2.0: {_reason(fault)}") from None


class BadRequest(InvalidRequest):
    """An `InvalidRequest` that knows the id to answer with; None where there was no valid one."""

    def __init__(self, message: str, request_id: RequestId) -> None:
        super().__init__(message)
        self.request_id = request_id


def encode_result(request_id: RequestId, result: Any) -> bytes:
    """A reply, without the end of the line (it may become part of a batch)."""
    return _encode(Result(request_id, result))


def encode_failure(request_id: RequestId, error: KeptError) -> bytes:
    """A refusal, without the end of the line."""
    return _encode(Failure(request_id, error.to_wire()))


def encode_notification(method: str, params: Any) -> bytes:
    """A notification, without the end of the line."""
    return _encode(Notification(method, params))


def too_large(limit: int) -> TooLarge:
    """The refusal of a line past the limit."""
    return TooLarge(f"the message is longer than {limit} bytes", limit=limit)


def _id_of(message: Any) -> RequestId:
    found = message.get("id") if isinstance(message, dict) else None
    return found if isinstance(found, (str, int, float)) and not isinstance(found, bool) else None


def _reason(fault: Exception) -> str:
    if isinstance(fault, UnicodeDecodeError):
        return f"byte {fault.start} is not UTF-8"
    if isinstance(fault, RecursionError):
        return "nested too deeply"
    return str(fault)
