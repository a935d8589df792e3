"""Tables: which columns a kind of item has, and how they share the width. Knows types, not domains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from msgspec import Struct

from .surface import Surface
from .text import cells_of, clip, measured, one_line, plain, title

_GAP = 2
_LEAST = 8
"""Cells below which a column isn't worth showing."""

_TEXT_LEAST = 16
"""The same for a column of prose."""

_LEADING_LEAST = 24
"""The same for what the items are about."""

_LEADING_WISH = 40
"""Cells that this column gets before others are shown beside it."""

_WIDEST = 120
"""Cells after which a column is cut, however much room there is: all rows are as wide as the widest."""

_LONGEST_KEY = 200

_HANDLE_MOST = 40
"""Cells up to which what people type stands in a column, however narrow the table is; beyond half of the width it has a
line of its own, so that one long name leaves the other columns where they are."""

_NARROW = 50
"""Columns below which a table shows nothing whole: each item gets lines of its own."""

_OF_A_HIT = frozenset({"id", "key", "name", "kind", "scope", "snippet", "updated_at", "created_at"})
"""What a search result shows: what it is, and the place that fits instead of the whole."""

_BESIDE = frozenset({"scope", "kind", "seq", "at", "method"})
"""Fields that stand before what an item is about."""

_ASIDE = frozenset({"id", "version", "actor", "tier", "score", "session_id", "pid", "uid"})
"""Fields that a list leaves to the detail view: nobody scans a page for them. `id` is in where it is needed to act."""


class Row(Struct, frozen=True):
    """A line of a table that was made for people: its fields are the columns in order. The first is what people type,
    and never cut. Nor are those in `whole_columns`: a cell that has no room has a line of its own below its row. Those
    in `last_columns` are the first to go where there is no room; those in `right_columns`, and numbers, are aligned to
    the right."""

    whole_columns: ClassVar[tuple[str, ...]] = ()
    last_columns: ClassVar[tuple[str, ...]] = ()
    right_columns: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True)
class _Column:
    name: str
    cells: list[str]
    least: int
    """The fewest cells that it is of use in: a cut handle or time is of none."""
    handle: bool
    """Whether people type it to act on an item, so that it is never cut or left out."""
    leading: bool
    """Whether it tells what an item is about."""
    right: bool = False
    """Whether it is aligned to the right."""
    late: bool = False
    """Whether others have their room first."""
    whole: bool = False
    """Whether a cell of it is never cut."""
    apart: frozenset[int] = frozenset()
    """The rows of the cells that have lines of their own."""

    @property
    def title(self) -> str:
        return title(self.name)

    def longest(self) -> int:
        within = (cell for row, cell in enumerate(self.cells) if row not in self.apart)
        return max(cells_of(cell) for cell in [self.title, *within])

    def stands_apart(self, room: int) -> _Column:
        """The same, with cells that take more room in lines of their own."""
        rows = frozenset(row for row, cell in enumerate(self.cells) if cells_of(cell) > room)
        moved = replace(self, apart=rows)
        return replace(moved, least=moved.longest()) if rows else self

    def has_within(self) -> bool:
        """Whether a cell stands in it."""
        return any(cell for row, cell in enumerate(self.cells) if row not in self.apart)

    def natural(self) -> int:
        return max(self.least, min(_WIDEST, self.longest()))


def table(items: Sequence[Struct], surface: Surface, acts_by_id: bool = False) -> str:
    """`items` (at least one) as lines that fit the surface; only what people type again may be longer than a line.

    Where the width is too small for a table that says something, each item gets lines of its own. `acts_by_id` tells
    that people act on items by their ids.
    """
    columns = _as_given(items, items[0], surface) if isinstance(items[0], Row) else _columns(items, surface, acts_by_id)
    columns = _eased(columns, surface.columns)
    chosen = _fitting(columns, surface.columns)
    lines = (
        _rows(chosen, [column for column in columns if column.whole], surface) if chosen else _records(columns, surface)
    )
    return "\n".join(lines) + "\n"


def show_rows(
    rows: Sequence[Row], surface: Surface, *, nothing: str, below: str = "", cursor: str | None = None
) -> None:
    """A list as a table, and beside the output what to do with it and how to get at the next page; or what to say
    where it has `nothing`."""
    if not rows:
        surface.note(nothing)
        return
    surface.out(table(rows, surface))
    if below:
        surface.note(below)
    surface.more(cursor)


def _eased(columns: Sequence[_Column], width: int) -> list[_Column]:
    """The columns, with what would take the room of others, and may not be cut, in lines of its own."""
    columns = [_handle_eased(column, width) if column.handle else column for column in columns]
    others = [column for column in columns if not (column.whole or column.late)]
    left = width - _room_of(others) - _GAP
    return [column.stands_apart(left) if column.whole else column for column in columns]


