"""A document of sessions in a file: looked through as a whole, then read session by session.

Holds one session's own fields, or one message, at a time; of the whole only where each session stands. Refuses a
document with the first thing that is wrong in it: the session, the message, the field, and the place in the file.
Knows no table.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple

import msgspec

from kept.wire.errors import Conflict, InvalidParams, KeptError, TooLarge
from kept.wire.session_move import SESSIONS_AT_ONCE

from ..clock import to_micros
from ..domain import Tell
from ..rpc.guard import screened
from ..store.values import encode_value
from .document import (
    ELEMENT_BYTES,
    FORMAT,
    VERSION,
    BadPart,
    Extra,
    MessagePart,
    SessionPart,
    extra_of,
    message_extra,
    read_members,
    read_message,
    read_session,
)
from .rows import New
from .scan import BadText, Scanner
from .store import DEEPEST

UNKNOWN = 32
UNKNOWN_BYTES = 8 * 1024 * 1024
"""Members that this version doesn't know, of a document or of an entry, and their bytes as they stand; more are
refused."""

_HINT = "Nothing was imported. Mend the document there, or export it again."


class Span(NamedTuple):
    """Where a value stands in the file."""

    offset: int
    length: int


class Entry(NamedTuple):
    """A session of a document, and where its parts stand."""

    number: int
    id: str | None
    parent_id: str | None
    session: Span
    messages_at: int | None
    unknown: tuple[tuple[str, Span], ...]
    messages: int
    bytes: int
    """What its messages will take, as `session.bytes` counts."""


class Incoming(NamedTuple):
    """A message as it will be stored: `new`, and what a message that is said now has no choice of."""

    id: str | None
    new: New
    created_at: int | None
    """In microseconds."""
    actor: str | None
    extra: str | None


class _Unknown(msgspec.Struct, frozen=True):
    unknown: dict[str, Any]


class Document:
    """One document. `survey` first, once; then `entries` can be read."""

    def __init__(self, source: BinaryIO, size: int, policy: str, deepest: int) -> None:
        """`policy` is what to do with a credential, `deepest` how deep a message or a session may nest."""
        self._source = source
        self._size = size
        self._policy = policy
        self._deepest = deepest
        self._begin = 0
        self._document: dict[str, Any] = {}
        self.entries: tuple[Entry, ...] = ()

    def survey(self, tell: Tell) -> None:
        """Look at everything in it, and find its sessions. Raises `InvalidParams`, `Conflict` for a newer version,
        `SecretFound` and `TooLarge`, which all say where."""
        self._pass_mark()
        scanner = self._scanner(self._begin)
        with _told():
            self._check_form()
            entries: list[Entry] = []
            unknown = _Members(scanner)
            seen = _Once(scanner)
            for name in scanner.members():
                seen(name)
                if name == "sessions":
                    for number in scanner.elements():
                        if number == SESSIONS_AT_ONCE:
                            raise TooLarge(f"the document has more than {SESSIONS_AT_ONCE} sessions")
                        entries.append(self._survey_entry(scanner, number, tell))
                elif name in ("format", "version", "exported_at"):
                    scanner.value()
                else:
                    unknown.take(name)
            scanner.end()
            if "sessions" not in seen:
                scanner.fail("the document has no sessions")
            self._document = self._unknown("", scanner, unknown.found)
            extra_of(self._document, {}, {})
        _check_line(entries)
        self.entries = tuple(entries)

    def session(self, entry: Entry) -> tuple[SessionPart, Extra]:
        """A session's own fields, and what has no column. Raises as `survey`."""
        with _told():
            scanner = self._scanner(entry.session.offset)
            part = self._session(scanner, scanner.value(), entry.number)
            members = {name: self._scanner(span.offset).value() for name, span in entry.unknown}
            unknown = self._unknown(f"sessions[{entry.number}].", scanner, members)
            return part, extra_of({} if entry.number else self._document, unknown, part.extra)

    def messages(self, entry: Entry) -> Iterator[tuple[Incoming, int]]:
        """Its messages in order, each with how far the file has been read. Raises as `survey`."""
        if entry.messages_at is not None:
            scanner = self._scanner(entry.messages_at)
            with _told():
                for number in scanner.elements():
                    yield self._message(scanner, scanner.value(), entry.number, number), scanner.offset

    def trusted(self) -> None:
        """What was looked through once needs no second look for credentials, where they would have been refused."""
        if self._policy == "refuse":
            self._policy = "allow"

    def _scanner(self, offset: int) -> Scanner:
        self._source.seek(offset)
        # A session stands four levels deep, which only what is passed over unread sees.
        return Scanner(self._source, ELEMENT_BYTES, self._deepest + 4, begin=offset)

    def _check_form(self) -> None:
        """Before anything else is looked at, wherever it stands: a later version may look different everywhere."""
        scanner = self._scanner(self._begin)
        found: dict[str, Any] = {}
        for name in scanner.members():
            if name in ("format", "version"):
                found[name] = _plain(scanner.value())
                if len(found) == len(("format", "version")):
                    break
            else:
                scanner.skip()
        version = found.get("version")
        if found.get("format") != FORMAT or not isinstance(version, int) or isinstance(version, bool) or version < 1:
            raise InvalidParams(
                f'this is no document of sessions: it must have "format": "{FORMAT}" and a version',
                hint="kept session export ID makes one; only its JSON form can be imported.",
                field="format" if found.get("format") != FORMAT else "version",
            )
        if version > VERSION:
            raise Conflict(
                f"the document has version {version} of its format, and this kept reads up to {VERSION}",
                hint="Nothing was imported. Install the version of kept that wrote it, or a later one.",
                version=version,
            )
        self._source.seek(self._begin)

    def _pass_mark(self) -> None:
        """Editors on Windows put a mark of the encoding in front of a text. That of UTF-8 is passed over, as RFC 8259
        allows; in another the text is no JSON to anybody."""
        self._source.seek(0)
        first = self._source.read(len(codecs.BOM_UTF8))
        if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise InvalidParams(
                "the document is in UTF-16, and JSON is in UTF-8", hint="Nothing was imported. Save it as UTF-8."
            )
        self._begin = len(first) if first == codecs.BOM_UTF8 else 0

    def _survey_entry(self, scanner: Scanner, number: int, tell: Tell) -> Entry:
        seen = _Once(scanner)
        part: SessionPart | None = None
        session, messages_at, count, size = Span(0, 0), None, 0, 0
        unknown = _Members(scanner)
        for name in scanner.members():
            seen(name)
            begin = scanner.offset
            if name == "session":
                part = self._session(scanner, scanner.value(), number)
                session = Span(begin, scanner.offset - begin)
            elif name == "messages":
                messages_at = begin
                for place in scanner.elements():
                    size += self._message(scanner, scanner.value(), number, place).new.bytes
                    count += 1
                    tell(scanner.offset, self._size, "checking")
            else:
                unknown.take(name)
        tell(scanner.offset, self._size, "checking")
        if part is None:
            scanner.fail(f"sessions[{number}] has no session")
        beside = self._unknown(f"sessions[{number}].", scanner, unknown.found)
        extra_of({}, beside, part.extra)
        return Entry(number, part.id, part.parent_id, session, messages_at, tuple(unknown.spans), count, size)

    def _session(self, scanner: Scanner, raw: bytes, number: int) -> SessionPart:
        place = f"sessions[{number}].session"
        with _placed(scanner, raw, place):
            part = screened(read_session(raw, self._deepest), self._policy, f"{place}.")
            encode_value("metadata", part.metadata)
            return part

    def _message(self, scanner: Scanner, raw: bytes, session: int, number: int) -> Incoming:
        place = f"sessions[{session}].messages[{number}]"
        with _placed(scanner, raw, place):
            part: MessagePart = screened(read_message(raw, self._deepest), self._policy, f"{place}.")
            new = New(part.role, part.speaker, part.content, encode_value("metadata", part.metadata))
            created_at = None if part.created_at is None else to_micros(part.created_at)
            return Incoming(part.id, new, created_at, part.actor, message_extra(part))

    def _unknown(self, place: str, scanner: Scanner, members: dict[str, bytes]) -> dict[str, Any]:
        with _placed(scanner, b"", place.rstrip(".")):
            return screened(_Unknown(read_members(members, self._deepest)), self._policy, place).unknown


