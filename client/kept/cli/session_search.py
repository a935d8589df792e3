"""`kept session search`: what was said, or what a conversation is about, found again."""

from __future__ import annotations

import re
from typing import Annotated, Any

from msgspec import Meta, Struct

from ..wire import Id, Limit, Name, Page, Passed, Project, Query, Syntax, Tag, Time
from ..wire.errors import NotFound
from ..wire.message import FoundMessage, Role, SearchMessages
from ..wire.session import (
    FoundSession,
    GetSession,
    SearchSessions,
    Status,
)
from .markdown import STRONG, draw, styled
from .parse import Command
from .render import show_json
from .sessions import LEAST, WIDEST, title_of
from .surface import FINE, Caller, Surface, UsageError
from .talk import session_id
from .text import cells_of, clean, clip, counted, one_line

_ENDINGS = re.compile("(?:ings?|ed|es|s|ly)$")
_SHORTEST_STEM = 3


class Search(Struct, frozen=True, kw_only=True):
    """Find what was said, in any conversation, best first; with --titles find conversations by title, summary or tag.

    Words are searched for by their stems; "words in quotes" as they follow one another, and begin* by its beginning.
    """

    words: Annotated[tuple[Query, ...], Meta(min_length=1, description="What to search for.")]
    titles: Annotated[bool, Meta(description="Search titles, summaries and tags instead of messages.")] = False
    session: Annotated[Id, Meta(description="Only what was said in this session.")] | None = None
    project: Project | None = None
    tag: Annotated[Tag, Meta(description="Only sessions with this tag.")] | None = None
    status: Annotated[Status, Meta(description="With --titles: only sessions with this status.")] | None = None
    role: Role | None = None
    speaker: Annotated[Name, Meta(description="Only what this one said.")] | None = None
    since: Annotated[Time, Meta(tz=True, description="Only what was said at this time or later.")] | None = None
    until: Annotated[Time, Meta(tz=True, description="Only what was said before this time.")] | None = None
    syntax: Syntax = "words"
    limit: Limit = 10
    offset: Passed = 0


def search(wanted: Search, call: Caller, surface: Surface) -> int:
    """Search messages, or titles."""
    query = " ".join(wanted.words)
    page = _search_titles(wanted, query, call) if wanted.titles else _search_messages(wanted, query, call)
    if surface.json:
        show_json(page, surface)
        return FINE
    if not page.items:
        also = "" if wanted.titles else "; --titles searches titles, summaries and tags"
        surface.note(f"nothing was found{also}")
        return FINE
    titles: dict[str, str] = {}
    marks = _marks(query)
    between = ""
    for found in page.items:
        surface.out(between)
        between = "\n"
        if isinstance(found, FoundSession):
            told = f"{counted(found.messages, 'message')}, {surface.when(found.active_at)}"
            _show_hit(title_of(found), told, found.id, found.snippet, marks, surface)
        else:
            title = _title_of(found.session_id, titles, call)
            speaker = f" ({one_line(found.speaker)})" if found.speaker else ""
            told = f"#{found.number} {clean(found.role)}{speaker}, {surface.when(found.created_at)}"
            _show_hit(title, told, found.session_id, found.snippet, marks, surface)
    return FINE


def _search_messages(wanted: Search, query: str, call: Caller) -> Page[FoundMessage]:
    if wanted.status is not None:
        raise UsageError("--status belongs to a search of titles", "Send --titles as well.")
    session = None if wanted.session is None else session_id(wanted.session, call)
    return call(SearchMessages(query=query, session_id=session, **_given(wanted, *_OF_BOTH, *_OF_MESSAGES)))


def _search_titles(wanted: Search, query: str, call: Caller) -> Page[FoundSession]:
    for name in ("session", *_OF_MESSAGES):
        if getattr(wanted, name) is not None:
            raise UsageError(f"--{name} belongs to a search of messages", f"Leave --titles or --{name} out.")
    return call(SearchSessions(query=query, **_given(wanted, *_OF_BOTH, "status")))


_OF_BOTH = ("project", "tag", "syntax", "limit", "offset")
_OF_MESSAGES = ("role", "speaker", "since", "until")


def _given(wanted: Search, *names: str) -> dict[str, Any]:
    return {name: getattr(wanted, name) for name in names}


def _title_of(session: str, known: dict[str, str], call: Caller) -> str:
    if session not in known:
        try:
            known[session] = title_of(call(GetSession(id=session)))
        except NotFound:
            known[session] = "(deleted meanwhile)"
    return known[session]


def _show_hit(
    title: str, told: str, session: str, snippet: str, marks: re.Pattern[str] | None, surface: Surface
) -> None:
    width = max(min(surface.columns, WIDEST), LEAST)
    title = clip(title, max(width - cells_of(told) - 2, LEAST))
    surface.line(f"{styled(title, STRONG) if surface.colour else title}  {clip(told, width)}")
    for line in draw(one_line(snippet), width - 2, colour=False):
        surface.line("  " + (_marked(line, marks) if surface.colour and marks is not None else line))
    surface.line(f"  kept session show {clean(session)}")


def _marks(query: str) -> re.Pattern[str] | None:
    """What of a snippet is a word that was searched for, as far as its beginning tells."""
    stems = {_ENDINGS.sub("", word) if len(word) > _SHORTEST_STEM + 2 else word for word in re.findall(r"\w+", query)}
    long = sorted(re.escape(stem) for stem in stems if len(stem) >= _SHORTEST_STEM or not stem.isascii())
    return re.compile(rf"\b(?:{'|'.join(long)})\w*", re.IGNORECASE) if long else None


def _marked(line: str, marks: re.Pattern[str]) -> str:
    return marks.sub(lambda found: styled(found[0], STRONG), line)


SESSION_SEARCH = Command(
    ("session", "search"),
    Search,
    search,
    by_position=("words",),
    examples=(
        "kept session search which port",
        "kept session search --titles api --project web-1a2b3c4d",
        "kept session search deploy* --role user --since 7d",
    ),
)