def _handle_eased(column: _Column, width: int) -> _Column:
    """As `_eased`. Where most are long, they stay in their column as long as another has room beside it."""
    moved = column.stands_apart(max(_HANDLE_MOST, width // 2))
    fits = column.least + _GAP + _LEADING_LEAST <= width
    return column if fits and len(moved.apart) * 2 > len(column.cells) else moved


def _rows(columns: Sequence[_Column], whole: Sequence[_Column], surface: Surface) -> Iterator[str]:
    widths = _widen(columns, surface.columns - _GAP * (len(columns) - 1))
    heads = [_fit(column.title.upper(), width, column.right) for column, width in zip(columns, widths, strict=True)]
    head = (" " * _GAP).join(heads).rstrip()
    yield f"\x1b[1m{head}\x1b[0m" if surface.colour else head
    for row in range(len(columns[0].cells)):
        shown = ["" if row in column.apart else column.cells[row] for column in columns]
        yield from (column.cells[row] for column in columns if column.handle and row in column.apart)
        cells = [_fit(cell, width, column.right) for cell, column, width in zip(shown, columns, widths, strict=True)]
        yield (" " * _GAP).join(cells).rstrip()
        for column in whole:
            if column.cells[row] and (row in column.apart or column not in columns):
                yield f"{' ' * _GAP}{column.title}: {column.cells[row]}"


def _records(columns: Sequence[_Column], surface: Surface) -> Iterator[str]:
    """Each item as what it is about, and below it the rest, line by line."""
    first = columns[0] if columns[0].handle else next((column for column in columns if column.leading), columns[0])
    others = [column for column in columns if column is not first]
    for row, cell in enumerate(first.cells):
        head = cell if first.handle else clip(cell or "-", surface.columns)
        yield f"\x1b[1m{head}\x1b[0m" if surface.colour else head
        for column in others:
            if column.cells[row]:
                line = f"  {column.title}: {column.cells[row]}"
                yield line if column.handle or column.whole else clip(line, surface.columns)


def _as_given(items: Sequence[Struct], like: Row, surface: Surface) -> list[_Column]:
    """The columns that say something, in the order of the row."""
    first, *_ = names = like.__struct_fields__
    found: list[_Column] = []
    for name in names:
        values = [getattr(item, name) for item in items]
        cells = [_cell(name, value, surface) for value in values]
        if any(cells):
            natural = max(cells_of(cell) for cell in [title(name), *cells])
            whole = name in like.whole_columns
            least = natural if name == first or whole or natural <= _TEXT_LEAST else _TEXT_LEAST
            right = name in like.right_columns or all(isinstance(value, (int, float)) for value in values if value)
            found.append(_Column(name, cells, least, name == first, False, right, name in like.last_columns, whole))
    return found


def _columns(items: Sequence[Struct], surface: Surface, acts_by_id: bool) -> list[_Column]:
    """The columns that say something, most telling first, ids last."""
    names = [name for name in items[0].__struct_fields__ if name not in _ASIDE or (name == "id" and acts_by_id)]
    if "updated_at" in names and "created_at" in names:
        names.remove("created_at")
    if "snippet" in names:
        names = [name for name in names if name in _OF_A_HIT]
    if "label" in names:
        # What a change was about, before what kind of thing it is.
        names.remove("label")
        names.insert(names.index("entity"), "label")
    handle = "id" if acts_by_id else next((name for name in names if name in {"key", "name"}), None)
    found: list[_Column] = []
    for name in names:
        values = [getattr(item, name) for item in items]
        cells = [_cell(name, value, surface) for value in values]
        if any(cells) and not any(_is_nested(value) for value in values):
            is_handle = name == handle
            leads = not (is_handle or name in _BESIDE or any(column.leading for column in found))
            least = _least(name, cells, values[0], is_handle=is_handle, leads=leads)
            found.append(_Column(name, cells, least, is_handle, leads))
    times = [column for column in found if column.name in {"updated_at", "created_at", "replaced_at"}]
    ids = [column for column in found if column.name == "id" or column.name.endswith("_id")]
    others = [column for column in found if column not in times and column not in ids]
    # The time comes early in importance, and so before what may be dropped, yet after what the item is about.
    return [*others[:3], *times[:1], *others[3:], *times[1:], *ids]


def _least(name: str, cells: list[str], value: Any, is_handle: bool, leads: bool) -> int:
    natural = max(cells_of(cell) for cell in [title(name), *cells])
    if is_handle or name.endswith("_id") or isinstance(value, datetime):
        return natural
    if leads:
        return min(natural, _LEADING_LEAST)
    return natural if natural <= _LEAST else min(natural, _TEXT_LEAST)


def _is_nested(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and any(isinstance(member, Struct) for member in value)


def _cell(name: str, value: Any, surface: Surface) -> str:
    if value is None or value in ((), []):
        return ""
    if (told := measured(name, value)) is not None:
        return told
    if isinstance(value, datetime):
        return surface.when(value)
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, Struct):
        first = value.__struct_fields__[0]
        return _cell(first, getattr(value, first), surface)
    if isinstance(value, tuple):
        return one_line(", ".join(plain(member) for member in value))
    # A cell can't show more than the width, or a key's length; a value may have a million characters.
    return one_line(plain(value)[: max(surface.columns * 4, _LONGEST_KEY)])


def _fitting(columns: Sequence[_Column], width: int) -> list[_Column]:
    """The columns that have room, in order: the handle and what the items are about, then as many others as may be;
    none where these two have no room."""
    chosen = [column for column in columns if column.handle or column.leading]
    wish = sum(min(column.natural(), _LEADING_WISH) - column.least for column in chosen if column.leading)
    if not chosen or width < _NARROW or _room_of(chosen) > width:
        return []
    for column in sorted(columns, key=lambda column: column.late):
        if column in chosen or (column.whole and not column.has_within()):
            continue
        if _room_of([*chosen, column]) + wish <= width:
            chosen.append(column)
    return [column for column in columns if column in chosen]


def _room_of(columns: Sequence[_Column]) -> int:
    return sum(column.least for column in columns) + _GAP * (len(columns) - 1)


def _widen(columns: Sequence[_Column], room: int) -> list[int]:
    """Widths; the room that is left over is shared as equally as they ask."""
    natural = [column.natural() for column in columns]
    widths = [column.least for column in columns]
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


def _fit(text: str, width: int, right: bool = False) -> str:
    """`text` in exactly `width` cells."""
    fitting = clip(text, width)
    space = " " * (width - cells_of(fitting))
    return space + fitting if right else fitting + space
