"""What was said in a session, as people read it: who and when in a line, and below it, indented, the words.

The indentation is what keeps a message from passing for the beginning of another. Reads page by page, and never has
more than a page in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from msgspec import Struct

from ..wire import Time
from ..wire.message import ListMessages, Message, ParentSummary
from ..wire.session import Session, SessionStats
from .markdown import STRONG, draw, plain, styled
from .render import show_entity
from .surface import Caller, Surface
from .text import as_json, clean, clip, counted, duration, one_line, roughly, size

_PAGE = 200
"""Messages that are asked for at once; the daemon ends a page after 8 MiB."""

_WIDEST = 100
"""Longer lines are hard to read, however wide the terminal is."""

_INDENT = "  "
_LEAST = 10
_LABELS = 14
"""Cells of a label in the head."""


class _Head(Struct, frozen=True, kw_only=True):
    """What stands above the messages."""

    id: str
    status: str
    project: str | None
    tags: str
    continues: str | None
    summary: str
    there_now: str
    attached: str
    begun: Time
    last_active: Time
    size: str
    warning: str


def messages(call: Caller, session_id: str, after: int, upto: int) -> Iterator[Message]:
    """The messages with numbers from after `after` to `upto`, oldest first."""
    while after < upto:
        page = call(ListMessages(session_id=session_id, after=after, limit=min(_PAGE, upto - after)))
        if not page.items:
            return
        yield from page.items
        after = page.items[-1].number


def show_head(session: Session, stats: SessionStats, surface: Surface) -> None:
    """What the session is, who is there, and how large it is."""
    room = max(min(surface.columns, _WIDEST) - _LABELS, _LEAST)
    title = clip(one_line(session.title) or "(no title yet)", max(surface.columns, _LEAST))
    surface.line(styled(title, STRONG) if surface.colour else title)
    children = f", {stats.children:,} sessions continue it" if stats.children > 1 else ""
    children = ", one session continues it" if stats.children == 1 else children
    head = _Head(
        id=session.id,
        status=session.status,
        project=session.project,
        tags="\n".join(draw(", ".join(map(one_line, session.tags)), room, colour=False)),
        continues=session.parent_id,
        summary="\n".join(draw(session.summary or "", room, colour=False)),
        there_now="\n".join(
            clip(f"{one_line(each.client)} (pid {each.pid}, for {_since(each.since, surface)})", room)
            for each in session.attached
        ),
        attached=_attached(stats),
        begun=session.created_at,
        last_active=session.active_at,
        size=f"{counted(session.messages, 'message')}, {size(session.bytes)}, {stats.tokens:,} tokens{children}",
        warning="\n".join(line for each in stats.warnings for line in draw(f"{each.text} {each.hint}", room, False)),
    )
    show_entity(head, surface)


def _since(moment: Time, surface: Surface) -> str:
    return roughly(max((surface.now - moment) / timedelta(seconds=1), 0))


def _attached(stats: SessionStats) -> str:
    if not stats.attachments:
        return ""
    return f"{counted(stats.attachments, 'time')}, for {duration(stats.attached_seconds)} in all"


def show_parent(parent: ParentSummary, surface: Surface) -> None:
    """What came of the session before."""
    _show(f"what came before: {one_line(parent.title)}", _body(parent.summary, surface), surface)


def show_messages(said: Iterable[Message], surface: Surface) -> None:
    """Each message as it comes; with `--json` as one document a line."""
    for message in said:
        if surface.json:
            surface.line(as_json(message, 0))
        else:
            verbatim = message.role == "tool"
            _show(_heading(message, surface), _body(message.content, surface, verbatim=verbatim), surface)


def show_document(members: dict[str, Struct], said: Iterable[Message], surface: Surface) -> None:
    """One JSON document of some members and `messages`, of which each is on a line of its own."""
    surface.out("{")
    for name, value in members.items():
        surface.out(f'"{name}":{as_json(value, 0)},')
    surface.out('"messages":[')
    between = "\n"
    for message in said:
        surface.out(between + as_json(message, 0))
        between = ",\n"
    surface.out("]}\n")


def _show(heading: str, body: Iterable[str], surface: Surface) -> None:
    lines = [styled(heading, STRONG) if surface.colour else heading]
    lines += [_INDENT + line if line else "" for line in body]
    # In one piece, so that two programs that write to one terminal don't mix within a message.
    surface.out("\n" + "\n".join(lines) + "\n")


def _heading(message: Message, surface: Surface) -> str:
    who = clean(message.role) + (f" ({one_line(message.speaker)})" if message.speaker else "")
    when = surface.when(message.created_at)
    return clip(f"#{message.number} {who}, {when}", max(surface.columns, _LEAST))


def _body(text: str, surface: Surface, verbatim: bool = False) -> Iterator[str]:
    whole = text.strip("\n")
    if not whole.strip():
        return iter(("(empty)",))
    if verbatim or not (surface.terminal or surface.colour):
        return plain(whole)
    return draw(whole, max(min(surface.columns, _WIDEST) - len(_INDENT), _LEAST), surface.colour)
