"""Laws of the forms: a document comes back as it was, and nothing that was said can pass for structure."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from kept.wire.session import CreateSession, DeleteSession
from kept.wire.session_move import ExportSession
from keptd.sessions import DOMAIN, document, staging
from keptd.sessions.document import session_row
from keptd.sessions.importing import _batches
from keptd.sessions.incoming import Document
from keptd.sessions.prose import Markdown, Plain
from keptd.sessions.rows import MessageRow, SessionRow
from keptd.sessions.staging import Arrival
from keptd.store.ids import new_id
from keptd.trash.store import Stay
from tests.rooms import Rooms

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAME = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)
TIME = st.datetimes(datetime(1, 2, 1), datetime(9999, 12, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001 - the zone is added
    lambda moment: moment.isoformat().replace("+00:00", "Z")
)
UNKNOWN = st.dictionaries(st.text(max_size=5).map(lambda name: f"x{name}"), JSON, max_size=2)

MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(("user", "assistant", "system", "tool")), "content": TEXT},
    optional={"speaker": st.none() | NAME, "metadata": JSON, "created_at": TIME, "actor": NAME},
)
SESSION = st.fixed_dictionaries(
    {},
    optional={
        "title": NAME,
        "project": st.none() | NAME,
        "status": st.sampled_from(("active", "closed", "archived")),
        "summary": st.none() | TEXT.filter(bool),
        "max_context_messages": st.none() | st.integers(1, 1_000_000),
        "metadata": JSON,
        "tags": st.lists(NAME, max_size=3, unique=True),
        "attached_us": st.integers(0, 2**53),
        "attachments": st.integers(0, 2**53),
        "version": st.integers(1, 2**53),
        **dict.fromkeys(("active_at", "created_at", "updated_at", "closed_at"), TIME),
        "actor": NAME,
    },
)


@st.composite
def trees(draw: st.DrawFn) -> dict[str, Any]:
    """A document with a tree of sessions: the first is the ancestor of all."""
    sessions: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 4))):
        own = {**draw(SESSION), **draw(UNKNOWN), "id": f"s-{number}"}
        if number:
            own["parent_id"] = f"s-{draw(st.integers(0, number - 1))}"
        said = draw(st.lists(MESSAGE, max_size=4))
        messages = [{**one, **draw(UNKNOWN), "id": f"m-{number}-{place}"} for place, one in enumerate(said)]
        sessions.append({"session": own, "messages": messages, **draw(UNKNOWN)})
    order = draw(st.permutations(sessions[1:]))
    return {"format": "kept.session", "version": 1, "sessions": [sessions[0], *order], **draw(UNKNOWN)}


@contextmanager
def home() -> Iterator[Rooms]:
    """Sessions on an empty database."""
    with tempfile.TemporaryDirectory() as folder:
        rooms = Rooms(Path(folder), [DOMAIN])
        try:
            yield rooms
        finally:
            rooms.close()


def take(rooms: Rooms, text: bytes) -> None:
    """Import, without the daemon around it."""
    found = Document(io.BytesIO(text), len(text), "allow", 64)
    found.survey(lambda _done, _total, _text: None)
    now = rooms.clock.now()
    arrivals = []
    with rooms.writer as db:
        for entry in found.entries:
            part, extra = found.session(entry)
            seq = staging.begin(db, session_row(part, new_id(), now, "tester"), extra)
            for batch, _ in _batches(found.messages(entry)):
                staging.fill(db, seq, batch, now, "tester")
            arrivals.append(Arrival(seq, part.id, part.parent_id))
        told = staging.publish(db, arrivals, "new_id", staging.Log(now, 0, "tester", lambda *_: None, Stay(now, now)))
    assert not told.warnings


def give(rooms: Rooms, session_id: str, form: str = "json") -> str:
    """Export a tree."""
    parts, cursor = [], None
    while True:
        part = rooms(ExportSession(id=session_id, tree=True, format=form, cursor=cursor))  # type: ignore[arg-type]
        parts.append(part.text)
        cursor = part.next_cursor
        if cursor is None:
            return "".join(parts)


def plain(value: Any) -> Any:
    """A document with what may be missing left out, in which a JSON text and what was read from it are the same."""
    return json.loads(json.dumps(value))


@settings(max_examples=60, deadline=None)
@given(whole=trees(), indent=st.none() | st.integers(0, 3), sort_keys=st.booleans())
def test_what_is_imported_is_exported_again(whole: dict[str, Any], indent: int | None, sort_keys: bool) -> None:
    with home() as rooms:
        take(rooms, json.dumps(whole, indent=indent, sort_keys=sort_keys).encode())
        text = give(rooms, "s-0")
        again = json.loads(text)
        by_id = {one["session"]["id"]: one for one in again["sessions"]}
        assert by_id.keys() == {one["session"]["id"] for one in whole["sessions"]}
        for one in whole["sessions"]:
            found = by_id[one["session"]["id"]]
            assert {**found, **{name: value for name, value in one.items() if name.startswith("x")}} == found
            wanted = dict(one["session"])
            if wanted.get("status", "active") == "active":
                wanted.pop("closed_at", None)
            assert {**found["session"], **plain(wanted)} == found["session"]
            assert len(found["messages"]) == len(one["messages"])
            for number, (said, heard) in enumerate(zip(one["messages"], found["messages"], strict=True), 1):
                assert {**heard, **plain(said), "number": number} == heard
        assert {**again, **{name: value for name, value in whole.items() if name.startswith("x")}} == again


@settings(max_examples=60, deadline=None)
@given(whole=trees())
def test_an_export_into_an_empty_home_is_exported_byte_for_byte(whole: dict[str, Any]) -> None:
    with home() as first, home() as second:
        take(first, json.dumps(whole).encode())
        text = give(first, "s-0")
        take(second, text.encode())
        assert give(second, "s-0") == text


class Shown(NamedTuple):
    """What a reader of an export can tell: the headings, and behind each what is quoted."""

    heading: str
    quoted: list[str]


HOSTILE = st.lists(
    st.sampled_from(
        (
            *("# h", "### 1. user (x)", "===", "---", "```", "~~~", "<!--", "-->", "<div>", "</div>", "[a]: http://b"),
            *("[a]", "> q", ">", "* l", "1. l", "    code", "\t", "| a |", "\\", "&amp;", "", " ", "***", "<script>"),
        )
    )
    | TEXT,
    max_size=6,
).flatmap(
    lambda lines: st.sampled_from(("\n", "\r\n", "\r", "\u2028", "\x0b", "\x85", "\n\n")).map(
        lambda end: end.join(lines)
    )
)


def row(title: str, summary: str | None, count: int) -> SessionRow:
    part = document.read_session(b"{}", 64)
    return session_row(part, "s-1", 0, "tester")._replace(title=title, summary=summary, messages=count)


def written(form: Markdown | Plain, title: str, summary: str | None, said: list[tuple[str | None, str]]) -> str:
    """An export of a session whose messages have these speakers and texts."""
    extra = document.Extra()
    pieces = [form.head(row(title, summary, len(said)), extra, first=True)]
    for number, (speaker, content) in enumerate(said, 1):
        message = MessageRow(0, f"m-{number}", number, "user", speaker, content, "null", 0, "tester")
        pieces.append(form.message(message, None, first=number == 1))
    return b"".join(pieces).decode()


def cut(text: str) -> list[str]:
    """The lines of a text, however they end."""
    for end in ("\r\n", *"\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"):
        text = text.replace(end, "\n")
    return text.split("\n")


def read_markdown(text: str) -> list[Shown]:
    """By lines, as a person or a simple program reads it."""
    found: list[Shown] = []
    for line in text.splitlines():
        if line.startswith("#"):
            found.append(Shown(line, []))
        elif line.startswith(">"):
            found[-1].quoted.append(line[2:])
    return found


@settings(max_examples=300, deadline=None)
@given(title=NAME, summary=st.none() | HOSTILE, said=st.lists(st.tuples(st.none() | NAME, HOSTILE), max_size=4))
def test_nothing_that_was_said_breaks_out_of_the_markdown(
    title: str, summary: str | None, said: list[tuple[str | None, str]]
) -> None:
    text = written(Markdown(), title, summary, said)
    found = read_markdown(text)
    messages = [one for one in found if one.heading.startswith("### ")]
    assert [one.quoted for one in messages] == [cut(content) for _, content in said]
    assert [one.quoted for one in found if one.heading == "## Summary"] == ([] if summary is None else [cut(summary)])

    tokens = [token for token in MarkdownIt("commonmark").parse(text) if token.level == 0 and token.nesting >= 0]
    kinds = [(token.type, token.tag) for token in tokens]
    expected = [("heading_open", "h1"), ("bullet_list_open", "ul")]
    expected += [("heading_open", "h2"), ("blockquote_open", "blockquote")] if summary is not None else []
    expected += [("heading_open", "h2")] if said else []
    expected += [("heading_open", "h3"), ("blockquote_open", "blockquote")] * len(said)
    assert [kind for kind in kinds if kind[0] != "inline"] == expected


MARKED = st.sampled_from(
    ("*a*", "_a_", "`a`", "[a](b)", "![a](b)", "<b>", "<http://a>", "&amp;", "a #", "\\*a*", "~~a~~")
)


@settings(max_examples=100, deadline=None)
@given(title=NAME | MARKED, speaker=NAME | MARKED)
def test_names_are_plain_text_in_a_heading(title: str, speaker: str) -> None:
    tokens = MarkdownIt("commonmark").parse(written(Markdown(), title, None, [(speaker, "x")]))
    headings = [tokens[at + 1].children or [] for at, token in enumerate(tokens) if token.type == "heading_open"]
    said = f"1. user, {' '.join(speaker.split())} (1970-01-01 00:00:00 UTC)"
    wanted = (" ".join(title.split()) or "Session without a title", "Messages", " ".join(said.split()))
    for children, shown in zip(headings, wanted, strict=True):
        assert {child.type for child in children} <= {"text", "text_special"}
        assert " ".join("".join(child.content for child in children).split()) == shown


@settings(max_examples=200, deadline=None)
@given(summary=st.none() | HOSTILE, said=st.lists(st.tuples(st.none() | NAME, HOSTILE), max_size=4))
def test_nothing_that_was_said_reaches_the_margin_of_the_text(
    summary: str | None, said: list[tuple[str | None, str]]
) -> None:
    lines = written(Plain(), "t", summary, said).splitlines()
    found: list[list[str]] = []
    for at, line in enumerate(lines):
        if line.startswith("["):
            end = at + 1
            while end < len(lines) and (not lines[end] or lines[end].startswith("    ")):
                end += 1
            found.append([inner[4:] for inner in lines[at + 1 : end]])
    assert len(found) == len(said)
    for shown, (_, content) in zip(found, said, strict=True):
        # An empty line stands before the next message.
        assert shown in (cut(content), [*cut(content), ""])


def test_a_session_that_was_deleted_keeps_its_id_from_being_taken() -> None:
    with home() as rooms:
        kept = rooms(CreateSession(title="x"))
        rooms(DeleteSession(id=kept.id))
        with rooms.writer as db:
            assert staging.present(db, json.dumps([kept.id])) == frozenset()
