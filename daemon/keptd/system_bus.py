"""D-Bus messages as bytes: as much of the protocol as a client needs that calls with texts and hears signals.

Pure: bytes in, messages out, and back. The format is the D-Bus specification's, "Message Protocol" and "Type System".
Refuses what is longer than `MESSAGE_BYTES` (nothing that is asked for here comes near), and header fields of container
types, of which the specification has none. Anybody on the bus can send such a message, so it is skipped: only bytes in
which no message can be told from the next end a connection.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

MESSAGE_BYTES = 64 * 1024

_MOST_BYTES = 128 * 1024 * 1024
"""Of any message, by the specification."""

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
PATH, INTERFACE, MEMBER, ERROR_NAME, REPLY_SERIAL, DESTINATION, SENDER, SIGNATURE, UNIX_FDS = range(1, 10)

_VERSION = 1
_FIXED = 16
"""Bytes of a header before its fields; the last four are their length."""

_STRUCT = 8
"""What each field, and the body, is aligned to."""

_NUMBERS = {"y": "B", "b": "I", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d", "h": "I"}
"""D-Bus's fixed types as `struct` has them; each is aligned to its size."""

_TEXTS = ("s", "o")


class BadMessage(Exception):
    """The bytes are no message, or not the one that was expected."""


class Skipped(NamedTuple):
    """A message that is refused here, of which so many bytes are yet to come."""

    rest: int


class Message(NamedTuple):
    """A message that came. `order` is the byte order of its body, as `struct` writes it."""

    kind: int
    serial: int
    fields: Mapping[int, str | int | float]
    body: bytes
    order: str

    def is_signal(self, sender: str, path: str, interface: str, member: str) -> bool:
        """Whether it is this signal, of whom the bus calls so: by a unique name, but for the bus itself."""
        return self.kind == SIGNAL and (sender, path, interface, member) == tuple(
            self.fields.get(code) for code in (SENDER, PATH, INTERFACE, MEMBER)
        )

    def truth(self) -> bool:
        """The body, which is one BOOLEAN. Raises `BadMessage` for any other."""
        if self.fields.get(SIGNATURE) != "b" or len(self.body) != 4:
            raise BadMessage("the body is no BOOLEAN")
        return bool(_Reader(self.body, self.order).number("b"))

    def texts(self, count: int) -> list[str]:
        """The body, which is so many texts. Raises `BadMessage` for any other."""
        if self.fields.get(SIGNATURE) != "s" * count:
            raise BadMessage("the body is other than texts")
        reader = _Reader(self.body, self.order)
        return [reader.text() for _ in range(count)]


def call(serial: int, destination: str, path: str, interface: str, member: str, *texts: str) -> bytes:
    """A method call whose arguments are texts."""
    body = _Writer()
    for text in texts:
        body.text(text)
    fields = {PATH: ("o", path), INTERFACE: ("s", interface), MEMBER: ("s", member), DESTINATION: ("s", destination)}
    if texts:
        fields[SIGNATURE] = ("g", "s" * len(texts))
    header = _Writer()
    for code, (kind, text) in fields.items():
        header.align(_STRUCT)
        header.data += bytes((code,))
        header.signature(kind)
        header.signature(text) if kind == "g" else header.text(text)
    whole = _Writer()
    whole.data += struct.pack("<cBBBIII", b"l", CALL, 0, _VERSION, len(body.data), serial, len(header.data))
    whole.data += header.data
    whole.align(_STRUCT)
    return bytes(whole.data + body.data)


def take(buffer: bytearray) -> Message | Skipped | None:
    """The first message, out of the buffer; None where not all of it has come. Raises `BadMessage` where no message
    begins: what is behind can't be read either."""
    if len(buffer) < _FIXED:
        return None
    order = {b"l": "<", b"B": ">"}.get(bytes(buffer[:1]))
    if order is None:
        raise BadMessage("no byte order")
    kind, version, body_length, serial, fields_length = struct.unpack_from(f"{order}xBxBIII", buffer)
    begin = _FIXED + -(-fields_length // _STRUCT) * _STRUCT
    length = begin + body_length
    if version != _VERSION or length > _MOST_BYTES:
        raise BadMessage("another version, or too long")
    missing = max(0, length - len(buffer))
    if missing and length <= MESSAGE_BYTES:
        return None
    whole = bytes(buffer[:length])
    del buffer[:length]
    if length > MESSAGE_BYTES:
        return Skipped(missing)
    try:
        fields = _fields(_Reader(whole[: _FIXED + fields_length], order, _FIXED))
    except BadMessage:
        return Skipped(0)
    return Message(kind, serial, fields, whole[begin:], order)


def address(text: str) -> str:
    """Where a bus listens, of an address such as `unix:path=/run/dbus/system_bus_socket`: a path, or a name in the
    abstract namespace behind a NUL; empty where it has no such transport."""
    for one in text.split(";"):
        transport, _, rest = one.partition(":")
        keys = dict(pair.partition("=")[::2] for pair in rest.split(","))
        for key, before in (("path", ""), ("abstract", "\0")):
            if transport == "unix" and keys.get(key):
                return before + unquote_to_bytes(keys[key]).decode(errors="surrogateescape")
    return ""


def _fields(reader: _Reader) -> dict[int, str | int | float]:
    fields: dict[int, str | int | float] = {}
    while not reader.is_at_end():
        reader.align(_STRUCT)
        code = int(reader.number("y"))
        kind = reader.signature()
        if kind == "g":
            fields[code] = reader.signature()
        elif kind in _TEXTS:
            fields[code] = reader.text()
        elif kind in _NUMBERS:
            fields[code] = reader.number(kind)
        else:
            raise BadMessage("a field of a container type")
    return fields


class _Reader:
    """Takes values out of bytes, each at its alignment. Raises `BadMessage` where there is none."""

    def __init__(self, data: bytes, order: str, at: int = 0) -> None:
        self._data = data
        self._order = order
        self._at = at

    def is_at_end(self) -> bool:
        return self._at >= len(self._data)

    def align(self, to: int) -> None:
        self._at = -(-self._at // to) * to

    def number(self, kind: str) -> int | float:
        form = struct.Struct(self._order + _NUMBERS[kind])
        self.align(form.size)
        value: int | float = form.unpack(self._bytes(form.size))[0]
        return value

    def text(self) -> str:
        return self._text(int(self.number("u")))

    def signature(self) -> str:
        return self._text(int(self.number("y")))

    def _text(self, length: int) -> str:
        raw = self._bytes(length + 1)
        try:
            return raw[:-1].decode()
        except UnicodeDecodeError:
            raise BadMessage("a text that is not UTF-8") from None

    def _bytes(self, length: int) -> bytes:
        end = self._at + length
        if end > len(self._data):
            raise BadMessage("a value that is longer than its message")
        raw, self._at = self._data[self._at : end], end
        return raw


class _Writer:
    """Puts values behind one another, little-endian, each at its alignment."""

    def __init__(self) -> None:
        self.data = bytearray()

    def align(self, to: int) -> None:
        self.data += bytes(-len(self.data) % to)

    def text(self, text: str) -> None:
        raw = text.encode()
        self.align(4)
        self.data += struct.pack("<I", len(raw)) + raw + b"\0"

    def signature(self, text: str) -> None:
        raw = text.encode()
        self.data += bytes((len(raw),)) + raw + b"\0"
