"""Tables: which columns a kind of item has, and how they share the width. Knows types, not domains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from msgspec import Struct

from .surface import Surface
from .text import age, cells_of, clip, one_line, plain, stamp

_GAP = 2
_LEAST = 8
"""Cells below which a column isn't worth showing."""

_WIDEST = 120
"""Cells after which a column is cut, however much room there is: all rows are as wide as the widest."""

_OF_A_HIT = frozenset({"id", "key", "name", "kind", "scope", "snippet", "updated_at", "created_at"})
"""What a search result shows: what it is, and the place that fits instead of the whole."""

_ASIDE = frozenset({"id", "version", "actor", "tier", "score", "session_id", "pid", "uid"})
"""Fields that a list leaves to the detail view: nobody scans a page for them. `id` is in where it is needed to act."""


@dataclass(frozen=True)
class _Column:
    name: str
    cells: list[str]
    least: int
    """The fewest cells that it is of use in: a cut id or time is of none."""

    def natural(self) -> int:
        return max(self.least, min(_WIDEST, max(cells_of(cell) for cell in [self.name, *self.cells])))


def table(items: Sequence[Struct], surface: Surface, acts_by_id: bool) -> str:
    """`items` (at least one) as lines that fit the surface. `acts_by_id` shows the ids, whole."""
    columns = _columns(items, surface, acts_by_id)
    widths = _share([column.natural() for column in columns], [column.least for column in columns], surface.columns)
    columns = columns[: len(widths)]
    heads = [_fit(column.name.replace("_", " ").upper(), width) for column, width in zip(columns, widths, strict=True)]
    head = (" " * _GAP).join(heads).rstrip()
    lines = [f"\x1b[1m{head}\x1b[0m" if surface.colour else head]
    for row in range(len(items)):
        cells = [_fit(column.cells[row], width) for column, width in zip(columns, widths, strict=True)]
        lines.append((" " * _GAP).join(cells).rstrip())
    return "\n".join(lines) + "\n"


def _columns(items: Sequence[Struct], surface: Surface, acts_by_id: bool) -> list[_Column]:
    """The columns that say something, most telling first: what doesn't fit is dropped from the end."""
    names = [name for name in items[0].__struct_fields__ if name not in _ASIDE or (name == "id" and acts_by_id)]
    if "updated_at" in names and "created_at" in names:
        names.remove("created_at")
    if "snippet" in names:
        names = [name for name in names if name in _OF_A_HIT]
    found = []
    for name in names:
        values = [getattr(item, name) for item in items]
        cells = [_cell(value, surface) for value in values]
        if any(cells) and not any(_is_nested(value) for value in values):
            found.append(_Column(name, cells, _least(name, cells, values[0], surface.columns)))
    times = [column for column in found if column.name in {"updated_at", "created_at", "replaced_at"}]
    others = [column for column in found if column not in times]
    # The time comes early in importance, and so before what may be dropped, yet after what the item is about.
    return [*others[:3], *times[:1], *others[3:], *times[1:]]


def _least(name: str, cells: list[str], value: Any, columns: int) -> int:
    natural = max(cells_of(cell) for cell in [name, *cells])
    if name == "id" or isinstance(value, datetime):
        return natural
    # People type keys and names again, so these stay whole as long as they leave room for what they stand for.
    return min(natural, columns // 2 if name in {"key", "name"} else _LEAST)


def _is_nested(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and any(isinstance(member, Struct) for member in value)


def _cell(value: Any, surface: Surface) -> str:
    if value is None or value in ((), []):
        return ""
    if isinstance(value, datetime):
        return age(value, surface.now) if surface.terminal else stamp(value)
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, Struct):
        return _cell(getattr(value, value.__struct_fields__[0]), surface)
    if isinstance(value, tuple):
        return one_line(", ".join(plain(member) for member in value))
    # A cell can't show more than the width; a value may have a million characters.
    return one_line(plain(value)[: surface.columns * 4])


def _share(natural: list[int], least: list[int], columns: int) -> list[int]:
    """Widths for as many of the leading columns as fit; the room that is left is shared as equally as they ask."""
    for count in range(len(natural), 0, -1):
        room = columns - _GAP * (count - 1)
        if sum(least[:count]) <= room or count == 1:
            return _widen([min(width, room) for width in least[:count]], natural[:count], room)
    return []


def _widen(least: list[int], natural: list[int], room: int) -> list[int]:
    widths = list(least)
    spare = room - sum(widths)
    while spare > 0:
        wanting = [at for at, width in enumerate(widths) if width < natural[at]]
        if not wanting:
            break
        each = max(1, spare // len(wanting))
        for at in wanting:
            more = min(each, natural[at] - widths[at], spare)
            widths[at] += more
            spare -= more
    return widths


def _fit(text: str, width: int) -> str:
    """`text` in exactly `width` cells."""
    fitting = clip(text, width)
    return fitting + " " * (width - cells_of(fitting))
