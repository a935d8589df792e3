"""`kept session ls`, `search`, `tree` and `stats`: conversations found again, and how they hang together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from ..wire import Cursor, Id, Limit, Name, Page, Passed, Project, Query, Syntax, Tag, Time
from ..wire.errors import NotFound
from ..wire.message import FoundMessage, Role, SearchMessages
from ..wire.session import (
    Branch,
    FoundSession,
    GetSession,
    ListSessions,
    SearchSessions,
    Session,
    SessionStats,
    SessionTree,
    StatsOfSession,
    Status,
    TreeOfSession,
)
from .markdown import STRONG, draw, styled
from .parse import Command
from .render import show_entity, show_json
from .surface import FINE, Caller, Surface, UsageError
from .table import Row, table
from .talk import session_id
from .text import age, cells_of, clean, clip, counted, duration, one_line, size, stamp

_ROOMY = 120
"""Columns from which the table says who is there, and not only how many."""

_WIDEST = 100
_LEAST = 16
_ENDINGS = re.compile("(?:ings?|ed|es|s|ly)$")
_SHORTEST_STEM = 3


class ListThem(Struct, frozen=True, kw_only=True):
    """List conversations, those that were last active first: how much was said, and who is there now.

    Archived ones only with --status archived.
    """

    status: Annotated[Status, Meta(description="Only those with this status.")] | None = None
    project: Project | None = None
    parent: Annotated[Id, Meta(description="Only those that continue this session.")] | None = None
    tag: Annotated[Tag, Meta(description="Only those with this tag.")] | None = None
    limit: Limit = 20
    cursor: Cursor | None = None


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


class _SessionRow(Row, frozen=True, kw_only=True):
    last_columns = ("msgs", "status", "project")
    right_columns = ("active",)

    id: str
    title: str
    msgs: int
    active: str
    here: str
    status: str
    project: str


def ls(wanted: ListThem, call: Caller, surface: Surface) -> int:
    """List sessions."""
    parent = None if wanted.parent is None else session_id(wanted.parent, call)
    listing = ListSessions(
        status=wanted.status,
        project=wanted.project,
        parent_id=parent,
        tag=wanted.tag,
        limit=wanted.limit,
        cursor=wanted.cursor,
    )
    page = call(listing)
    if surface.json:
        show_json(page, surface)
        return FINE
    if not page.items:
        surface.note("no such session" if any((wanted.status, wanted.project, parent, wanted.tag)) else _NONE_YET)
        return FINE
    surface.out(table([_row(session, surface) for session in page.items], surface))
    if page.next_cursor:
        surface.note(f"more: repeat with --cursor {clean(page.next_cursor)}")
    return FINE


_NONE_YET = "no sessions yet; kept session new TITLE begins one"


def _row(session: Session, surface: Surface) -> _SessionRow:
    names = sorted({one_line(each.client) for each in session.attached})
    says_who = not surface.terminal or surface.columns >= _ROOMY
    return _SessionRow(
        id=clean(session.id),
        title=_title(session),
        msgs=session.messages,
        active=_when(session.active_at, surface),
        here=", ".join(names) if says_who else (f"{len(session.attached)}" if names else ""),
        status="" if session.status == "active" else clean(session.status),
        project=one_line(session.project or ""),
    )


def _title(session: Session | Branch) -> str:
    return one_line(session.title) or "(no title yet)"


def _when(moment: Time, surface: Surface) -> str:
    return age(moment, surface.now) if surface.terminal else stamp(moment)


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
            told = f"{counted(found.messages, 'message')}, {_when(found.active_at, surface)}"
            _show_hit(_title(found), told, found.id, found.snippet, marks, surface)
        else:
            title = _title_of(found.session_id, titles, call)
            speaker = f" ({one_line(found.speaker)})" if found.speaker else ""
            told = f"#{found.number} {clean(found.role)}{speaker}, {_when(found.created_at, surface)}"
            _show_hit(title, told, found.session_id, found.snippet, marks, surface)
    return FINE


def _search_messages(wanted: Search, query: str, call: Caller) -> Page[FoundMessage]:
    if wanted.status is not None:
        raise UsageError("--status belongs to a search of titles", "Send --titles as well.")
    return call(
        SearchMessages(
            query=query,
            session_id=None if wanted.session is None else session_id(wanted.session, call),
            project=wanted.project,
            tag=wanted.tag,
            role=wanted.role,
            speaker=wanted.speaker,
            since=wanted.since,
            until=wanted.until,
            syntax=wanted.syntax,
            limit=wanted.limit,
            offset=wanted.offset,
        )
    )


def _search_titles(wanted: Search, query: str, call: Caller) -> Page[FoundSession]:
    for name in ("session", "role", "speaker", "since", "until"):
        if getattr(wanted, name) is not None:
            raise UsageError(f"--{name} belongs to a search of messages", f"Leave --titles or --{name} out.")
    return call(
        SearchSessions(
            query=query,
            project=wanted.project,
            tag=wanted.tag,
            status=wanted.status,
            syntax=wanted.syntax,
            limit=wanted.limit,
            offset=wanted.offset,
        )
    )


def _title_of(session: str, known: dict[str, str], call: Caller) -> str:
    if session not in known:
        try:
            known[session] = _title(call(GetSession(id=session)))
        except NotFound:
            known[session] = "(deleted meanwhile)"
    return known[session]


def _show_hit(
    title: str, told: str, session: str, snippet: str, marks: re.Pattern[str] | None, surface: Surface
) -> None:
    width = max(min(surface.columns, _WIDEST), _LEAST)
    title = clip(title, max(width - cells_of(told) - 2, _LEAST))
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


def tree(wanted: TreeOfSession, call: Caller, surface: Surface) -> int:
    """Draw where a session comes from, and what continues it."""
    found = call(msgspec.structs.replace(wanted, id=session_id(wanted.id, call)))
    if surface.json:
        show_json(found, surface)
        return FINE
    if found.more_ancestors:
        surface.note(f"further up there are more: kept session tree {clean(found.ancestors[-1].id)}")
    for branch, lead in _drawn(found):
        _show_branch(branch, lead, branch is found.session, surface)
    if found.more_descendants:
        surface.note("further down there are more: ask for one of the last, or with a larger --limit")
    return FINE


def _drawn(found: SessionTree) -> Iterator[tuple[Branch, str]]:
    """Each session with the lines in front of it: ancestors from the first, the session, what descends from it."""
    line = [*reversed(found.ancestors), found.session]
    for depth, branch in enumerate(line):
        yield branch, "   " * (depth - 1) + "└─ " if depth else ""
    shift = "   " * (len(line) - 1)
    yield from zip(found.descendants, _leads(found.descendants, shift), strict=True)


def _leads(branches: Sequence[Branch], shift: str) -> list[str]:
    """The lines in front of each of the descendants, which follow one another as `session.tree` gives them."""
    leads: list[str] = []
    goes_on: set[int] = set()
    """Depths at which a sister follows below."""
    for branch in reversed(branches):
        depth = branch.depth
        goes_on = {each for each in goes_on if each <= depth}
        corner = "├─ " if depth in goes_on else "└─ "
        rails = "".join("│  " if each in goes_on else "   " for each in range(1, depth))
        leads.append(shift + rails + corner)
        goes_on.add(depth)
    return leads[::-1]


def _show_branch(branch: Branch, lead: str, is_asked_for: bool, surface: Surface) -> None:
    told = "(deleted)" if branch.status == "missing" else _title(branch)
    more = [counted(branch.messages, "message")] if branch.status != "missing" else []
    more += [clean(branch.status)] if branch.status not in ("active", "missing") else []
    room = max(surface.columns - len(branch.id) - 2, _LEAST)
    if len(lead) > room // 2:
        # So deep that nothing would be left for the title.
        lead = "… " + lead[-(room // 2) :].lstrip(" ")
    head = clip(told, max(room - len(lead), _LEAST // 2))
    aside = f" ({', '.join(more)})" if more else ""
    aside = aside if cells_of(lead + head + aside) <= room else ""
    shown = styled(head, STRONG) if surface.colour and is_asked_for else head
    surface.line(f"{clean(branch.id)}  {lead}{shown}{aside}")


class _Stats(Struct, frozen=True, kw_only=True):
    """What is told of a session's size."""

    title: str
    messages: str
    size: str
    tokens: str
    first_message: Time | None
    last_message: Time | None
    there_now: str
    attached: str
    continued_by: str
    warning: str