class _Members:
    """Members that this version doesn't know: their text, and where it stands."""

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self._bytes = 0
        self.found: dict[str, bytes] = {}
        self.spans: list[tuple[str, Span]] = []

    def take(self, name: str) -> None:
        """The value that comes next."""
        begin = self._scanner.offset
        self.found[name] = self._scanner.value()
        self._bytes += len(self.found[name])
        if len(self.found) > UNKNOWN or self._bytes > UNKNOWN_BYTES:
            self._scanner.fail(f"more than {UNKNOWN} unknown members, or than {UNKNOWN_BYTES} bytes of them")
        self.spans.append((name, Span(begin, self._scanner.offset - begin)))


class _Once:
    """Refuses a name that comes twice in one object: one of the two values would be lost."""

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self._names: set[str] = set()

    def __call__(self, name: str) -> None:
        if name in self._names:
            self._scanner.fail("a member stands twice in one object")
        self._names.add(name)

    def __contains__(self, name: str) -> bool:
        return name in self._names


def _plain(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None


@contextmanager
def _told() -> Iterator[None]:
    """Makes a text that can't be read a refusal that says where."""
    try:
        yield
    except BadText as bad:
        raise InvalidParams(
            f"{bad.why} (line {bad.line}, byte {bad.offset})", hint=_HINT, line=bad.line, offset=bad.offset
        ) from None


@contextmanager
def _placed(scanner: Scanner, raw: bytes, place: str) -> Iterator[None]:
    """Says of what is wrong with a part which part it is, and where it stands."""
    try:
        yield
    except BadPart as bad:
        raise _refusal(InvalidParams, scanner, raw, f"{place}.{bad.field}".strip("."), bad.why) from None
    except TooLarge as refusal:
        field = f"{place}.{refusal.data.get('field', '')}".strip(".")
        raise _refusal(TooLarge, scanner, raw, field, refusal.message) from None


def _refusal(kind: type[KeptError], scanner: Scanner, raw: bytes, field: str, why: str) -> KeptError:
    at = scanner.about(raw, why)
    told = f"{field}: {why}" if field else why
    return kind(f"{told} (line {at.line}, byte {at.offset})", hint=_HINT, field=field, line=at.line, offset=at.offset)


def _check_line(entries: list[Entry]) -> None:
    """Raises `InvalidParams` where two sessions have one id, or a session descends from itself, or from too many."""
    parents: dict[str, str | None] = {}
    for entry in entries:
        if entry.id is not None:
            if entry.id in parents:
                raise _bad_entry(entry, "id", "another session of the document has the same id")
            parents[entry.id] = entry.parent_id
    depth: dict[str, int] = {}
    for entry in entries:
        line: list[str] = []
        at = entry.id
        while at is not None and at in parents and at not in depth:
            depth[at] = 0
            line.append(at)
            at = parents[at]
        if at in line:
            raise _bad_entry(entry, "parent_id", "the session descends from itself")
        above = depth.get(at, 0) if at is not None else 0
        for below, one in enumerate(reversed(line), 1):
            depth[one] = above + below
        if line and depth[line[0]] > DEEPEST:
            raise _bad_entry(entry, "parent_id", f"the session has more than {DEEPEST} ancestors")


def _bad_entry(entry: Entry, field: str, why: str) -> InvalidParams:
    place = f"sessions[{entry.number}].session.{field}"
    return InvalidParams(f"{place}: {why} (byte {entry.session.offset})", hint=_HINT, field=place)
