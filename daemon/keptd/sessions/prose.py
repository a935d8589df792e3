"""Sessions for people: as Markdown, and as plain text. Pure.

What was said can hold anything. In Markdown each of its lines stands in a block quote, in plain text behind four
spaces, so that nothing in it can pass for a heading, or end what stands around it: a line is cut wherever any program
may cut one. Names in headings are escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from ..clock import to_time
from .document import Extra
from .rows import MessageRow, SessionRow, decode_tags

NO_VALUE = "null"

_BREAK = re.compile("\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
"""Where `str.splitlines` cuts; of these CommonMark 0.31 (section 2.1) knows line feed and carriage return."""

_MARKS = re.compile(r"([\\`*_{}\[\]<>#&!|~])")
_UNSAFE_IN_JSON = re.compile("[\x7f-\x9f\u2028\u2029]")


class _Prose:
    """What both forms have: nothing around the whole, and nothing behind a session."""

    def beginning(self, _exported_at: int, _extra: Extra) -> bytes:
        """Nothing."""
        return b""

    def tail(self, _extra: Extra) -> bytes:
        """Nothing."""
        return b""

    def ending(self) -> bytes:
        """Nothing."""
        return b""


class Markdown(_Prose):
    """CommonMark: a heading of level 1 for each session, of level 3 for each message, and nothing else of level 3."""

    def head(self, row: SessionRow, extra: Extra, *, first: bool) -> bytes:
        """The session's title, what is known of it, and its summary."""
        parts = ["" if first else "\n", f"# {_escaped(row.title) or 'Session without a title'}\n\n"]
        parts += [f"- {name}: {_escaped(value)}\n" for name, value in _facts(row, extra)]
        if row.summary is not None:
            parts.append(f"\n## Summary\n\n{_quoted(row.summary)}")
        if row.metadata != NO_VALUE:
            parts.append(f"\n## Metadata\n\n{_fenced(row.metadata)}")
        if row.messages:
            parts.append("\n## Messages\n")
        return "".join(parts).encode()

    def message(self, said: MessageRow, _extra: str | None, *, first: bool) -> bytes:  # noqa: ARG002 - one shape
        """A heading, the text as a block quote, and the metadata, if any, as a second one."""
        who = said.role if said.speaker is None else f"{said.role}, {_escaped(said.speaker)}"
        text = f"\n### {said.number}. {who} ({_stamp(said.created_at)})\n\n{_quoted(said.content)}"
        if said.metadata != NO_VALUE:
            text += f"\nMetadata:\n\n{_fenced(said.metadata)}"
        return text.encode()


class Plain(_Prose):
    """Text: what is the form's own begins at the margin, what was said four spaces behind it."""

    def head(self, row: SessionRow, extra: Extra, *, first: bool) -> bytes:
        """The session's title, what is known of it, and its summary."""
        parts = ["" if first else "\n", f"SESSION {_one_line(row.title) or 'without a title'}\n"]
        parts += [f"{name}: {_one_line(value)}\n" for name, value in _facts(row, extra)]
        if row.summary is not None:
            parts.append(f"Summary:\n{_indented(row.summary)}")
        if row.metadata != NO_VALUE:
            parts.append(f"Metadata:\n{_indented(_safe(row.metadata))}")
        return "".join(parts).encode()

    def message(self, said: MessageRow, _extra: str | None, *, first: bool) -> bytes:  # noqa: ARG002 - one shape
        """A line that says who and when, and the text."""
        who = said.role if said.speaker is None else f"{said.role}, {_one_line(said.speaker)}"
        text = f"\n[{said.number}] {who} ({_stamp(said.created_at)})\n{_indented(said.content)}"
        if said.metadata != NO_VALUE:
            text += f"Metadata:\n{_indented(_safe(said.metadata))}"
        return text.encode()


def _facts(row: SessionRow, extra: Extra) -> Iterator[tuple[str, str]]:
    yield "Id", row.id
    yield "Status", row.status
    parent_id = row.parent_id or extra.parent_id
    if parent_id is not None:
        yield "Continues", parent_id
    if row.project is not None:
        yield "Project", row.project
    tags = decode_tags(row.tags)
    if tags:
        yield "Tags", ", ".join(tags)
    yield "Begun", f"{_stamp(row.created_at)} by {row.actor}"
    yield "Last active", _stamp(row.active_at)
    yield "Messages", f"{row.messages}"


def _stamp(micros: int) -> str:
    moment: datetime = to_time(micros)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _lines(text: str) -> list[str]:
    return _BREAK.split(text)


def _quoted(text: str) -> str:
    return "".join(f"> {line}\n" if line else ">\n" for line in _lines(text))


def _fenced(value: str) -> str:
    """JSON on one line, none of which begins with a fence."""
    return f"> ```json\n> {_safe(value)}\n> ```\n"


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" if line else "\n" for line in _lines(text))


def _one_line(text: str) -> str:
    return " ".join(_BREAK.sub(" ", text).split())


def _escaped(text: str) -> str:
    return _MARKS.sub(r"\\\1", _one_line(text))


def _safe(value: str) -> str:
    """JSON that no program cuts into lines; it reads back the same."""
    return _UNSAFE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", value)