def stats(wanted: StatsOfSession, call: Caller, surface: Surface) -> int:
    """Tell how large a session is."""
    found = call(msgspec.structs.replace(wanted, id=session_id(wanted.id, call)))
    if surface.json:
        show_json(found, surface)
    else:
        show_entity(_told(found, surface), surface)
    return FINE


def _told(found: SessionStats, surface: Surface) -> _Stats:
    room = max(min(surface.columns, _WIDEST) - _LEAST, _LEAST)
    roles = [f"{role} {count:,}" for role, count in msgspec.structs.asdict(found.by_role).items() if count]
    by_role = f" ({', '.join(roles)})" if len(roles) > 1 else ""
    return _Stats(
        title=clip(one_line(found.title) or "(no title yet)", room),
        messages=f"{found.messages:,}{by_role}",
        size=size(found.bytes),
        tokens=f"{found.tokens:,}",
        first_message=found.first_message_at,
        last_message=found.last_message_at,
        there_now=counted(found.attached_now, "client") if found.attached_now else "",
        attached=f"{counted(found.attachments, 'time')}, for {duration(found.attached_seconds)} in all"
        if found.attachments
        else "",
        continued_by=counted(found.children, "session") if found.children else "",
        warning="\n".join(line for each in found.warnings for line in draw(f"{each.text} {each.hint}", room, False)),
    )


SESSIONS = (
    Command(
        ("session", "ls"),
        ListThem,
        ls,
        examples=("kept session ls", "kept session ls --tag api --limit 5", "kept session ls --parent last"),
    ),
    Command(
        ("session", "search"),
        Search,
        search,
        by_position=("words",),
        examples=(
            "kept session search which port",
            "kept session search --titles api --project web-1a2b3c4d",
            "kept session search deploy* --role user --since 7d",
        ),
    ),
    Command(
        ("session", "tree"),
        TreeOfSession,
        tree,
        by_position=("id",),
        examples=("kept session tree last",),
    ),
    Command(
        ("session", "stats"),
        StatsOfSession,
        stats,
        by_position=("id",),
        examples=("kept session stats last",),
    ),
)
