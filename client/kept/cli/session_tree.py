"""`kept session tree`: where a conversation comes from, and what continues it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from ..wire import Limit
from ..wire.session import Branch, SessionTree, TreeOfSession
from .markdown import STRONG, styled
from .parse import Command
from .render import show_json
from .sessions import LEAST, title_of
from .surface import FINE, Caller, Surface
from .talk import SessionOrLast, session_id
from .text import cells_of, clean, clip, counted


class DrawTree(Struct, frozen=True, kw_only=True):
    """What a session came from, and what came of it.

    At most `limit` ancestors and as many descendants; it says where there are more. Ask for one of the descendants to
    see what is below it.
    """

    id: SessionOrLast
    limit: Limit = 1000


def tree(wanted: DrawTree, call: Caller, surface: Surface) -> int:
    """Draw where a session comes from, and what continues it."""
    found = call(TreeOfSession(id=session_id(wanted.id, call), limit=wanted.limit))
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
    told = "(deleted)" if branch.status == "missing" else title_of(branch)
    more = [counted(branch.messages, "message")] if branch.status != "missing" else []
    more += [clean(branch.status)] if branch.status not in ("active", "missing") else []
    room = max(surface.columns - len(branch.id) - 2, LEAST)
    if len(lead) > room // 2:
        # So deep that nothing would be left for the title.
        lead = "… " + lead[-(room // 2) :].lstrip(" ")
    head = clip(told, max(room - len(lead), LEAST // 2))
    aside = f" ({', '.join(more)})" if more else ""
    aside = aside if cells_of(lead + head + aside) <= room else ""
    shown = styled(head, STRONG) if surface.colour and is_asked_for else head
    surface.line(f"{clean(branch.id)}  {lead}{shown}{aside}")


SESSION_TREE = Command(
    ("session", "tree"),
    DrawTree,
    tree,
    by_position=("id",),
    examples=("kept session tree last",),
)
