"""Lines for a space of fixed size: which columns fit a width, and how tables share a height. Pure; knows text only.

Unlike `table`, which may be as long as it likes and never cuts what people type again, nothing here is ever wider or
longer than asked, and what has no room is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from .text import cells_of, clip

_GAP = 2
_STEADY = 7
"""Cells of a column of numbers at least, so that a table doesn't jump when they grow."""

_NAME_LEAST = 20
_ROWS_FIRST = 3
"""Lines that every table gets before one gets more."""

Mark = Literal["", "title", "head", "warning", "aside"]


class Line(NamedTuple):
    """A line, and what it is, for who colours it."""

    text: str
    mark: Mark = ""


@dataclass(frozen=True)
class Column:
    """A column of clean cells on one line each. The one with the highest `rank` is left out first; rank 0 stays, and
    is cut where it is too wide."""

    title: str
    cells: Sequence[str]
    rank: int
    number: bool = True

    def width(self) -> int:
        """Cells that it takes."""
        longest = max(cells_of(cell) for cell in [self.title, *self.cells])
        return max(longest, _STEADY if self.number else 0)


@dataclass(frozen=True)
class Grid:
    """A table: what its rows are called, its columns, and the rows that are marked as warnings."""

    noun: str
    columns: Sequence[Column]
    warnings: frozenset[int] = frozenset()

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.columns[0].cells)


def flow(phrases: Iterable[str], width: int) -> list[str]:
    """The phrases beside each other, on as many lines as they take."""
    lines: list[str] = []
    for phrase in phrases:
        if lines and cells_of(lines[-1]) + _GAP + cells_of(phrase) <= width:
            lines[-1] += " " * _GAP + phrase
        else:
            lines.append(clip(phrase, width))
    return lines


def cut(lines: Sequence[Line], height: int, noun: str = "lines") -> list[Line]:
    """The first lines, and how many more there are where these are not all. `height` is 1 or more."""
    if len(lines) <= height:
        return list(lines)
    return [*lines[: height - 1], Line(f"{len(lines) - height + 1} more {noun}", "aside")]


def stack(grids: Sequence[Grid], width: int, height: int | None) -> list[Line]:
    """The tables below each other; they share `height` (0 or more), or take what they need. Of rows and tables without
    room the number is told, if there is a line for that."""
    grids = [grid for grid in grids if grid.rows]
    wanted = [grid.rows + 1 for grid in grids]
    if height is None or sum(wanted) + max(0, len(grids) - 1) <= height:
        return _below(grids, wanted, width, apart=True)
    shown = len(grids)
    while shown and sum(min(want, _ROWS_FIRST) for want in wanted[:shown]) + (shown < len(grids)) > height:
        shown -= 1
    left = grids[shown:]
    lines = _below(grids[:shown], _share(wanted[:shown], height - bool(left)), width, apart=False)
    if left and height:
        told = ", ".join(f"{grid.rows} {grid.noun}" for grid in left)
        lines.append(Line(clip(f"no room for {told}", width), "aside"))
    return lines


def _share(wanted: Sequence[int], height: int) -> list[int]:
    """Lines for each: first a few, then one after the other one more, the first before the last."""
    given = [min(want, _ROWS_FIRST) for want in wanted]
    while (spare := height - sum(given)) > 0:
        needy = [at for at, want in enumerate(wanted) if given[at] < want]
        if not needy:
            break
        for at in needy[:spare]:
            given[at] += 1
    return given


def _below(grids: Sequence[Grid], heights: Sequence[int], width: int, *, apart: bool) -> list[Line]:
    lines: list[Line] = []
    for grid, height in zip(grids, heights, strict=True):
        if apart and lines:
            lines.append(Line(""))
        lines += cut(_drawn(grid, width), height, grid.noun)
    return [Line(clip(line.text, width), line.mark) for line in lines]


def _drawn(grid: Grid, width: int) -> list[Line]:
    columns = list(grid.columns)
    while len(columns) > 1 and _least(columns) > width:
        columns.remove(max(columns, key=lambda column: column.rank))
    spare = width - sum(column.width() for column in columns) - _GAP * (len(columns) - 1)
    widths = [column.width() + (min(0, spare) if not column.rank else 0) for column in columns]
    lines = [Line(_row([column.title for column in columns], columns, widths), "head")]
    for at in range(grid.rows):
        text = _row([column.cells[at] for column in columns], columns, widths)
        lines.append(Line(text, "warning" if at in grid.warnings else ""))
    return lines


def _least(columns: Sequence[Column]) -> int:
    widths = [column.width() if column.rank else min(column.width(), _NAME_LEAST) for column in columns]
    return sum(widths) + _GAP * (len(columns) - 1)


def _row(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    parts = []
    for cell, column, width in zip(cells, columns, widths, strict=True):
        text = clip(cell, max(1, width))
        blank = " " * (width - cells_of(text))
        parts.append(blank + text if column.number else text + blank)
    return (" " * _GAP).join(parts).rstrip()
