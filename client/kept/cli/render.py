"""Results as text: a value, a table, or an entity line by line; or one JSON document where that was asked for."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from msgspec import Struct

from ..wire import Call, Done, Page, Write
from ..wire.catalog import calls
from ..wire.context import Bundle, Section
from ..wire.daemon import Reloaded, Stopping
from ..wire.memory import GetMemory, Memory
from .backups import BACKUPS
from .jobs import JOBS
from .maintenance import MAINTENANCE
from .surface import Surface
from .table import table
from .text import age, as_json, clean, clip, measured, one_line, plain, stamp, title
from .trash import TRASH
from .vault_views import VAULT_VIEWS
from .views import views

_WIDEST = 120
"""Cells of what was written that are shown of each part, also where it goes to a program."""


def render(call: Call[Any], result: Any, surface: Surface) -> None:
    """Show the result of `call`."""
    if surface.json:
        show_json(result, surface)
    elif isinstance(call, GetMemory):
        show_value(result, surface)
    elif view := _VIEWS.get(type(call)) or _VIEWS.get(type(result)):
        view(result, surface)
    elif isinstance(result, Page):
        show_page(result, surface, call.method)
    elif isinstance(result, Struct):
        (show_brief if isinstance(call, Write) else show_entity)(result, surface)
    else:
        surface.line(as_json(result, 2))


def show_json(result: Any, surface: Surface) -> None:
    """One JSON document; indented for people."""
    surface.line(as_json(result, 2 if surface.terminal else 0))


def show_value(memory: Memory, surface: Surface) -> None:
    """A value by itself: text as it is, the rest as indented JSON. Only a terminal is guarded from its control
    characters: a file gets what was stored."""
    text = memory.value if isinstance(memory.value, str) else as_json(memory.value, 2)
    surface.line(clean(text) if surface.terminal else text)


def show_page(page: Page[Any], surface: Surface, method: str) -> None:
    """A table, and beside the output how to get at the next page."""
    if not page.items:
        surface.note("nothing there")
        return
    surface.out(table(page.items, surface, acts_by_id(method.partition(".")[0])))
    surface.more(page.next_cursor)


@cache
def acts_by_id(domain: str) -> bool:
    """Whether some method of the domain takes an entity's id, so that people need to see it."""
    return any(name.startswith(domain + ".") and "id" in call.__struct_fields__ for name, call in calls().items())


def show_brief(entity: Struct, surface: Surface) -> None:
    """What was written, each part cut to a line: whoever wrote it knows the rest."""
    _show(entity, surface, brief=True)


def show_entity(entity: Struct, surface: Surface) -> None:
    """Name and value, line by line; what is empty is left out."""
    _show(entity, surface, brief=False)


def _show(entity: Struct, surface: Surface, brief: bool) -> None:
    lists = () if brief else tuple(name for name in entity.__struct_fields__ if _is_list(getattr(entity, name)))
    lines = _lines(entity, surface, without=lists)
    width = max((len(name) for name, _ in lines), default=0)
    room = max(1, min(surface.columns, _WIDEST) - width - 2)
    for name, text in lines:
        # No line shows more than its width; a value may have a million characters.
        shown = clip(one_line(text[: room * 4]), room) if brief else text
        head, *rest = shown.split("\n")
        label = f"{name}:".ljust(width + 1)
        surface.line(f"\x1b[2m{label}\x1b[0m {head}" if surface.colour else f"{label} {head}")
        for line in rest:
            surface.line(" " * (width + 2) + line)
    for name in lists:
        surface.line("")
        surface.line(title(name))
        surface.out(table(getattr(entity, name), surface))


def _is_list(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(isinstance(member, Struct) for member in value)


def _lines(entity: Struct, surface: Surface, prefix: str = "", without: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name in entity.__struct_fields__:
        value = getattr(entity, name)
        label = prefix + title(name)
        if value is None or value == () or (value == "" and name != "value") or name in without:
            continue
        if isinstance(value, Struct):
            found += _lines(value, surface, label + " ")
        else:
            found.append((label, '""' if value == "" else measured(name, value) or _told(value, surface)))
    return found


def _told(value: Any, surface: Surface) -> str:
    if isinstance(value, datetime):
        return f"{age(value, surface.now)} ({stamp(value)})" if surface.terminal else stamp(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return "\n".join(_told_member(member, surface) for member in value)
    return clean(value) if isinstance(value, str) else as_json(value, 2)


def _told_member(member: Any, surface: Surface) -> str:
    if not isinstance(member, Struct):
        return one_line(plain(member))
    return ", ".join(f"{name}: {one_line(text)}" for name, text in _lines(member, surface))


def show_bundle(bundle: Bundle, surface: Surface) -> None:
    """The context: Markdown where the daemon made it, else section by section with what each entry costs."""
    if bundle.unchanged:
        surface.line(f"unchanged ({clean(bundle.etag)})")
    elif bundle.markdown is not None:
        surface.out(clean(bundle.markdown).rstrip("\n") + "\n")
    else:
        for section in bundle.sections:
            _show_section(section, surface)
        surface.line(f"{bundle.tokens} of {bundle.budget_tokens} tokens, etag {clean(bundle.etag)}")


def _show_section(section: Section, surface: Surface) -> None:
    at_least = "at least " if section.uncounted else ""
    left_out = f", {at_least}{section.left_out:,} left out" if section.left_out else ""
    surface.line(f"{clean(section.title)} ({section.tokens} tokens{left_out})")
    for item in section.items:
        stale = f" [stale: {one_line(item.stale)}]" if item.stale else ""
        surface.line(f"  {one_line(item.text)}{stale} ({one_line(item.why)}, {item.tokens})")


def _show_done(done: Done, surface: Surface) -> None:
    named = clean(done.id) if done.label is None else f"{one_line(done.label)} ({clean(done.id)})"
    surface.line(f"deleted {named}" if done.deleted else f"done {named}")


def _show_stopping(stopping: Stopping, surface: Surface) -> None:
    surface.line(f"keptd (pid {stopping.pid}) is stopping")


def _show_reloaded(reloaded: Reloaded, surface: Surface) -> None:
    if not reloaded.applied and not reloaded.needs_restart:
        surface.line("no setting has changed")
    show_entity(reloaded, surface)


_VIEWS = views(
    BACKUPS,
    JOBS,
    MAINTENANCE,
    TRASH,
    VAULT_VIEWS,
    {Bundle: show_bundle, Done: _show_done, Reloaded: _show_reloaded, Stopping: _show_stopping},
)
